"""The original lab's tokenizer, with the layers and keys of its VQGAN.pt, which loads unchanged.

A VQGAN as in Esser et al., "Taming Transformers for High-Resolution Image Synthesis", arXiv
2012.09841: residual blocks with attention at the latent resolution, an unnormalised codebook. It
can be used in place of `VQGAN`. It is not trained here.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DOWN_AFTER = (2, 4)  # pairs of neighbouring encoder channels, from 0
UP_AFTER = (4, 2)  # decoder channels, by their place in the list
# The lab normalises test files and output by these numbers, and training files by others, which
# differ by a hundredth. One pair is used here for all, so that decoding inverts encoding.
MEAN = (0.4868, 0.4341, 0.3844)  # of RGB in [0, 1]
STD = (0.2620, 0.2527, 0.2543)


class GroupNorm(nn.Module):
    """Group norm with 32 groups, under the lab's key `gn`."""

    def __init__(self, channels: int):
        super().__init__()
        self.gn = nn.GroupNorm(32, channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.gn(x)


class ResidualBlock(nn.Module):
    """Norm, swish, convolution, twice, around a skip; `channel_up` widens the skip."""

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.block = nn.Sequential(
            GroupNorm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, out_channels, 3, padding=1),
            GroupNorm(out_channels),
            nn.SiLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        if channels != out_channels:
            self.channel_up = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.channel_up(x) if hasattr(self, "channel_up") else x
        return skip + self.block(x)


class Down(nn.Module):
    """Halves the resolution, (B, C, H, W) -> (B, C, H/2, W/2), padded right and bottom only."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    """Doubles the resolution: (B, C, H, W) -> (B, C, 2H, 2W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0))


