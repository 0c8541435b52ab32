"""The tokenizer: a VQGAN that turns an image into tokens, 64 x 64 pixels into 16 x 16, and back.

Esser et al., "Taming Transformers for High-Resolution Image Synthesis", arXiv 2012.09841, with
three departures that serve inpainting:

- The encoder is local. A code sees its own cell, 4 x 4 pixels or larger, and half a cell more on
  each side, nothing else, so that the codes outside a hole are the same whether or not the hole is
  there. (With a deep encoder they differ, and the transformer meets codes at inference that it
  never trained on.)
- The quantizer is exchangeable (see `quantizers`): a codebook of unit vectors that follows the data
  by running k-means, or finite scalar quantization.
- The decoder sees the known pixels, too (asymmetric VQGAN, arXiv 2306.04632): it draws into a hole
  what fits around it, rather than trusting a code that does not.
"""

from typing import Any

import torch
from torch import Tensor, nn

from maskgit.data.known_pixels import KNOWN_CHANNELS, KnownPixelEmbedding
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.quantizers import QUANTIZERS, Quantized
from maskgit.tokenizer.settings import TokenizerConfig, norm_groups


class GroupNorm(nn.GroupNorm):
    """Group norm in float32, as autocast has it on a GPU; bf16 takes processors twice as long."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


class ResidualBlock(nn.Module):
    """Two convolutions around a skip: norm, swish, conv, twice."""

    def __init__(self, channels: int, kernel: int = 3):
        super().__init__()
        self.block = nn.Sequential(
            GroupNorm(norm_groups(channels), channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2),
            GroupNorm(norm_groups(channels), channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2),
        )
        nn.init.zeros_(self.block[-1].weight)  # starts as the identity
        nn.init.zeros_(self.block[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class PointwiseBlock(nn.Module):
    """A residual block that mixes channels only, so that the receptive field does not grow."""

    def __init__(self, channels: int):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1), nn.SiLU(), nn.Conv2d(2 * channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def make_encoder(channels: int, blocks: int, latent_dim: int, cell: int) -> nn.Sequential:
    """Returns the encoder, from images (B, 3, H, W) in [-1, 1] to (B, latent_dim, H/cell, W/cell).

    Each output sees two cells by two: its own and half of its neighbours'.
    """
    return nn.Sequential(
        nn.Conv2d(3, channels, 2 * cell, stride=cell, padding=cell // 2),
        *[PointwiseBlock(channels) for _ in range(blocks)],
        nn.SiLU(),
        nn.Conv2d(channels, latent_dim, 1),
    )


class Doubling(nn.Module):
    """Doubles the resolution of (B, channels, h, w) to (B, finer, 2h, 2w); adds known pixels.

    The known pixels are (B, seen, H, W), H = 2h step; they are embedded at each of the 2h x 2w
    places. more: residual blocks after the first one.
    """

    def __init__(self, channels: int, finer: int, step: int, more: int, seen: int):
        super().__init__()
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(channels, finer, 3, padding=1)
        )
        self.from_pixels = KnownPixelEmbedding(finer, step, seen=seen)
        self.block = ResidualBlock(finer)
        self.more = nn.Sequential(*[ResidualBlock(finer) for _ in range(more)])

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        return self.more(self.block(self.up(x) + self.from_pixels(known)))


class PixelDecoder(nn.Module):
    """Decodes codes (B, latent_dim, h, w) to images (B, 3, cell h, cell w) that fit known pixels.

    The known pixels come in at each of its resolutions. The last doubling is a sub-pixel
    convolution (arXiv 1609.05158): full resolution is where a decoder spends most of its time and
    least of its capacity. more: residual blocks at each resolution beside those of the tokenizer.
    seen: channels of what it is given as known pixels.
    """

    def __init__(
        self,
        channels: int,
        blocks: int,
        latent_dim: int,
        cell: int,
        more: int = 0,
        seen: int = KNOWN_CHANNELS,
    ):
        super().__init__()
        half = channels // 2
        self.from_codes = nn.Conv2d(latent_dim, channels, 3, padding=1)
        self.from_pixels = KnownPixelEmbedding(channels, cell, seen=seen)
        self.coarse = nn.Sequential(*[ResidualBlock(channels) for _ in range(blocks + more)])
        steps = [2**i for i in range(cell.bit_length() - 2, 0, -1)]  # cell / 2, ..., 4, 2
        widths = [channels] + [half] * len(steps)
        places = zip(widths[:-1], widths[1:], steps, strict=True)
        self.doublings = nn.ModuleList(Doubling(*place, more, seen) for place in places)
        self.fine = nn.Sequential(
            GroupNorm(8, half),
            nn.SiLU(),
            nn.Conv2d(half, 3 * 4, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, codes: Tensor, known: Tensor) -> Tensor:
        x = self.coarse(self.from_codes(codes) + self.from_pixels(known))
        for double in self.doublings:
            x = double(x, known)
        return self.fine(x)


class VQGAN(nn.Module):
    """A VQGAN. Images are float (B, 3, H, W) in [-1, 1], H and W multiples of `cell`.

    The keyword arguments are the fields of `TokenizerConfig`; raises ValueError where they fit no
    network. A checkpoint that names no quantizer has `kmeans`.
    """

    def __init__(self, **config: Any):
        super().__init__()
        c = TokenizerConfig(**config)
        self.cell = c.cell
        self.margin = c.cell // 2  # pixels that a code sees beyond its cell, on each side
        self.encoder = make_encoder(c.channels, c.encoder_blocks, c.latent_dim, c.cell)
        self.codebook = QUANTIZERS[c.quantizer](c.codebook_size, c.latent_dim)
        self.decoder = PixelDecoder(c.channels, c.decoder_blocks, c.latent_dim, c.cell)

    def settle_codes(self) -> None:
        """Freezes encoder and quantizer, so that only the decoder learns.

        `train()` puts the quantizer back into training mode, so this is called after it.
        """
        self.encoder.requires_grad_(False)
        self.codebook.requires_grad_(False).eval()

    def quantize(
        self, images: Tensor, hole: Tensor, mistakes: float = 0.0
    ) -> tuple[Tensor, Quantized]:
        """Returns the codes that the decoder sees in training, and what the quantizer did.

        images: float (B, 3, H, W) in [-1, 1]. hole: bool (B, H, W). The codes are float (B,
        latent_dim, H/cell, W/cell), without those that the decoder is not shown: see
        `HiddenTokens.left_out`. mistakes: the latents in the hole are moved before they are
        quantized, in each image by a distance drawn from 0 to `mistakes`, since the codes that a
        transformer predicts are not the true ones either. The unit of the distance is the length of
        a typical code.
        """
        latents = self.encoder(images)
        tokens_of_hole = hidden_tokens(hole, self.cell, self.margin)
        distance = None
        if mistakes:
            distance = mistakes * torch.rand(len(images), 1, 1, 1, device=images.device)
            distance = distance * tokens_of_hole.covered[:, None]
        quantized = self.codebook(latents, distance)
        return quantized.codes * ~tokens_of_hole.left_out[:, None], quantized

    def hidden_convolutions(self) -> list[nn.Parameter]:
        """Returns the weights of the residual blocks, from hidden channels to hidden channels."""
        blocks = [m for m in self.modules() if isinstance(m, ResidualBlock | PointwiseBlock)]
        return [p for block in blocks for p in block.parameters() if p.ndim == 4]

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Encodes images (B, 3, H, W) in [-1, 1] to tokens int64 (B, H/cell, W/cell)."""
        return self.codebook.tokenize(self.encoder(images))

    @torch.inference_mode()
    def decode(self, tokens: Tensor, known: Tensor | None = None) -> Tensor:
        """Decodes tokens (B, h, w) to images (B, 3, H, W), clamped to [-1, 1].

        known: the known pixels, float (B, 4, H, W), see `known_pixels`.
        """
        codes = self.codebook.lookup(tokens)
        if known is None:
            known = codes.new_zeros(len(codes), 4, *[self.cell * n for n in codes.shape[2:]])
        return self.decoder(codes, known).clamp(-1, 1)


def codebook_usage(counts: Tensor) -> tuple[float, float]:
    """Returns the share of codes that occur, and the perplexity of their frequencies, 1 to size.

    The perplexity is exp(entropy). counts: how often each code occurs, int64 (size,).
    """
    counts = counts.cpu()  # not every GPU has float64
    frequency = counts.double() / counts.sum()
    entropy = -(frequency * frequency.clamp_min(1e-12).log()).sum()
    return (counts > 0).double().mean().item(), entropy.exp().item()
