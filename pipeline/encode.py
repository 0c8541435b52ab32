"""Stage encode: every image -> its tokens, once; what holes hide; the codebook."""

import numpy as np
import torch
from tqdm import tqdm

from maskgit.holes import draw_holes
from maskgit.masking import hidden_tokens
from maskgit.optim import to_float
from maskgit.splits import SPLITS
from maskgit.tokenizers import TOKENIZERS, Tokenizer
from maskgit.vqgan import codebook_usage
from pipeline.checkpoints import best_device, load_model
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


def encode_split(tokenizer: Tokenizer, images: np.ndarray, out: np.ndarray, batch: int) -> None:
    """Fills out, uint16 (views, n, tokens): the images and, where it has two views, mirrors."""
    for start in tqdm(range(0, len(images), batch), "encode", unit="batch"):
        pixels = to_float(images[start : start + batch], best_device())
        for view, shown in zip(out, (pixels, pixels.flip(3)), strict=False):
            view[start : start + batch] = tokenizer.encode(shown).flatten(1).cpu().numpy()


def main() -> None:
    params = load_params()
    values = {"encode": params.encode.model_dump(), "seed": params.seed}
    with stage_run("encode", values, TOKENS) as run, fresh_folder(TOKENS) as folder:
        tokenizer = load_model(TOKENIZER / MODEL, TOKENIZERS)
        for split in SPLITS:
            images = load_array(PREPARED / f"{split}.npy", mmap_mode="r")
            views = 2 if split == "train" else 1  # only training uses mirrors
            tokens = (images.shape[1] // tokenizer.cell) ** 2
            shape = (views, len(images), tokens)
            out = new_array(folder / f"{split}.npy", np.uint16, shape)
            encode_split(tokenizer, images, out, params.encode.batch_size)
            usage, perplexity = codebook_usage(
                torch.from_numpy(out.astype(np.int64)), tokenizer.codebook.size
            )
            run.log_metrics({f"{split}_usage": usage, f"{split}_perplexity": perplexity})

        data = params.data
        holes = draw_holes(HOLES, data.holes, data.hole_area, data.size, params.seed + 1)
        hidden = hidden_tokens(torch.from_numpy(holes), tokenizer.cell, tokenizer.margin)
        save_array(folder / "hidden.npy", hidden.flatten(1).numpy())
        save_array(folder / "codebook.npy", tokenizer.codebook.unit_vectors.numpy(force=True))


if __name__ == "__main__":
    with plain_errors():
        main()
