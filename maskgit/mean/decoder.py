"""The decoder of mean codes: a copy of the tokenizer's, which is then taught on them."""

from typing import Any

from torch import Tensor, nn

from maskgit.mean.settings import MeanDecoderConfig
from maskgit.tokenizer.vqgan import VQGAN, PixelDecoder, ResidualBlock


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
        self.decoder = PixelDecoder(*size, c.more_blocks)

    def copy_weights(self, tokenizer: VQGAN) -> "MeanDecoder":
        """Copies the weights of the tokenizer's decoder, and returns itself.

        The other blocks start as the identity, so that it draws what the tokenizer draws.
        """
        others = self.decoder.load_state_dict(tokenizer.decoder.state_dict(), strict=False)
        assert not others.unexpected_keys
        return self

    def forward(self, codes: Tensor, known: Tensor) -> Tensor:
        """Returns images, not clamped; known: float (B, 4, H, W), see `known_pixels`."""
        return self.decoder(codes, known)

    def hidden_convolutions(self) -> list[nn.Parameter]:
        """Returns the weights of the residual blocks, from hidden channels to hidden channels."""
        blocks = [m for m in self.modules() if isinstance(m, ResidualBlock)]
        return [p for block in blocks for p in block.parameters() if p.ndim == 4]
