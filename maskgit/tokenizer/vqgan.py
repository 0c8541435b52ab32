"""The tokenizer: a VQGAN that turns an image into tokens, 64 x 64 pixels into 16 x 16, and back.

Esser et al., "Taming Transformers for High-Resolution Image Synthesis", arXiv 2012.09841, with
three departures that serve inpainting:

- The encoder is local. A code sees its own cell, 4 x 4 pixels or larger, and half a cell more on
  each side, nothing else, so that the codes outside a hole are the same whether or not the hole is
  there. (With a deep encoder they differ, and the transformer meets codes at inference that it
  never trained on.)
- The codebook holds vectors of length one (ViT-VQGAN, arXiv 2110.04627) and follows the data as
  a running k-means (VQ-VAE, arXiv 1711.00937, appendix A.1), which keeps all its codes in use.
- The decoder sees the known pixels, too (asymmetric VQGAN, arXiv 2306.04632): it draws into a hole
  what fits around it, rather than trusting a code that does not.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgit import ranks
from maskgit.data.known_pixels import KnownPixelEmbedding, mask_pixels
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.settings import TokenizerConfig


class Quantized(NamedTuple):
    latents: Tensor  # (B, latent_dim, h, w), straight-through
    tokens: Tensor  # int64 (B, h, w)
    commitment_loss: Tensor  # scalar


class Codebook(nn.Module):
    """`size` unit vectors of `latent_dim` numbers; a token is the index of the nearest one."""

    decay = 0.99  # of the running k-means
    dead_below = 0.02  # a code is dead when its running count is under this share of the average

    def __init__(self, size: int, latent_dim: int):
        super().__init__()
        self.size = size
        self.register_buffer("embedding", F.normalize(torch.randn(size, latent_dim), dim=1))
        self.register_buffer("count", torch.ones(size))
        self.register_buffer("total", self.embedding.clone())
        self.register_buffer("initialised", torch.tensor(False))
        self.started = False  # what `initialised` says, without waiting for the device

    @property
    def unit_vectors(self) -> Tensor:
        """What a transformer may know of the codes, float (size, latent_dim) of length one."""
        return self.embedding

    def nearest(self, latents: Tensor) -> Tensor:
        """Unit latents (..., latent_dim) -> tokens int64 (...); the first index on ties."""
        return (latents @ self.embedding.T).max(dim=-1).indices  # sooner than argmax

    def forward(self, latents: Tensor) -> Quantized:
        """Quantizes (B, latent_dim, h, w); in training mode the codes move towards the data.

        In float32 whatever the rest runs in: with bf16's eight bits, near codes would tie.
        """
        with torch.autocast(latents.device.type, enabled=False):
            return self._quantize(F.normalize(latents.float(), dim=1))

    def _quantize(self, latents: Tensor) -> Quantized:
        flat = latents.permute(0, 2, 3, 1)  # (B, h, w, latent_dim)
        if self.training and not self.started:
            if not self.initialised:
                self._restart(torch.ones_like(self.count) > 0, flat.detach().flatten(0, 2))
                self.initialised.fill_(True)
            self.started = True
        tokens = self.nearest(flat)
        codes = self.lookup(tokens)
        if self.training:
            self._follow(flat.detach().flatten(0, 2), tokens.flatten())
        commitment_loss = F.mse_loss(latents, codes) * latents.shape[1]
        straight_through = latents + (codes - latents).detach()
        return Quantized(straight_through, tokens, commitment_loss)

    def lookup(self, tokens: Tensor) -> Tensor:
        """Tokens (B, h, w) -> codes (B, latent_dim, h, w); `size` stands for no code, all zeros."""
        return F.embedding(tokens, F.pad(self.embedding, (0, 0, 0, 1))).permute(0, 3, 1, 2)

    @torch.no_grad()
    def _follow(self, latents: Tensor, tokens: Tensor) -> None:
        """One step of running k-means on (M, latent_dim), restarting dead codes from the data.

        It counts the data of all ranks; the codes restart from the first one's.
        """
        ones = torch.ones_like(tokens, dtype=self.count.dtype)
        count = ranks.all_reduce_sum(torch.zeros_like(self.count).index_add_(0, tokens, ones))
        total = ranks.all_reduce_sum(torch.zeros_like(self.total).index_add_(0, tokens, latents))
        self.count.lerp_(count, 1 - self.decay)
        self.total.lerp_(total, 1 - self.decay)
        self.embedding.copy_(F.normalize(self.total, dim=1))
        self._restart(self.count < self.dead_below * self.count.mean(), latents)

    @torch.no_grad()
    def _restart(self, dead: Tensor, latents: Tensor) -> None:
        pick = latents[torch.randint(len(latents), (self.size,), device=latents.device)]
        count = torch.where(dead, self.count.mean(), self.count)
        self.embedding.copy_(torch.where(dead[:, None], pick, self.embedding))
        self.total.copy_(torch.where(dead[:, None], pick * count[:, None], self.total))
        self.count.copy_(count)
        ranks.broadcast_tensors(self.embedding, self.count, self.total)


class GroupNorm(nn.GroupNorm):
    """In float32, as autocast has it on a GPU; processors' bf16 kernels take twice as long."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


