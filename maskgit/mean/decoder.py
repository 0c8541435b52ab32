"""The decoder of mean codes: a copy of the tokenizer's, which is then taught on them.

Beside the mean codes it sees what the transformer knows. It has a copy of the transformer's last
blocks, which learn with it. Many distributions have the same mean; what enters these blocks tells
them apart.

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
from maskgit.transformer.guidance import unguided
from maskgit.transformer.kinds import Transformer
from maskgit.transformer.model import Block, MaskedTransformer, norm

NOISE_SIDE = 64  # pixels a side of the map of noise, which is repeated over larger pictures
LAYERS = 2  # blocks of the transformer that are copied, where it has as many


def copied_layers(transformer: Transformer) -> dict[str, int]:
    """Returns the arguments of `MeanDecoder` on the blocks that it copies.

    None are copied of a transformer that is no `MaskedTransformer`.
    """
    own = unguided(transformer)
    if not isinstance(own, MaskedTransformer):
        return {}
    return {"layers": min(LAYERS, len(own.blocks)), "dim": own.dim, "heads": own.heads}


def copy_first(network: nn.Module, smaller: nn.Module) -> None:
    """Copies the weights of a smaller network; weights from and to further channels become 0."""
    own = network.state_dict()
    for name, weights in smaller.state_dict().items():
        own[name].zero_()[tuple(map(slice, weights.shape))] = weights


class MeanDecoder(nn.Module):
    """Draws images (B, 3, H, W) from mean codes (B, latent_dim, h, w) and known pixels.

    A copy of a tokenizer's decoder with `more_blocks` added, and of the last `layers` blocks of a
    transformer, which is then taught on mean codes. The keyword arguments are the fields of
    `MeanDecoderConfig`; raises ValueError where they fit no network.
    """

    def __init__(self, **config: Any):
        super().__init__()
        c = MeanDecoderConfig(**config)
        self.layers = c.layers
        self.blocks = nn.ModuleList([Block(c.dim, c.heads, dropout=0.0) for _ in range(c.layers)])
        latent_dim = c.latent_dim + (c.dim if c.layers else 0)
        size = c.channels, c.decoder_blocks, latent_dim, c.cell
        self.decoder = PixelDecoder(*size, c.more_blocks, KNOWN_CHANNELS + c.noise)
        noise = torch.randn(1, 1, NOISE_SIDE, NOISE_SIDE) if c.noise else None
        self.register_buffer("noise", noise)

    def copy_weights(self, tokenizer: VQGAN, transformer: Transformer) -> "MeanDecoder":
        """Copies weights of the tokenizer's decoder and the transformer's blocks; returns itself.

        The other blocks start as the identity. The weights of the noise and of what the
        transformer's blocks return start at zero, so that it draws what the tokenizer draws.
        """
        copy_first(self.decoder, tokenizer.decoder)
        if self.layers:
            last = unguided(transformer).blocks[-self.layers :]
            self.blocks.load_state_dict(last.state_dict())
        return self

    def go_on_from(self, other: "MeanDecoder") -> "MeanDecoder":
        """Copies the weights of a decoder that was taught already, and returns itself.

        That decoder may lack blocks, noise or all of the transformer's layers. What it lacks starts
        as after `copy_weights`, so that this one draws what the other draws.
        """
        copy_first(self, other)
        return self

    def forward(self, codes: Tensor, known: Tensor, stream: Tensor | None = None) -> Tensor:
        """Returns images, not clamped; known: float (B, 4, H, W), see `known_pixels`.

        stream: float (B, h * w, dim), what enters the blocks of which it has a copy; needed where
        it has any. See `MaskedTransformer.stream`.
        """
        if self.layers:
            grid = codes.shape[2]
            for block in self.blocks:
                stream = block(stream, grid)
            seen = norm(stream).transpose(1, 2).unflatten(2, (grid, grid))
            codes = torch.cat([codes, seen.to(codes.dtype)], dim=1)
        if self.noise is not None:
            known = torch.cat([known, self.noise_in_hole(known)], dim=1)
        return self.decoder(codes, known)

    def noise_in_hole(self, known: Tensor) -> Tensor:
        """Returns the map of noise in the hole and 0 outside, float (B, 1, H, W)."""
        height, width = known.shape[2:]
        times = -(-height // NOISE_SIDE), -(-width // NOISE_SIDE)
        return self.noise.repeat(1, 1, *times)[..., :height, :width] * (known[:, 3:] < 1)

    def hidden_matrices(self) -> list[nn.Parameter]:
        """Returns the weights inside of blocks, from hidden channels to hidden channels."""
        residual = [m for m in self.modules() if isinstance(m, ResidualBlock)]
        convolutions = [p for block in residual for p in block.parameters() if p.ndim == 4]
        return convolutions + [p for p in self.blocks.parameters() if p.ndim == 2]
