"""Fills a hole with a model of `maskgit export OUT --onnx`, without torch.

python onnx_fill.py OUT picture.png mask.png filled.png   # both as large as the model's pictures
"""

import json
import sys
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from onnxruntime import InferenceSession
from PIL import Image, ImageOps


def fill(folder: Path, image: np.ndarray, hole: np.ndarray, **changes) -> np.ndarray:
    """image: uint8 (H, W, 3); hole: bool (H, W), True = fill; changes: of config.json's decoding.

    MaskGIT's own decoder, cosine schedule, or the mean reading; pasted and not blended. Returns
    uint8 (H, W, 3).
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    how = config["decoding"] | changes
    hide = config["networks"]["transformer"]["codebook_size"]
    encode, predict, draw = [
        InferenceSession(folder / f"{name}.onnx") for name in ("encode", "predict", "draw")
    ]
    pixels = np.where(hole[..., None], 0, image / 127.5 - 1).astype(np.float32)
    known = np.concatenate([pixels, ~hole[..., None]], axis=2, dtype=np.float32)
    grey = np.where(hole[..., None], 128 / 127.5 - 1, pixels).astype(np.float32)
    pixels, known, grey = (part.transpose(2, 0, 1)[None] for part in (pixels, known, grey))

    (tokens,) = encode.run(None, {"images": grey})
    grid, cell = tokens.shape[1], len(hole) // tokens.shape[1]
    wider = np.pad(hole, cell // 2)  # a code sees half a cell more on each side
    windows = sliding_window_view(wider, (2 * cell, 2 * cell))[::cell, ::cell]
    touched = windows.any(axis=(2, 3)).ravel()
    hidden = sliding_window_view(hole, (cell, cell))[::cell, ::cell].any(axis=(2, 3)).ravel()
    unknown = touched & ~hidden  # their code cannot be known, and need not be
    tokens = np.where(touched, hide, tokens.ravel())

    mean = how.get("reading") == "mean"  # of what is hidden in the last step
    rng = np.random.default_rng(how["seed"])
    initial, steps = hidden.sum(), how.get("mean_steps", 1) if mean else how["iterations"]
    for step in range(1, steps + 1 - mean):
        if not hidden.any():
            break
        (logits,) = predict.run(None, {"tokens": tokens[None], "known": known})
        logits = logits[0].astype(np.float64) / (how["temperature"] or 1)
        logp = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        noise = rng.gumbel(size=logp.shape) if how["temperature"] else 0
        drawn = (logp + noise).argmax(axis=1)  # the Gumbel-max trick
        luck = how["choice_temperature"] * (1 - step / steps) * rng.gumbel(size=len(drawn))
        score = np.where(hidden, logp[np.arange(len(drawn)), drawn] + luck, np.inf)
        left = int(np.cos(np.pi / 2 * step / steps) * initial) if step < steps else 0
        again = score.argsort(kind="stable")[: max(0, min(left, hidden.sum() - 1))]
        tokens = np.where(hidden, drawn, tokens)
        hidden = np.zeros_like(hidden)
        hidden[again] = True
        tokens[hidden] = hide

    if mean:
        draw_mean = InferenceSession(folder / "draw_mean.onnx")
        given = {"tokens": tokens[None], "hidden": hidden[None], "known": known}
        return pasted(draw_mean.run(None, given)[0], image, hole)
    tokens = np.where(unknown, hide, tokens).reshape(1, grid, grid)
    return pasted(draw.run(None, {"tokens": tokens, "known": known})[0], image, hole)


def pasted(drawn: np.ndarray, image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns uint8 (H, W, 3), drawn float (1, 3, H, W) in the hole; `image` elsewhere."""
    made = ((drawn[0].transpose(1, 2, 0) + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    return np.where(hole[..., None], made, image)


def read(path: Path) -> np.ndarray:
    """Returns a picture as it is seen, uint8 (H, W, 3)."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode.startswith("I"):
        sys.exit(f"{path}: 16-bit grey; save it with 8 bits")
    return np.asarray(picture.convert("RGB"))


def main() -> None:
    folder, picture, mask, out = map(Path, sys.argv[1:])
    image, mask = read(picture), read(mask)
    hole = mask.max(axis=2) >= 128
    if not hole.any() or hole.all():
        sys.exit("the mask marks nothing or everything; white is filled, black kept")
    Image.fromarray(fill(folder, image, hole)).save(out)


if __name__ == "__main__":
    main()
