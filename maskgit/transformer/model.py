"""The bidirectional transformer that predicts hidden tokens from all the others.

MaskGIT (arXiv 2202.04200), section 3.1, on the plan of BERT (arXiv 1810.04805), with what makes
short trainings on small machines converge, each a line below:

- normalisation before each branch, without learned scales (layer norm, arXiv 1607.06450);
- queries and keys normalised, which allows larger learning rates (arXiv 2010.04245);
- squared ReLU, as good as GELU and cheaper (Primer, arXiv 2109.08668);
- branches that start at zero, so that every block starts as the identity;
- a depthwise 3 x 3 convolution in front of each block, which tells a token where its neighbours
  are from the first step on (conditional positional encoding, arXiv 2102.10882);
- the tokenizer's codebook at both ends, so that codes that look alike are alike from the start
  and need not be learned apart one by one.

Beside the tokens it sees the known pixels themselves, unrounded, around each place: tokens say only
what has been decided (PUT, arXiv 2205.05076).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgit.data.known_pixels import KnownPixelEmbedding
from maskgit.device import is_synchronous
from maskgit.transformer.masking import Example
from maskgit.transformer.settings import TransformerConfig

ROWS = 256


def norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, (x.shape[-1],))


def pad_rows(rows: Tensor) -> Tensor:
    """With zeros behind them to a multiple of ROWS.

    For each number of rows that it meets a processor's library makes another kernel and keeps it: a
    training step takes a third more time and by and by gigabytes.
    """
    return F.pad(rows, (0, 0, 0, -len(rows) % ROWS))


def attention(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """softmax(q k^T / sqrt(d)) v on (B, heads, N, d), fused where that is faster.

    In bf16 on a processor torch's fused kernel takes twice as long as the plain products.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        with torch.autocast("cpu", enabled=False):  # it would store the softmax in float32
            weights = (q * q.shape[-1] ** -0.5 @ k.transpose(2, 3)).softmax(dim=-1)
            return F.dropout(weights, dropout) @ v
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