class Attention(nn.Module):
    """Single-head self-attention over all places, around a skip."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = GroupNorm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W)
        y = self.norm(x)
        q, k, v = (f(y).flatten(2).transpose(1, 2) for f in (self.q, self.k, self.v))  # (B, HW, C)
        y = F.scaled_dot_product_attention(q, k, v)  # softmax(q k^T / sqrt(C)) v
        return x + self.proj_out(y.transpose(1, 2).unflatten(2, x.shape[2:]))


class Encoder(nn.Module):
    """Encodes images (B, image_channels, H, W) to latents (B, latent_dim, H/4, W/4)."""

    def __init__(
        self,
        image_channels: int,
        channels: list[int],
        latent_dim: int,
        resolution: int,
        latent_resolution: int,
    ):
        super().__init__()
        last = channels[-1]
        layers: list[nn.Module] = [nn.Conv2d(image_channels, channels[0], 3, padding=1)]
        for i, (before, after) in enumerate(pairwise(channels)):
            for width in (before, after):
                layers.append(ResidualBlock(width, after))
                if resolution == latent_resolution:
                    layers.append(Attention(after))
            if i in DOWN_AFTER:
                layers.append(Down(after))
                resolution //= 2
        layers += [ResidualBlock(last, last), Attention(last), ResidualBlock(last, last)]
        layers += [GroupNorm(last), nn.SiLU(), nn.Conv2d(last, latent_dim, 3, padding=1)]
        self.model = nn.Sequential(*layers)
        self.resolution = resolution  # of the latents

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class LabPixelDecoder(nn.Module):
    """Decodes latents (B, latent_dim, h, w) to images (B, image_channels, 4h, 4w)."""

    def __init__(
        self, image_channels: int, channels: list[int], latent_dim: int, latent_resolution: int
    ):
        super().__init__()
        resolution, before = latent_resolution, channels[-1]
        layers: list[nn.Module] = [nn.Conv2d(latent_dim, before, 3, padding=1)]
        layers += [ResidualBlock(before, before), Attention(before), ResidualBlock(before, before)]
        for i, after in reversed(list(enumerate(channels))):
            for width in (before, after, after):
                layers.append(ResidualBlock(width, after))
                if resolution == latent_resolution:
                    layers.append(Attention(after))
            if i in UP_AFTER:
                layers.append(Up(after))
                resolution *= 2
            before = after
        layers += [GroupNorm(before), nn.Conv2d(before, image_channels, 3, padding=1)]
        self.model = nn.Sequential(*layers)
        self.resolution = resolution  # of the images

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Codebook(nn.Module):
    """A codebook of `codebook_size` vectors of `latent_dim` numbers, not normalised."""

    def __init__(self, codebook_size: int, latent_dim: int):
        super().__init__()
        self.codebook_size = codebook_size
        self.embedding = nn.Embedding(codebook_size, latent_dim)

    @property
    def unit_vectors(self) -> Tensor:
        """Returns the codes scaled to length one, float (codebook_size, latent_dim)."""
        return F.normalize(self.embedding.weight, dim=1)

    def nearest(self, latents: Tensor) -> Tensor:
        """Returns the code nearest to each latent (..., latent_dim), int64 (...); first on ties."""
        codes = self.embedding.weight
        # |z - e|^2 without |z|^2, which is the same for every code
        return (codes.square().sum(dim=1) - 2 * latents @ codes.T).argmin(dim=-1)

    def lookup(self, tokens: Tensor) -> Tensor:
        """Returns the vectors of tokens (B, h, w): (B, latent_dim, h, w)."""
        return self.embedding(tokens).permute(0, 3, 1, 2)


class LabVQGAN(nn.Module):
    """The lab's VQGAN. Images are float (B, 3, H, W) in [-1, 1], H = img_resolution.

    The arguments are those of `model_param` in the lab's VQGAN.yml, the defaults its values.
    Raises ValueError where they do not fit each other.

    `margin` is 0, as in the lab: a token counts as known where its own cell is known. With
    attention every code depends on the whole image, the masked hole too, so that no margin would
    make the known tokens independent of the hole.
    """

    margin = 0

    def __init__(
        self,
        image_channels: int = 3,
        enc_channels: tuple[int, ...] | list[int] = (128, 128, 128, 256, 256, 512),
        dec_channels: tuple[int, ...] | list[int] = (128, 128, 256, 256, 512),
        latent_dim: int = 256,
        img_resolution: int = 64,
        latent_resolution: int = 16,
        num_codebook_vectors: int = 1024,
    ):
        super().__init__()
        enc_channels, dec_channels = list(enc_channels), list(dec_channels)
        self.cell = img_resolution // latent_resolution
        self.encoder = Encoder(
            image_channels, enc_channels, latent_dim, img_resolution, latent_resolution
        )
        self.decoder = LabPixelDecoder(image_channels, dec_channels, latent_dim, latent_resolution)
        self.codebook = Codebook(num_codebook_vectors, latent_dim)
        self.quant_conv = nn.Conv2d(latent_dim, latent_dim, 1)
        self.post_quant_conv = nn.Conv2d(latent_dim, latent_dim, 1)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None], persistent=False)
        if self.encoder.resolution != latent_resolution:
            raise ValueError(
                f"{len(enc_channels)} enc_channels lead from {img_resolution} to "
                f"{self.encoder.resolution}, not to latent_resolution {latent_resolution}"
            )
        if self.decoder.resolution != img_resolution:
            raise ValueError(
                f"{len(dec_channels)} dec_channels lead from {latent_resolution} to "
                f"{self.decoder.resolution}, not to img_resolution {img_resolution}"
            )

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Encodes images (B, 3, H, W) in [-1, 1] to tokens int64 (B, H/4, W/4)."""
        normalised = ((images + 1) / 2 - self.mean) / self.std
        latents = self.quant_conv(self.encoder(normalised))
        return self.codebook.nearest(latents.permute(0, 2, 3, 1))

    @torch.inference_mode()
    def decode(self, tokens: Tensor, known: Tensor | None = None) -> Tensor:
        """Decodes tokens (B, h, w) to images (B, 3, 4h, 4w) in [-1, 1]; `known` is not used."""
        normalised = self.decoder(self.post_quant_conv(self.codebook.lookup(tokens)))
        return ((normalised * self.std + self.mean) * 2 - 1).clamp(-1, 1)
