"""The tokenizers that the rest of the library works with, alike.

Each has `cell` and `margin` (see `masking.hidden_tokens`), a `codebook` with `size` and
`unit_vectors`, and `encode` and `decode`: images float (B, 3, H, W) in [-1, 1] to tokens int64
(B, h, w) and back.
"""

from maskgit.lab_vqgan import LabVQGAN
from maskgit.vqgan import VQGAN

Tokenizer = VQGAN | LabVQGAN
TOKENIZERS = (VQGAN, LabVQGAN)
