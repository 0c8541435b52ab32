"""Quantizers turn latents into tokens and codes; gradients pass straight through.

A new one is a class with the methods of `Quantizer` and a line in `QUANTIZERS`; `CODES` in
`codebook_sizes` says how many codes it has (docs/add-a-tokenizer.md).
"""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgit import ranks
from maskgit.tokenizer.codebook_sizes import fsq_levels


class Quantized(NamedTuple):
    """The result of a quantizer.

    Attributes:
        codes: float (B, latent_dim, h, w), `lookup(tokens)` up to rounding. Their gradient is that
            of the latents before rounding.
        tokens: int64 (B, h, w).
        loss: a scalar that draws latents to their codes.
    """

    codes: Tensor
    tokens: Tensor
    loss: Tensor


class Codebook(Protocol):
    """The codes behind a tokenizer's tokens.

    codebook_size: the number of codes; tokens are in [0, codebook_size). It is the length of
    `unit_vectors`, and may differ from the setting of that name.
    """

    codebook_size: int

    @property
    def unit_vectors(self) -> Tensor:
        """The codes as a transformer may know them, float (codebook_size, any), of length one.

        Codes that look alike have a large inner product; different codes have different vectors.
        """
        ...


class Quantizer(Codebook, Protocol):
    """A `Codebook` that is trained with an encoder and a decoder; an `nn.Module`.

    It is made from `(codebook_size, latent_dim)` and raises ValueError for a size that it cannot
    have. It takes the encoder's raw latents, and normalises or bounds them itself. Each token
    depends on the latent at its own place alone. In evaluation mode the same latents give the same
    tokens. In training mode it may change itself, the same on all ranks (`maskgit.ranks`). Whatever
    it changes is a buffer or a parameter, so that a resumed training goes on alike.
    """

    def __call__(self, latents: Tensor, distance: Tensor | None = None) -> Quantized:
        """Quantizes float (B, latent_dim, h, w).

        distance: float (B, 1, h, w), how far latents are moved in random directions before they
        are quantized, where the root mean square length of a code is 1. None draws no random
        numbers.
        """
        ...

    def tokenize(self, latents: Tensor) -> Tensor:
        """Returns the tokens, int64 (B, h, w), of float (B, latent_dim, h, w); changes nothing."""
        ...

    def lookup(self, tokens: Tensor) -> Tensor:
        """Returns the codes (B, latent_dim, h, w) of tokens (B, h, w).

        The token `codebook_size` stands for no code: all zeros.
        """
        ...


