"""The interface of transformers.

`Transformer` says what each can do.
"""

import pkgutil
from collections.abc import Iterator
from typing import Protocol

from torch import Tensor, nn

from maskgit.transformer.registry import TRANSFORMERS


class Transformer(Protocol):
    """Predicts the hidden tokens of a picture from the others; an `nn.Module`.

    Tokens are int64 (B, N) in [0, mask_token], N = grid * grid, in rows.

    grid: tokens per side.
    mask_token: stands for a hidden token; it is the number of codes, so it is no code itself.
    sees_pixels: whether the known pixels matter; if not,
    `embed_known_pixels` returns None.

    In evaluation mode the result depends on the input alone, and no image on the others in its
    batch. Pixels in the hole are not part of the input (see `known_pixels`).
    """

    grid: int
    mask_token: int
    sees_pixels: bool

    def hide(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """Returns the tokens with the mask token wherever `hidden`, bool (B, N), is True."""
        ...

    def embed_known_pixels(self, known: Tensor) -> Tensor | None:
        """Embeds the known pixels, float (B, 4, H, W), around each token: float (B, N, any).

        It is computed once for all steps of a decoding.
        """
        ...

    def __call__(
        self, tokens: Tensor, pixel_embedding: Tensor | None = None, where: Tensor | None = None
    ) -> Tensor:
        """Returns logits float (B, N, mask_token), never for the mask token itself.

        With `where`, bool (B, N), only there, (M, mask_token) in row order. pixel_embedding: what
        `embed_known_pixels` returned.
        """
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yields the parameters, as `nn.Module`; they say on which device the transformer is."""
        ...


def transformer_kinds() -> list[type[Transformer]]:
    """Returns the classes that a checkpoint may hold, see `registry`."""
    return [pkgutil.resolve_name(place) for place in TRANSFORMERS.values()]
