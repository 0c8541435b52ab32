"""What `maskgit task` does: writes the test images with holes for other tools."""

from pathlib import Path

import numpy as np
import pandas as pd

from maskgit.data.image_files import encode_png
from pipeline.inputs.others import greyed, task_names
from pipeline.plumbing.files import load_task, new_folder, write_atomically, write_table
from pipeline.plumbing.hashing import file_hash
from pipeline.plumbing.params import load_params


def write_task(out: Path) -> int:
    """Writes images with grey holes, masks of the same names, and a manifest; returns how many.

    The images are those of `inpaint.split`. Raises UserError.
    """
    images, holes = load_task(load_params().inpaint.split)
    masks = holes.astype(np.uint8) * 255
    rows = []
    with new_folder(out) as made:
        for folder, pixels in {"images": greyed(images, holes), "masks": masks}.items():
            for name, each in zip(task_names(images, holes), pixels, strict=True):
                path = made / folder / f"{name}.png"
                write_atomically(path, encode_png(each))
                height, width = each.shape[:2]
                rows.append((f"{folder}/{path.name}", width, height, file_hash(path)))
        manifest = pd.DataFrame(rows, columns=["file", "width", "height", "sha256"])
        write_table(made / "manifest.csv", manifest)
    return len(images)
