"""The decoder of mean codes: a copy of the tokenizer's, which is then taught on them.

It sees noise in the hole, at every resolution, as the generator of StyleGAN does (Karras et al.,
arXiv 1812.04948). Where the transformer is unsure, the mean codes of neighbours are nearly alike,
and from inputs alike a convolution draws the same pattern in every cell. The noise is one fixed
map, so that fills are the same at every seed.
"""

from typing import Any

import torch
from torch import Tensor, nn

from maskgit.data.known_pixels import KNOWN_CHANNELS
from maskgit.mean.settings import MeanDecoderConfig
from maskgit.tokenizer.vqgan import VQGAN, PixelDecoder, ResidualBlock

NOISE_SIDE = 64  # pixels a side of the map of noise, which is repeated over larger pictures


class MeanDecoder(nn.Module):
    """Draws images (B, 3, H, W) from mean codes (B, latent_dim, h, w) and known pixels.

    A copy of a tokenizer's decoder with `more_blocks` added, which is then taught on mean codes.
    The keyword arguments are the fields of `MeanDecoderConfig`; raises ValueError where they fit no
    network.
    """

    def __init__(self, **config: Any):
        super().__init__()
        c = MeanDecoderConfig(**config)
        size = c.channels, c.decoder_blocks, c.latent_dim, c.cell
        self.decoder = PixelDecoder(*size, c.more_blocks, KNOWN_CHANNELS + c.noise)
        noise = torch.randn(1, 1, NOISE_SIDE, NOISE_SIDE) if c.noise else None
        self.register_buffer("noise", noise)

    def copy_weights(self, tokenizer: VQGAN) -> "MeanDecoder":
        """Copies the weights of the tokenizer's decoder, and returns itself.

        The other blocks start as the identity, and the weights of the noise at zero, so that it
        draws what the tokenizer draws.
        """
        own = self.decoder.state_dict()
        for name, weights in tokenizer.decoder.state_dict().items():
            own[name].zero_()[tuple(map(slice, weights.shape))] = weights
        return self

    def forward(self, codes: Tensor, known: Tensor) -> Tensor:
        """Returns images, not clamped; known: float (B, 4, H, W), see `known_pixels`."""
        if self.noise is not None:
            known = torch.cat([known, self.noise_in_hole(known)], dim=1)
        return self.decoder(codes, known)

    def noise_in_hole(self, known: Tensor) -> Tensor:
        """Returns the map of noise in the hole and 0 outside, float (B, 1, H, W)."""
        height, width = known.shape[2:]
        times = -(-height // NOISE_SIDE), -(-width // NOISE_SIDE)
        return self.noise.repeat(1, 1, *times)[..., :height, :width] * (known[:, 3:] < 1)

    def hidden_convolutions(self) -> list[nn.Parameter]:
        """Returns the weights of the residual blocks, from hidden channels to hidden channels."""
        blocks = [m for m in self.modules() if isinstance(m, ResidualBlock)]
        return [p for block in blocks for p in block.parameters() if p.ndim == 4]
