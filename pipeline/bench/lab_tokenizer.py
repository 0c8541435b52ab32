"""The lab's tokenizer: a deep VQGAN with attention, after Esser et al., arXiv 2012.09841."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


class Residual(nn.Module):
    def __init__(self, before: int, after: int):
        super().__init__()
        self.block = nn.Sequential(
            norm(before),
            nn.SiLU(),
            nn.Conv2d(before, after, 3, padding=1),
            norm(after),
            nn.SiLU(),
            nn.Conv2d(after, after, 3, padding=1),
        )
        self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.block(x)


class Attention(nn.Module):
    """One head over all places."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.output = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).flatten(2).chunk(3, dim=1)  # (B, C, h * w) each
        weights = (q.transpose(1, 2) @ k * q.shape[1] ** -0.5).softmax(dim=2)
        return x + self.output((v @ weights.transpose(1, 2)).unflatten(2, x.shape[2:]))


class LabVQGAN(nn.Module):
    """64 x 64 pixels to 16 x 16 tokens and back; widths are lists, as in the lab's YAML file."""

    cell = 4
    margin = 0

    def __init__(
        self, enc_channels: list[int], dec_channels: list[int], latent_dim: int, codebook_size: int
    ):
        super().__init__()
        width, side, layers = enc_channels[0], 64, [nn.Conv2d(3, enc_channels[0], 3, padding=1)]
        for i, after in enumerate(enc_channels[1:]):
            for _ in range(2):
                layers.append(Residual(width, after))
                layers += [Attention(after)] if side == 16 else []
                width = after
            if i in (2, 4):
                layers += [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2)]
                side //= 2
        layers += [Residual(width, width), Attention(width), Residual(width, width)]
        layers += [norm(width), nn.SiLU(), nn.Conv2d(width, latent_dim, 3, padding=1)]
        self.encoder = nn.Sequential(*layers)

        width, side = dec_channels[-1], 16
        layers = [nn.Conv2d(latent_dim, width, 3, padding=1), Residual(width, width)]
        layers += [Attention(width), Residual(width, width)]
        for i, after in reversed(list(enumerate(dec_channels))):
            for _ in range(3):
                layers.append(Residual(width, after))
                layers += [Attention(after)] if side == 16 else []
                width = after
            if i in (4, 2):
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)]
                side *= 2
        layers += [norm(width), nn.Conv2d(width, 3, 3, padding=1)]
        self.decoder = nn.Sequential(*layers)
        self.quant_conv = nn.Conv2d(latent_dim, latent_dim, 1)
        self.post_quant_conv = nn.Conv2d(latent_dim, latent_dim, 1)
        self.codebook = nn.Embedding(codebook_size, latent_dim)

    def nearest(self, latents: Tensor) -> Tensor:
        """(B, latent_dim, h, w) -> int64 (B, h, w), by squared distance."""
        flat = latents.permute(0, 2, 3, 1)
        codes = self.codebook.weight
        distance = flat.square().sum(-1, keepdim=True) + codes.square().sum(1) - 2 * flat @ codes.T
        return distance.argmin(dim=-1)

    def lookup(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, self.codebook.weight).permute(0, 3, 1, 2)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        return self.nearest(self.quant_conv(self.encoder(images)))

    @torch.inference_mode()
    def decode(self, tokens: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(self.lookup(tokens))).clamp(-1, 1)
