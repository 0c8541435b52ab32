"""The interface of tokenizers, and functions that encode and decode pictures by any of them.

`Tokenizer` says what each can do. `encode_each` and `decode_each` convert whole pictures;
`decode_into_hole` decodes into a hole.
"""

import pkgutil
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from maskgit.data.known_pixels import known_pixels
from maskgit.parallel import batch_invariant_chunks
from maskgit.pixels import to_float, to_uint8
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.quantizers import Codebook
from maskgit.tokenizer.registry import TOKENIZERS


class Tokenizer(Protocol):
    """Turns pictures into tokens and back; an `nn.Module`, used in evaluation mode.

    Images are float (B, 3, H, W) in [-1, 1], H and W multiples of `cell`; tokens are int64
    (B, h, w) in [0, codebook.codebook_size), h = H / cell, w = W / cell.

    cell: pixels that a token stands for, per side.
    margin: pixels beyond its cell, on each side, that a token may depend on. A token further from a
    hole is the same whatever the hole holds, bit for bit; `hidden_tokens` works out which these
    are. A tokenizer whose tokens depend on more declares the margin within which it takes them to
    be known, and the pixels in a hole are blanked before they are encoded.
    codebook: the number of codes and what a transformer may know of them.

    Both methods give the same result for the same input, draw no random numbers, and treat each
    image of a batch by itself.
    """

    cell: int
    margin: int
    codebook: Codebook

    def encode(self, images: Tensor) -> Tensor:
        """Encodes images to tokens."""
        ...

    def decode(self, tokens: Tensor, known: Tensor | None = None) -> Tensor:
        """Decodes tokens to images, clamped to [-1, 1].

        known: the pixels outside the hole, float (B, 4, H, W), see `known_pixels`. A decoder may
        use or ignore them. With them `codebook.codebook_size` may stand among the tokens, for a
        code that is not known and need not be drawn.
        """
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yields the parameters, as `nn.Module` does; they say on which device the tokenizer is."""
        ...


def tokenizer_kinds() -> list[type[Tokenizer]]:
    """Returns the classes that a checkpoint may hold, see `registry`."""
    return [pkgutil.resolve_name(place) for place in TOKENIZERS.values()]


def encode_each(tokenizer: Tokenizer, images: np.ndarray) -> Tensor:
    """Encodes images uint8 (N, H, W, 3) to tokens int64 (N, h, w), each by itself."""
    pixels = to_float(images, next(tokenizer.parameters()).device)
    return torch.cat([tokenizer.encode(images) for images in batch_invariant_chunks(pixels)])


def decode_each(tokenizer: Tokenizer, tokens: Tensor) -> np.ndarray:
    """Decodes tokens int64 (N, h, w) to images uint8 (N, H, W, 3), each by itself."""
    return np.concatenate(
        [to_uint8(tokenizer.decode(part)) for part in batch_invariant_chunks(tokens)]
    )


def decode_into_hole(
    tokenizer: Tokenizer,
    tokens: Tensor,
    images: np.ndarray,
    hole: np.ndarray,
    draft: np.ndarray | None = None,
) -> np.ndarray:
    """Decodes as `decode_each`, and shows the known pixels to a tokenizer whose decoder uses them.

    images: uint8 (N, H, W, 3), of which nothing in the hole, bool (N, H, W), is seen but for a
    draft (`known_pixels`). Codes that cannot be known and need not be drawn are left out.
    """
    unknown = torch.from_numpy(hole).to(tokens.device)
    left_out = hidden_tokens(unknown, tokenizer.cell, tokenizer.margin).left_out
    tokens = tokens.masked_fill(left_out, tokenizer.codebook.codebook_size)
    known = known_pixels(images, hole, tokens.device, draft)
    parts = zip(batch_invariant_chunks(tokens), batch_invariant_chunks(known), strict=True)
    return np.concatenate([to_uint8(tokenizer.decode(t, k)) for t, k in parts])