class KMeans(nn.Module):
    """A codebook of unit vectors that follows the data; a token is the index of the nearest one.

    Vectors of length one as in ViT-VQGAN, arXiv 2110.04627; running k-means as in VQ-VAE, arXiv
    1711.00937, appendix A.1, with codes that are hardly used restarted from the data.
    """

    decay = 0.99  # of the running k-means
    dead_below = 0.02  # a code is dead when its running count is under this share of the average

    def __init__(self, codebook_size: int, latent_dim: int):
        super().__init__()
        self.codebook_size = codebook_size
        embedding = F.normalize(torch.randn(codebook_size, latent_dim), dim=1)
        self.register_buffer("embedding", embedding)
        self.register_buffer("count", torch.ones(codebook_size))
        self.register_buffer("total", self.embedding.clone())
        self.register_buffer("initialised", torch.tensor(False))
        self.started = False  # a copy of `initialised` that is read without waiting for the device

    @property
    def unit_vectors(self) -> Tensor:
        """The codes themselves, float (codebook_size, latent_dim)."""
        return self.embedding

    def nearest(self, latents: Tensor) -> Tensor:
        """Returns the tokens, int64 (...), of unit latents (..., latent_dim); the first on ties."""
        return (latents @ self.embedding.T).max(dim=-1).indices  # faster than argmax

    def tokenize(self, latents: Tensor) -> Tensor:
        return self.nearest(F.normalize(latents, dim=1).permute(0, 2, 3, 1))

    def lookup(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, F.pad(self.embedding, (0, 0, 0, 1))).permute(0, 3, 1, 2)

    def forward(self, latents: Tensor, distance: Tensor | None = None) -> Quantized:
        """Quantizes, see `Quantizer`; in training mode the codes move towards the data.

        In float32 whatever the rest runs in: with bf16's eight bits, near codes would tie.
        """
        with torch.autocast(latents.device.type, enabled=False):
            latents = F.normalize(latents.float(), dim=1)
            if distance is not None:
                latents = latents + distance * F.normalize(torch.randn_like(latents), dim=1)
            return self._quantize(F.normalize(latents, dim=1))

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
        loss = F.mse_loss(latents, codes) * latents.shape[1]
        return Quantized(latents + (codes - latents).detach(), tokens, loss)

    @torch.no_grad()
    def _follow(self, latents: Tensor, tokens: Tensor) -> None:
        """Does one step of running k-means on (M, latent_dim), restarting dead codes from the data.

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
        pick = latents[torch.randint(len(latents), (self.codebook_size,), device=latents.device)]
        count = torch.where(dead, self.count.mean(), self.count)
        self.embedding.copy_(torch.where(dead[:, None], pick, self.embedding))
        self.total.copy_(torch.where(dead[:, None], pick * count[:, None], self.total))
        self.count.copy_(count)
        ranks.broadcast_tensors(self.embedding, self.count, self.total)


class FSQ(nn.Module):
    """Finite scalar quantization: a few numbers, each bounded and rounded to one of its levels.

    Mentzer et al., arXiv 2309.15505. There is no codebook to learn and no loss to draw latents to
    it. A linear layer leads from `latent_dim` to the few numbers and another one back, so that
    encoder and decoder are those of every quantizer. The codes are all combinations of levels:
    `codebook_size` names a set of levels (`fsq_levels`), whose product the attribute of that name
    is.
    """

    squeeze = 1e-3  # keeps tanh inside of the outermost levels, as in the paper

    def __init__(self, codebook_size: int, latent_dim: int):
        super().__init__()
        sizes = fsq_levels(codebook_size)
        levels = torch.tensor(sizes)
        axes = [torch.arange(size) for size in sizes]
        places = torch.cartesian_prod(*axes)  # (codebook_size, d), of each code the level in each
        middle = levels // 2
        self.codebook_size = len(places)
        self.from_latents = nn.Linear(latent_dim, len(sizes))
        self.to_codes = nn.Linear(len(sizes), latent_dim)
        # they follow from the levels: no checkpoint holds them
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("middle", middle, persistent=False)
        self.register_buffer("strides", levels.flip(0).cumprod(0).flip(0) // levels, False)
        self.register_buffer("grid", (places - middle) / middle, persistent=False)

    @property
    def unit_vectors(self) -> Tensor:
        """The levels in [-1, 1] and a one, scaled to length one: float (codebook_size, d + 1).

        Without the one, codes in the same direction would have the same vector.
        """
        return F.normalize(F.pad(self.grid, (0, 1), value=1.0), dim=1)

    def tokenize(self, latents: Tensor) -> Tensor:
        return self._tokens(self._bounded(latents).round())

    def lookup(self, tokens: Tensor) -> Tensor:
        codes = self.to_codes(self.grid)
        return F.embedding(tokens, F.pad(codes, (0, 0, 0, 1))).permute(0, 3, 1, 2)

    def forward(self, latents: Tensor, distance: Tensor | None = None) -> Quantized:
        """Quantizes, see `Quantizer`; in float32 whatever the rest runs in."""
        with torch.autocast(latents.device.type, enabled=False):
            bounded = self._bounded(latents.float())
            if distance is not None:
                bounded = self._moved(bounded, distance)
            rounded = bounded + (bounded.round() - bounded).detach()
            codes = self.to_codes(rounded / self.middle).permute(0, 3, 1, 2)
            return Quantized(codes, self._tokens(bounded.round()), codes.new_zeros(()))

    def _bounded(self, latents: Tensor) -> Tensor:
        """Bounds (B, latent_dim, h, w) to (B, h, w, d); rounded, they count levels from the middle.

        An even number of levels has no middle: there the range is moved down by half a level.
        """
        x = self.from_latents(latents.permute(0, 2, 3, 1))
        reach = (self.levels - 1) * (1 - self.squeeze) / 2
        offset = (1 - self.levels % 2) / 2
        return (x + (offset / reach).atanh()).tanh() * reach - offset

    def _moved(self, bounded: Tensor, distance: Tensor) -> Tensor:
        """Moves `bounded` at random, see `Quantizer`, but not out of the range of the levels."""
        direction = F.normalize(torch.randn_like(bounded), dim=-1)
        length = self.grid.square().sum(dim=1).mean().sqrt()  # of a typical code
        moved = bounded + distance.permute(0, 2, 3, 1) * length * self.middle * direction
        return moved.clamp(-self.middle, self.levels - 1 - self.middle)

    def _tokens(self, rounded: Tensor) -> Tensor:
        return ((rounded.long() + self.middle) * self.strides).sum(dim=-1)


QUANTIZERS: dict[str, type[Quantizer]] = {"kmeans": KMeans, "fsq": FSQ}
