"""Chooses the settings of a model folder for commands, and exports model folders."""

import shutil
from pathlib import Path

from maskgit.filling import Fill
from maskgit.inpainting.settings import Decoding
from maskgit.model_folder import CARD, folder_files, read_model_folder
from maskgit.onnx_export import onnx_files
from pipeline.models.fill import load_fill
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import new_folder
from pipeline.plumbing.hashing import write_sums


def wanted_decoding(fill: Fill, count: int, **changes: object) -> Decoding:
    """Returns the model's settings with a command's options in their place. Raises UserError.

    count: the number of fills, see `Fill.decoding`.
    """
    try:
        return fill.decoding(count, **changes)
    except ValueError as error:
        raise UserError(f"--{error}") from None


def without_effect(decoding: Decoding, count: int, options: dict[str, object]) -> list[str]:
    """Returns a line where options of a command change nothing of the reading mean.

    In one step its fill is always the same. What it draws in more steps depends on the seed.
    options: those given, by name; None where one was left out. count: the number of fills.
    """
    if decoding.reading != "mean":
        return []
    given = {name for name, value in options.items() if value is not None} - {"reading"}
    if decoding.mean_steps > 1:
        given, count = given - {"seed"}, 1
    idle = [f"--{name}" for name in sorted(given)]
    idle += ["--variants"] if count > 1 else []
    return [f"without effect on the reading mean: {', '.join(idle)}"] if idle else []


def export(folder: Path, out: Path, half: bool = False, onnx: bool = False) -> None:
    """Copies all files of a model folder, once it has been loaded. Raises UserError.

    half: weights in half precision. onnx: adds the networks as ONNX graphs.
    """
    fill = load_fill(folder)
    with new_folder(out) as made:
        graphs = as_onnx(fill) if onnx else {}
        for path in filter(Path.is_file, folder.iterdir()):
            shutil.copyfile(path, made / path.name)  # without modes: DVC's files may be read-only
        if half:
            config, *parts = read_model_folder(folder)
            halved = [None if part is None else part.half() for part in parts]
            files = folder_files(config, *halved, card="")
            for name in files.keys() - {CARD}:
                (made / name).write_bytes(files[name])
        for name, content in graphs.items():
            (made / name).write_bytes(content)
        write_sums(made)


def as_onnx(fill: Fill) -> dict[str, bytes]:
    """Returns the files of `onnx_files`. Raises UserError."""
    try:
        return onnx_files(fill.readings)
    except ImportError as error:
        raise UserError(f"--onnx needs more: pip install '.[onnx]' ({error})") from None
    except ValueError as error:
        raise UserError(f"--onnx: {error}") from None