class ResidualBlock(nn.Module):
    """Two convolutions around a skip: norm, swish, conv, twice."""

    def __init__(self, channels: int, kernel: int = 3):
        super().__init__()
        self.block = nn.Sequential(
            GroupNorm(min(32, channels // 4), channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2),
            GroupNorm(min(32, channels // 4), channels),
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
    """(B, 3, H, W) in [-1, 1] -> (B, latent_dim, H/cell, W/cell); each output sees two cells by
    two: its own and half of its neighbours'."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 2 * cell, stride=cell, padding=cell // 2),
        *[PointwiseBlock(channels) for _ in range(blocks)],
        nn.SiLU(),
        nn.Conv2d(channels, latent_dim, 1),
    )


class Doubling(nn.Module):
    """(B, channels, h, w) to twice the resolution, with the known pixels (B, 4, H, W) of it."""

    def __init__(self, channels: int, finer: int, step: int):
        super().__init__()
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(channels, finer, 3, padding=1)
        )
        self.from_pixels = KnownPixelEmbedding(finer, step)
        self.block = ResidualBlock(finer)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        return self.block(self.up(x) + self.from_pixels(known))


class Decoder(nn.Module):
    """Codes (B, latent_dim, h, w) and known pixels (B, 4, H, W) -> images (B, 3, H, W), H = cell h.

    The known pixels come in at each of its resolutions. The last doubling is a sub-pixel
    convolution (arXiv 1609.05158): full resolution is where a decoder spends most of its time and
    least of its capacity.
    """

    def __init__(self, channels: int, blocks: int, latent_dim: int, cell: int):
        super().__init__()
        half = channels // 2
        self.from_codes = nn.Conv2d(latent_dim, channels, 3, padding=1)
        self.from_pixels = KnownPixelEmbedding(channels, cell)
        self.coarse = nn.Sequential(*[ResidualBlock(channels) for _ in range(blocks)])
        steps = [2**i for i in range(cell.bit_length() - 2, 0, -1)]  # cell / 2, ..., 4, 2
        widths = [channels] + [half] * len(steps)
        self.doublings = nn.ModuleList(map(Doubling, widths[:-1], widths[1:], steps))
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
    """Encoder, codebook and decoder. Images are float (B, 3, H, W) in [-1, 1], H and W by `cell`.

    The keyword arguments are the fields of `TokenizerConfig`; raises ValueError where they fit no
    network.
    """

    def __init__(self, **config: Any):
        super().__init__()
        c = TokenizerConfig(**config)
        self.cell = c.cell
        self.margin = c.cell // 2  # pixels that a code sees beyond its cell, on each side
        self.encoder = make_encoder(c.channels, c.encoder_blocks, c.latent_dim, c.cell)
        self.codebook = Codebook(c.codebook_size, c.latent_dim)
        self.decoder = Decoder(c.channels, c.decoder_blocks, c.latent_dim, c.cell)

    def settle_codes(self) -> None:
        """From now on only the decoder learns."""
        self.encoder.requires_grad_(False)
        self.codebook.eval()

    def forward(
        self, images: Tensor, hole: Tensor, mistakes: float = 0.0
    ) -> tuple[Tensor, Quantized]:
        """Returns the reconstruction (B, 3, H, W), not clamped, and what the codebook did.

        hole: bool (B, H, W). The decoder sees the pixels outside, and the codes that it would meet
        there: none where a code cannot be known and need not be drawn. mistakes: each image's codes
        in the hole are those of other latents, at most so far away (a transformer's are not the
        true ones either).
        """
        latents = F.normalize(self.encoder(images), dim=1)
        touched, covered = hidden_tokens(hole, self.cell, self.margin)
        if mistakes:
            far = mistakes * torch.rand(len(images), 1, 1, 1, device=images.device)
            astray = F.normalize(torch.randn_like(latents), dim=1)
            latents = latents + far * astray * covered[:, None]
        quantized = self.codebook(latents)
        codes = quantized.latents * (covered | ~touched)[:, None]
        return self.decoder(codes, mask_pixels(images, hole)), quantized

    @property
    def last_layer(self) -> Tensor:
        """The decoder's last weights, where VQGAN's adaptive weight compares its gradients."""
        return self.decoder.fine[-2].weight

    def hidden_convolutions(self) -> list[nn.Parameter]:
        """The weights inside the residual blocks, from hidden channels to hidden channels."""
        blocks = [m for m in self.modules() if isinstance(m, ResidualBlock | PointwiseBlock)]
        return [p for block in blocks for p in block.parameters() if p.ndim == 4]

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> tokens int64 (B, H/cell, W/cell)."""
        latents = F.normalize(self.encoder(images), dim=1)
        return self.codebook.nearest(latents.permute(0, 2, 3, 1))

    @torch.inference_mode()
    def decode(self, tokens: Tensor, known: Tensor | None = None) -> Tensor:
        """Tokens (B, h, w) -> images (B, 3, H, W), clamped to [-1, 1].

        known: what is known of the pixels, float (B, 4, H, W), see `known_pixels`.
        """
        codes = self.codebook.lookup(tokens)
        if known is None:
            known = codes.new_zeros(len(codes), 4, *[self.cell * n for n in codes.shape[2:]])
        return self.decoder(codes, known).clamp(-1, 1)


def codebook_usage(counts: Tensor) -> tuple[float, float]:
    """Share of codes that occur, and perplexity exp(entropy) of their frequencies (1 to size).

    counts: how often each code occurs, int64 (size,).
    """
    frequency = counts.double() / counts.sum()
    entropy = -(frequency * frequency.clamp_min(1e-12).log()).sum()
    return (counts > 0).double().mean().item(), entropy.exp().item()
