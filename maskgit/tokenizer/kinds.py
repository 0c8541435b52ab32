"""The tokenizers that the rest of the library works with, alike.

Each has `cell` and `margin` (see `hidden_tokens`), a `codebook` with `size` and
`unit_vectors`, and `encode` and `decode`: images float (B, 3, H, W) in [-1, 1] to tokens int64
(B, h, w) and back. `encode_each` and `decode_each` do the same to pictures; `draw_each` decodes
into a hole.
"""

import numpy as np
import torch
from torch import Tensor

from maskgit.data.known_pixels import known_pixels
from maskgit.device import to_float, to_uint8
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.lab import LabVQGAN
from maskgit.tokenizer.vqgan import VQGAN

Tokenizer = VQGAN | LabVQGAN
TOKENIZERS = (VQGAN, LabVQGAN)


# One image after the other: in a batch of another size the threads of a processor share out a
# convolution or a norm in another way, and the last bit of a result with it.


def encode_each(tokenizer: Tokenizer, images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) -> tokens int64 (N, h, w); an image's do not depend on the others."""
    pixels = to_float(images, next(tokenizer.parameters()).device)
    return torch.cat([tokenizer.encode(image[None]) for image in pixels])


def decode_each(tokenizer: Tokenizer, tokens: Tensor) -> np.ndarray:
    """Tokens int64 (N, h, w) -> uint8 (N, H, W, 3); an image does not depend on the others."""
    return np.concatenate([to_uint8(tokenizer.decode(image[None])) for image in tokens])


def draw_each(
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
    pairs = zip(tokens, known, strict=True)
    return np.concatenate([to_uint8(tokenizer.decode(t[None], k[None])) for t, k in pairs])
