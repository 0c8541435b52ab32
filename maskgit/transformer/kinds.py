"""The transformers that the rest of the library works with, alike.

Each has `grid`, `mask_token`, `sees_pixels`, `hide` and `look`, and called with tokens int64 (B, N)
and what `look` made of the picture gives logits float (B, N, codebook_size), or (M, codebook_size)
for the places named.
"""

from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.lab import LabTransformer
from maskgit.transformer.model import MaskedTransformer

Transformer = GuidedTransformer | MaskedTransformer | LabTransformer
TRANSFORMERS = (GuidedTransformer, MaskedTransformer, LabTransformer)
