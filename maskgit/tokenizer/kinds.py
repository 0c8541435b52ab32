"""The tokenizers that the rest of the library works with, alike.

Each has `cell` and `margin` (see `hidden_tokens`), a `codebook` with `size` and
`unit_vectors`, and `encode` and `decode`: images float (B, 3, H, W) in [-1, 1] to tokens int64
(B, h, w) and back. `encode_each` and `decode_each` do the same to pictures; `decode_into_hole`
decodes into a hole.
"""

import pkgutil

import numpy as np
import torch
from torch import Tensor

from maskgit.data.known_pixels import known_pixels
from maskgit.device import batch_invariant_chunks, to_float, to_uint8
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.registry import TOKENIZERS
from maskgit.tokenizer.vqgan import VQGAN

Tokenizer = VQGAN


def tokenizer_kinds() -> list[type[Tokenizer]]:
    """Returns the classes that a checkpoint may hold, see `registry`."""
    return [pkgutil.resolve_name(place) for place in TOKENIZERS.values()]


def encode_each(tokenizer: Tokenizer, images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) -> tokens int64 (N, h, w); an image's do not depend on the others."""
    pixels = to_float(images, next(tokenizer.parameters()).device)
    return torch.cat([tokenizer.encode(images) for images in batch_invariant_chunks(pixels)])


def decode_each(tokenizer: Tokenizer, tokens: Tensor) -> np.ndarray:
    """Tokens int64 (N, h, w) -> uint8 (N, H, W, 3); an image does not depend on the others."""
    return np.concatenate(
        [to_uint8(tokenizer.decode(part)) for part in batch_invariant_chunks(tokens)]
    )


def decode_into_hole(
    tokenizer: Tokenizer, tokens: Tensor, images: np.ndarray, hole: np.ndarray
) -> np.ndarray:
    """As `decode_each`, by a decoder that sees the known pixels, if it is one that can.

    images: uint8 (N, H, W, 3), of which nothing in the hole, bool (N, H, W), is seen. Codes that
    cannot be known and need not be drawn are left out.
    """
    touched, covered = hidden_tokens(
        torch.from_numpy(hole).to(tokens.device), tokenizer.cell, tokenizer.margin
    )
    tokens = tokens.masked_fill(touched & ~covered, tokenizer.codebook.size)
    known = known_pixels(images, hole, tokens.device)
    parts = zip(batch_invariant_chunks(tokens), batch_invariant_chunks(known), strict=True)
    return np.concatenate([to_uint8(tokenizer.decode(t, k)) for t, k in parts])
