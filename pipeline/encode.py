"""Stage encode: every image -> its tokens, once; what holes hide; the codebook."""

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from maskgit.holes import draw_holes
from maskgit.masking import hidden_tokens
from maskgit.splits import SPLITS
from maskgit.tokenizers import TOKENIZERS, Tokenizer, encode_each
from maskgit.vqgan import codebook_usage
from pipeline.checkpoints import load_model
from pipeline.errors import plain_errors
from pipeline.files import (
    MODEL,
    PREPARED,
    TOKENIZER,
    TOKENS,
    fresh_folder,
    load_array,
    new_array,
    save_array,
)
from pipeline.params import load_params
from pipeline.tracking import stage_run

HOLES = 4096  # drawn for training; more would not look any different


def encode_split(tokenizer: Tokenizer, source: Path, target: Path, batch: int) -> torch.Tensor:
    """Fills the array in `target`, uint16 (views, n, tokens), with the tokens of the images in
    `source`: as they are and, where it has two views, mirrored.

    Returns how often each code occurs, int64 (codebook size,). Both files are mapped anew for each
    batch, so that a million images need no more memory than a batch does.
    """
    counts = np.zeros(tokenizer.codebook.size, dtype=np.int64)
    total = len(np.load(source, mmap_mode="r"))
    for start in tqdm(range(0, total, batch), "encode", unit="batch"):
        rows = slice(start, start + batch)
        images = np.array(np.load(source, mmap_mode="r")[rows])
        out = np.load(target, mmap_mode="r+")
        for view, shown in zip(out, (images, images[:, :, ::-1]), strict=False):
            view[rows] = encode_each(tokenizer, shown).flatten(1).cpu().numpy()
            counts += np.bincount(view[rows].ravel(), minlength=len(counts))
    return torch.from_numpy(counts)


def main() -> None:
    params = load_params()
    values = {"encode": params.encode.model_dump(), "seed": params.seed}
    with stage_run("encode", values, TOKENS) as run, fresh_folder(TOKENS) as folder:
        tokenizer = load_model(TOKENIZER / MODEL, TOKENIZERS)
        for split in SPLITS:
            source, target = PREPARED / f"{split}.npy", folder / f"{split}.npy"
            count, side, _, _ = load_array(source, mmap_mode="r").shape
            views = 2 if split == "train" else 1  # only training uses mirrors
            new_array(target, np.uint16, (views, count, (side // tokenizer.cell) ** 2))
            counts = encode_split(tokenizer, source, target, params.encode.batch_size)
            usage, perplexity = codebook_usage(counts)
            run.log_metrics({f"{split}_usage": usage, f"{split}_perplexity": perplexity})

        data = params.data
        holes = draw_holes(HOLES, data.holes, data.hole_area, data.size, params.seed + 1)
        hidden = hidden_tokens(torch.from_numpy(holes), tokenizer.cell, tokenizer.margin)
        save_array(folder / "hidden.npy", hidden.flatten(1).numpy())
        save_array(folder / "codebook.npy", tokenizer.codebook.unit_vectors.numpy(force=True))


if __name__ == "__main__":
    with plain_errors():
        main()
