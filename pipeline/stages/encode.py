"""Stage encode: stores the images' tokens, the tokens that training holes hide, the codebook."""

import os
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from maskgit import ranks
from maskgit.data.views import view_maps
from maskgit.parallel import parallel_map
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.kinds import Tokenizer, encode_each, tokenizer_kinds
from maskgit.tokenizer.vqgan import codebook_usage
from pipeline.models.checkpoints import load_model
from pipeline.plumbing.files import load_array, new_array, save_array
from pipeline.plumbing.launch import network_stage, shared_folder
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import MODEL, PREPARED, TOKENIZER, TOKENS
from pipeline.tracking.stage import stage_run


def encode_split(tokenizer: Tokenizer, source: Path, target: Path, batch: int) -> torch.Tensor:
    """Writes the tokens of every view of the images in `source` to `target`; ranks share the work.

    target: an array uint16 (views, n, tokens) on disk. batch: images encoded at once. Returns how
    often each code occurs, int64 (codebook size,). The images are mapped again for each batch, so
    that the memory does not grow with their number. The tokens are written without a map: two
    machines that share a folder would write each other's pages.
    """
    counts = np.zeros(tokenizer.codebook.codebook_size, dtype=np.int64)
    stored = np.load(target, mmap_mode="r")
    views = len(stored)

    def tokens_of(start: int) -> np.ndarray:
        images = np.array(np.load(source, mmap_mode="r")[start : start + batch])
        viewed = [images[:, y][:, :, x] for y, x in view_maps(views, images.shape[1])]
        return np.stack([encode_each(tokenizer, view).flatten(1).cpu().numpy() for view in viewed])

    starts = ranks.shard(range(0, len(np.load(source, mmap_mode="r")), batch))
    device = next(tokenizer.parameters()).device
    with parallel_map(tokens_of, starts, device) as encoded, target.open("r+b") as file:
        parts = zip(starts, encoded, strict=True)
        for start, tokens in tqdm(parts, "encode", len(starts), unit="batch"):
            for view, part in enumerate(tokens.astype(stored.dtype)):
                place = view * stored.strides[0] + start * stored.strides[1]
                file.seek(stored.offset + place)
                file.write(part.tobytes())
            counts += np.bincount(tokens.ravel(), minlength=len(counts))
        file.flush()
        os.fsync(file.fileno())
    return ranks.all_reduce_sum(torch.from_numpy(counts))


def main() -> None:
    params = load_params()
    with stage_run("encode", params, TOKENS) as run:
        tokenizer = load_model(TOKENIZER / MODEL, tokenizer_kinds())
        with shared_folder(TOKENS) as folder:
            for split, views in {"train": params.encode.views, "val": 1}.items():
                source, target = PREPARED / f"{split}.npy", folder / f"{split}.npy"
                count, side, _, _ = load_array(source, mmap_mode="r").shape
                if not ranks.rank():
                    new_array(target, np.uint16, (views, count, (side // tokenizer.cell) ** 2))
                ranks.barrier()
                counts = encode_split(tokenizer, source, target, params.encode.batch_size)
                usage, perplexity = codebook_usage(counts)
                run.log_metrics({f"{split}_usage": usage, f"{split}_perplexity": perplexity})

            if not ranks.rank():
                holes = torch.from_numpy(load_array(PREPARED / "train_holes.npy"))
                hidden = hidden_tokens(holes, tokenizer.cell, tokenizer.margin)
                save_array(folder / "touched.npy", hidden.touched.flatten(1).numpy())
                save_array(folder / "covered.npy", hidden.covered.flatten(1).numpy())
                codes = tokenizer.codebook.unit_vectors.numpy(force=True)
                save_array(folder / "codebook.npy", codes)


if __name__ == "__main__":
    with network_stage():
        main()
