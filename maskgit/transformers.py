"""The transformers that the rest of the library works with, alike.

Each has `grid`, `mask_token` and `hide`, and called with tokens int64 (B, N) gives logits float
(B, N, codebook_size), or (M, codebook_size) for the places named.
"""

from maskgit.lab_transformer import LabTransformer
from maskgit.transformer import MaskedTransformer

Transformer = MaskedTransformer | LabTransformer
TRANSFORMERS = (MaskedTransformer, LabTransformer)
