"""MaskGIT inpainting: models, schedules, masking, decoding and scoring, as a plain library.

Chang et al., "MaskGIT: Masked Generative Image Transformer", CVPR 2022, arXiv 2202.04200.
"""
