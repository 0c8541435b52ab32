"""Draws the pictures of two guides: `python -m tools.docs_pictures`, about five minutes.

`Read your scores` gets pictures at known kernel distances (docs/scale-*.jpg), by the judge that
`score.extractor: auto` takes. `Tune a fill` gets three pictures for each setting of the decoding
(docs/tune-*.jpg). All images are drawn cats that no training has seen. Guidance needs a model
folder with a guide, such as outputs/model after `make repro`; --guided names it.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from maskgit import load
from maskgit.data.cats.cat import draw_cats
from maskgit.data.holes import draw_holes
from maskgit.scoring.distances import kernel_distance
from maskgit.scoring.features import choose_extractor
from maskgit.scoring.scores import KERNEL
from pipeline.reporting.pictures import HOLE_COLOUR

DOCS = Path("docs")
UNSEEN = 10**6 + 7  # a seed that no data set of the project draws
ENLARGED_SIDE = 112  # pixels to which the images of 64 pixels are enlarged
GAP = 4

# Setting of config.json -> the three values that its picture shows.
SETTINGS: dict[str, Sequence[object]] = {
    "temperature": (0.1, 0.5, 1.5),
    "choice_temperature": (0.0, 1.0, 10.0),
    "iterations": (1, 5, 16),
    "decoder": ("confidence", "halton", "remask"),
}
GUIDANCE = (0.0, 0.5, 2.0)

# Damage of growing strength -> the kernel distances at which it is shown.
TARGETS = (0.001, 0.003, 0.01, 0.03, 0.05)


def blurred(truth: np.ndarray, hole: np.ndarray, strength: float) -> np.ndarray:
    """Blurs uint8 (N, H, W, 3) in the hole; strength: standard deviation in pixels."""
    blur = gaussian_filter(truth.astype(np.float32), (0, strength, strength, 0))
    return np.where(hole[..., None], blur.round().astype(np.uint8), truth)


def noisy(truth: np.ndarray, hole: np.ndarray, strength: float) -> np.ndarray:
    """Adds noise to uint8 (N, H, W, 3) in the hole; strength: standard deviation in grey levels."""
    noise = np.random.default_rng(0).normal(0, strength, truth.shape)
    return np.where(hole[..., None], (truth + noise).clip(0, 255).round().astype(np.uint8), truth)


DAMAGE: dict[str, tuple[Callable[..., np.ndarray], float]] = {
    "blur": (blurred, 8.0),
    "noise": (noisy, 100.0),
}


def strengths_of(distance: Callable[[float], float], most: float) -> list[float]:
    """Returns the strengths of damage at which `distance` reaches each of TARGETS.

    The distance rises with the strength. It is interpolated between nine measured strengths, both
    in logarithms; the result is NaN beyond the last.
    """
    tried = np.geomspace(most / 64, most, 9)
    found = np.maximum.accumulate([max(distance(strength), 1e-6) for strength in tried])
    wanted = np.interp(np.log(TARGETS), np.log(found), np.log(tried), right=np.nan)
    return np.exp(wanted).tolist()


def draw_scale(count: int = 192, shown: int = 3) -> None:
    """Writes docs/scale-*.jpg: the same images, with damage at known kernel distances."""
    extractor = choose_extractor("efficientnet_lite2", None)
    truth, hole = draw_cats(count, UNSEEN), draw_holes(count, ["mixture"], (0.1, 0.25), 64, UNSEEN)
    features = extractor(truth)

    def measured(fills: np.ndarray) -> float:
        return kernel_distance(extractor(fills), features, paired=True).value

    for name, (damage, most) in DAMAGE.items():
        columns = {"hole": marked(truth, hole)[:shown], "true": truth[:shown]}
        strengths = strengths_of(lambda s, d=damage: measured(d(truth, hole, s)), most)
        for target, strength in zip(TARGETS, strengths, strict=True):
            if np.isfinite(strength):
                fills = damage(truth, hole, strength)
                print(
                    f"{name} {strength:.3g}: {KERNEL.column(extractor).name} {measured(fills):.4f}"
                )
                columns[f"{name}\n{target:g}"] = fills[:shown]
        save_columns(DOCS / f"scale-{name}.jpg", columns)


def marked(images: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the images with their holes in a colour of their own."""
    return np.where(hole[..., None], HOLE_COLOUR, images)


def save_columns(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Writes one column of images, uint8 (N, H, W, 3), for each caption."""
    font, head = ImageFont.load_default(size=15), 60
    rows = len(next(iter(columns.values())))
    side = ENLARGED_SIDE + GAP
    canvas = Image.new("RGB", (len(columns) * side - GAP, head + rows * side - GAP), "white")
    for x, (caption, images) in enumerate(columns.items()):
        middle = (x * side + ENLARGED_SIDE / 2, head / 2)
        ImageDraw.Draw(canvas).text(middle, caption, "black", font, anchor="mm", align="center")
        for y, image in enumerate(images):
            size = (ENLARGED_SIDE, ENLARGED_SIDE)
            enlarged = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
            canvas.paste(enlarged, (x * side, head + y * side))
    canvas.save(path, quality=88)
    print(f"{path}: {path.stat().st_size / 1000:.0f} KB", flush=True)


def draw_setting(model: Path, name: str, values: Sequence[object], shown: int = 4) -> None:
    """Writes docs/tune-NAME.jpg: the same holes filled with each value of one setting."""
    truth = draw_cats(shown, UNSEEN)
    hole = draw_holes(shown, ["box"], (0.35, 0.45), truth.shape[1], UNSEEN)
    columns = {"true": truth, "hole": marked(truth, hole)}
    for value in values:
        fill = with_setting(model, name, value)
        columns["\n".join([*name.split("_"), str(value)])] = np.stack(
            [fill(image, where) for image, where in zip(truth, hole, strict=True)]
        )
    save_columns(DOCS / f"tune-{name.replace('_', '-')}.jpg", columns)


def with_setting(model: Path, name: str, value: object):
    """Loads the model of a folder with one of its decoding settings changed."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        shutil.copytree(model, folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["decoding"][name] = value
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return load(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("outputs/model"), help="a model folder")
    parser.add_argument("--guided", type=Path, default=Path("outputs/model"), help="with a guide")
    parser.add_argument("--only", choices=["scale", "tune"], help="one of the two guides")
    arguments = parser.parse_args()
    if arguments.only != "scale":
        for name, values in SETTINGS.items():
            draw_setting(arguments.model, name, values)
        if arguments.guided.exists():
            draw_setting(arguments.guided, "guidance", GUIDANCE)
        else:
            print(f"docs/tune-guidance.jpg stays as it is: {arguments.guided} does not exist")
    if arguments.only != "tune":
        draw_scale()


if __name__ == "__main__":
    main()
