"""The transformers that the rest of the library works with, alike.

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
    sees_pixels: whether the known pixels matter; if not, `look` returns None.

    In evaluation mode the result depends on the input alone, and no image on the others in its
    batch. Pixels in the hole are not part of the input (see `known_pixels`).
    """

    grid: int
    mask_token: int
    sees_pixels: bool

    def hide(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """Tokens with the mask token wherever `hidden`, bool (B, N), is True."""
        ...

    def look(self, known: Tensor) -> Tensor | None:
        """What each place sees of the known pixels, float (B, 4, H, W): float (B, N, any), for
        `__call__`. It is computed once for all steps of a decoding."""
        ...

    def __call__(
        self, tokens: Tensor, seen: Tensor | None = None, where: Tensor | None = None
    ) -> Tensor:
        """Logits float (B, N, mask_token), never for the mask token itself; with `where`, bool
        (B, N), only there, (M, mask_token) in row order. seen: from `look`."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """As of `nn.Module`; they say on which device the transformer is."""
        ...


def transformer_kinds() -> list[type[Transformer]]:
    """Returns the classes that a checkpoint may hold, see `registry`."""
    return [pkgutil.resolve_name(place) for place in TRANSFORMERS.values()]
