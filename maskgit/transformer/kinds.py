"""The interface of transformers.

Each has `grid`, `mask_token`, `sees_pixels`, `hide` and `embed_known_pixels`. Called with tokens
int64 (B, N) and the embedding of the known pixels it returns logits float (B, N, codebook_size), or
(M, codebook_size) at given places.
"""

import pkgutil

from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.model import MaskedTransformer
from maskgit.transformer.registry import TRANSFORMERS

Transformer = GuidedTransformer | MaskedTransformer


def transformer_kinds() -> list[type[Transformer]]:
    """Returns the classes that a checkpoint may hold, see `registry`."""
    return [pkgutil.resolve_name(place) for place in TRANSFORMERS.values()]