class SelfAttention(nn.Module):
    """Multi-head self-attention without a mask: every token sees every other one.

    Vaswani et al., "Attention Is All You Need", arXiv 1706.03762, section 3.2.2.
    """

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    def queries_keys_values(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (3, B, heads, N, dim / heads), by one product of the three matrices."""
        weight = torch.cat([self.query.weight, self.key.weight, self.value.weight])
        split = F.linear(x, weight).unflatten(-1, (3, self.heads, -1))
        return split.permute(2, 0, 3, 1, 4).contiguous()

    def forward(self, x: Tensor) -> Tensor:  # (B, N, dim)
        qkv = self.queries_keys_values(x)
        (q, k), v = norm(qkv[:2]), qkv[2]
        dropout = self.dropout if self.training else 0.0
        y = attention(q, k, v, dropout)
        return self.output(y.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim, bias=False)
        self.down = nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.up(x))
        return self.down(h * h)  # under autocast `square` would go to float32


class Block(nn.Module):
    """Neighbours, then all tokens, then each token alone; each adds to the residual stream."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.neighbours = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.attention = SelfAttention(dim, heads, dropout)
        self.mlp = MLP(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, grid: int, where: Tensor | None = None) -> Tensor:
        """(B, N, dim) -> the same; with `where` bool (B, N) only there, (M, dim), then zeros."""
        image = x.transpose(1, 2).unflatten(2, (grid, grid))  # channels-last in memory
        x = x + self.neighbours(image).flatten(2).transpose(1, 2)
        x = x + self.dropout(self.attention(norm(x)))
        if where is not None:
            x = pad_rows(x[where])
        return x + self.dropout(self.mlp(norm(x)))


class MaskedTransformer(nn.Module):
    """Tokens int64 (B, N) in [0, codebook_size], the last value standing for "hidden".

    N = grid * grid, in rows. The mask token lies outside the codebook and is never predicted.
    The codes' vectors are a buffer, (codebook_size, latent_dim), set by `set_codebook`. The
    keyword arguments are the fields of `TransformerConfig`; raises ValueError where they fit no
    network.
    """

    def __init__(self, **config: Any):
        super().__init__()
        c = TransformerConfig(**config)
        self.grid = c.grid
        self.mask_token = c.codebook_size
        self.register_buffer("codebook", torch.zeros(c.codebook_size + 1, c.latent_dim))
        self.from_code = nn.Linear(c.latent_dim, c.dim, bias=False)
        self.to_code = nn.Linear(c.dim, c.latent_dim, bias=False)
        self.token_embedding = nn.Embedding(c.codebook_size + 1, c.dim)
        self.sees_pixels = c.cell > 0
        if self.sees_pixels:  # its own cell and half a cell on each side
            self.from_pixels = KnownPixelEmbedding(c.dim, c.cell, bias=False)
        self.position_embedding = nn.Parameter(torch.empty(c.grid * c.grid, c.dim))
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList([Block(c.dim, c.heads, c.dropout) for _ in range(c.layers)])
        self.head = nn.Linear(c.dim, c.codebook_size)
        self.initialise()

    def initialise(self) -> None:
        nn.init.normal_(self.from_code.weight, std=1.0)  # unit vectors -> a stream of unit scale
        nn.init.normal_(self.token_embedding.weight, std=0.1)
        nn.init.normal_(self.position_embedding, std=0.1)
        for block in self.blocks:
            nn.init.zeros_(block.neighbours.weight)
            nn.init.zeros_(block.neighbours.bias)
            nn.init.zeros_(block.attention.output.weight)
            nn.init.zeros_(block.mlp.down.weight)
        nn.init.zeros_(self.to_code.weight)  # the first guess is uniform
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def set_codebook(self, codebook: Tensor) -> None:
        """Takes the tokenizer's code vectors, unit length (codebook_size, latent_dim)."""
        self.codebook[:-1] = codebook

    def hide(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """Puts the mask token wherever `hidden` is True."""
        return tokens.masked_fill(hidden, self.mask_token)

    def embed_known_pixels(self, known: Tensor) -> Tensor | None:
        """What each place sees of the known pixels, float (B, 4, H, W): (B, N, dim), for `forward`.

        None for a model that sees tokens only.
        """
        return self.from_pixels(known).flatten(2).transpose(1, 2) if self.sees_pixels else None

    def forward(
        self, tokens: Tensor, pixel_embedding: Tensor | None = None, where: Tensor | None = None
    ) -> Tensor:
        """Logits float (B, N, codebook_size); with `where` bool (B, N) only there, (M, size).

        pixel_embedding: what `embed_known_pixels` made of the picture. The loss needs the hidden positions alone, and what
        comes after the last attention looks at each by itself.
        """
        # all codes pass the codebook's layers at both ends, which costs less than all tokens would
        embedding = self.token_embedding.weight + self.from_code(self.codebook)
        x = F.embedding(tokens, embedding) + self.position_embedding
        x = self.dropout(x if pixel_embedding is None else x + pixel_embedding)
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x, self.grid)
        x = norm(last(x, self.grid, where))
        weight = self.head.weight + self.codebook[:-1] @ self.to_code.weight
        logits = F.linear(x, weight, self.head.bias)
        return logits if where is None else logits[: int(where.sum())]


def masked_token_loss(model: nn.Module, example: Example, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy in nats on the hidden tokens only (MaskGIT, equation 1).

    A GPU predicts all of them: to gather the hidden ones it would have to say how many there are,
    and be waited for; the last layer's second half costs less than that.
    """
    hidden = example.hidden
    if is_synchronous(hidden.device):
        return hidden_token_losses(model, example, label_smoothing).mean()
    losses = _token_losses(model, example, label_smoothing)
    return (losses * hidden.flatten()).sum() / hidden.sum()


def hidden_token_losses(model: nn.Module, example: Example, label_smoothing: float = 0.0) -> Tensor:
    """The cross-entropy of each hidden token, (M,), in row order."""
    return _token_losses(model, example, label_smoothing, example.hidden)


def _token_losses(
    model: nn.Module, example: Example, label_smoothing: float, where: Tensor | None = None
) -> Tensor:
    """The cross-entropy of each token, or of each `where`, bool (B, N): (M,), in row order."""
    shown = model.hide(example.tokens, example.masked)
    logits = model(shown, model.embed_known_pixels(example.known), where=where).float()
    truth = example.tokens if where is None else example.tokens[where]
    return F.cross_entropy(
        logits.flatten(0, -2), truth.flatten(), label_smoothing=label_smoothing, reduction="none"
    )
