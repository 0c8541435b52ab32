"""The bidirectional transformer that predicts hidden tokens from all the others.

MaskGIT (arXiv 2202.04200), section 3.1, built as BERT (arXiv 1810.04805), with changes that make
short trainings on small machines converge:

- normalisation before each branch, without learned scales (layer norm, arXiv 1607.06450);
- queries and keys normalised, which allows larger learning rates (arXiv 2010.04245);
- squared ReLU, as good as GELU and cheaper (Primer, arXiv 2109.08668);
- residual branches whose output starts at zero, so that every block starts as the identity;
- a depthwise 3 x 3 convolution in front of each block, which relates neighbouring tokens from the
  first step of training on (conditional positional encoding, arXiv 2102.10882);
- the tokenizer's codebook in the input and output embeddings, so that similar codes start with
  similar embeddings.

Beside the tokens the transformer sees the known pixels around each place, not quantized (PUT, arXiv
2205.05076).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgit.data.known_pixels import KnownPixelEmbedding
from maskgit.device import is_synchronous
from maskgit.transformer.masking import Example
from maskgit.transformer.settings import TransformerConfig

ROWS = 256  # see `pad_rows`


def norm(x: Tensor) -> Tensor:
    """Applies layer norm over the last dimension, without learned scale and shift."""
    return F.layer_norm(x, (x.shape[-1],))


def pad_rows(rows: Tensor) -> Tensor:
    """Pads rows (M, dim) by zeros to a multiple of ROWS.

    A processor's library compiles and caches a kernel for each number of rows. Without padding a
    training step takes a third more time, and the cache grows to gigabytes.
    """
    return F.pad(rows, (0, 0, 0, -len(rows) % ROWS))


def attention(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Returns scaled dot-product attention, softmax(q k^T / sqrt(d)) v, on (B, heads, N, d).

    It is fused where that is faster. In bf16 on a processor torch's fused kernel takes twice as
    long as the plain products.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        with torch.autocast("cpu", enabled=False):  # it would store the softmax in float32
            weights = (q * q.shape[-1] ** -0.5 @ k.transpose(2, 3)).softmax(dim=-1)
            return F.dropout(weights, dropout) @ v
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


class SelfAttention(nn.Module):
    """Multi-head self-attention over all tokens, without an attention mask.

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
        """Projects (B, N, dim) to (3, B, heads, N, dim / heads) by one product."""
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
    """Two linear layers with a squared ReLU between them, applied to each token."""

    def __init__(self, dim: int):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim, bias=False)
        self.down = nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.up(x))
        return self.down(h * h)  # under autocast `square` would go to float32


class Block(nn.Module):
    """A depthwise convolution, self-attention and an MLP, each as a residual branch."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.neighbours = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.attention = SelfAttention(dim, heads, dropout)
        self.mlp = MLP(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, grid: int, where: Tensor | None = None) -> Tensor:
        """Maps (B, N, dim) to (B, N, dim), or to (M, dim), padded, at the places `where`."""
        image = x.transpose(1, 2).unflatten(2, (grid, grid))  # channels-last in memory
        x = x + self.neighbours(image).flatten(2).transpose(1, 2)
        x = x + self.dropout(self.attention(norm(x)))
        if where is not None:
            x = pad_rows(x[where])
        return x + self.dropout(self.mlp(norm(x)))


class MaskedTransformer(nn.Module):
    """Predicts hidden tokens. Tokens are int64 (B, N), codes or the mask token `codebook_size`.

    N = grid * grid, in row order. The mask token is never predicted. The vectors of the codes are a
    buffer, (codebook_size + 1, latent_dim), which `set_codebook` fills. The keyword arguments are
    the fields of `TransformerConfig`; raises ValueError where they are invalid.
    """

    def __init__(self, **config: Any):
        super().__init__()
        c = TransformerConfig(**config)
        self.grid, self.dim, self.heads = c.grid, c.dim, c.heads
        self.mask_token = c.codebook_size
        self.register_buffer("codebook", torch.zeros(c.codebook_size + 1, c.latent_dim))
        self.from_code = nn.Linear(c.latent_dim, c.dim, bias=False)
        self.to_code = nn.Linear(c.dim, c.latent_dim, bias=False)
        self.token_embedding = nn.Embedding(c.codebook_size + 1, c.dim)
        self.sees_pixels = c.cell > 0
        if self.sees_pixels:  # of the token's own cell and half a cell on each side
            self.from_pixels = KnownPixelEmbedding(c.dim, c.cell, bias=False)
        self.position_embedding = nn.Parameter(torch.empty(c.grid * c.grid, c.dim))
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList([Block(c.dim, c.heads, c.dropout) for _ in range(c.layers)])
        self.head = nn.Linear(c.dim, c.codebook_size)
        self.initialise()

    def initialise(self) -> None:
        """Initialises the weights: each block is the identity, and all codes are equally likely."""
        nn.init.normal_(self.from_code.weight, std=1.0)  # maps unit vectors to unit scale
        nn.init.normal_(self.token_embedding.weight, std=0.1)
        nn.init.normal_(self.position_embedding, std=0.1)
        for block in self.blocks:
            nn.init.zeros_(block.neighbours.weight)
            nn.init.zeros_(block.neighbours.bias)
            nn.init.zeros_(block.attention.output.weight)
            nn.init.zeros_(block.mlp.down.weight)
        nn.init.zeros_(self.to_code.weight)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def set_codebook(self, codebook: Tensor) -> None:
        """Stores the tokenizer's code vectors, (codebook_size, latent_dim) of unit length."""
        self.codebook[:-1] = codebook

    def hide(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """Puts the mask token wherever `hidden` is True."""
        return tokens.masked_fill(hidden, self.mask_token)

    def embed_known_pixels(self, known: Tensor) -> Tensor | None:
        """Embeds known pixels, float (B, 4, H, W), around each token: (B, N, dim), for `forward`.

        Returns None for a model that sees tokens only.
        """
        return self.from_pixels(known).flatten(2).transpose(1, 2) if self.sees_pixels else None

    def forward(
        self, tokens: Tensor, pixel_embedding: Tensor | None = None, where: Tensor | None = None
    ) -> Tensor:
        """Returns logits float (B, N, codebook_size), or at the places `where`, (M, codebook_size).

        pixel_embedding: see `embed_known_pixels`. where: bool (B, N), such as the hidden tokens for
        the loss. The layers after the last attention, which treat each token by itself, then run
        on these places only.
        """
        return self.predict(self.stream(tokens, pixel_embedding), where=where)

    def stream(
        self, tokens: Tensor, pixel_embedding: Tensor | None = None, last: int = 1
    ) -> Tensor:
        """Returns what enters the last blocks, as many as `last`: float (B, N, dim)."""
        # The embedding is computed for all codes, which are fewer than the tokens of a batch.
        embedding = self.token_embedding.weight + self.from_code(self.codebook)
        x = F.embedding(tokens, embedding) + self.position_embedding
        x = self.dropout(x if pixel_embedding is None else x + pixel_embedding)
        for block in self.blocks[:-last]:
            x = block(x, self.grid)
        return x

    def predict(self, x: Tensor, last: int = 1, where: Tensor | None = None) -> Tensor:
        """Returns the logits of a `stream` that enters the last blocks; where: see a call."""
        *blocks, end = self.blocks[-last:]
        for block in blocks:
            x = block(x, self.grid)
        x = norm(end(x, self.grid, where))
        weight = self.head.weight + self.codebook[:-1] @ self.to_code.weight
        logits = F.linear(x, weight, self.head.bias)
        return logits if where is None else logits[: int(where.sum())]


def masked_token_loss(model: nn.Module, example: Example, label_smoothing: float = 0.0) -> Tensor:
    """Returns the mean cross-entropy in nats of the hidden tokens (MaskGIT, equation 1).

    A GPU predicts all tokens. To select the hidden ones, the processor would have to wait for their
    number, which costs more than the last MLP and the head on the other tokens.
    """
    hidden = example.hidden
    if is_synchronous(hidden.device):
        return hidden_token_losses(model, example, label_smoothing).mean()
    logits, truth = _predictions(model, example)
    losses = F.cross_entropy(logits, truth, label_smoothing=label_smoothing, reduction="none")
    return (losses * hidden.flatten()).sum() / hidden.sum()


def hidden_token_losses(model: nn.Module, example: Example, label_smoothing: float = 0.0) -> Tensor:
    """Returns the cross-entropy in nats of each hidden token, (M,), in row order."""
    logits, truth = hidden_token_predictions(model, example)
    return F.cross_entropy(logits, truth, label_smoothing=label_smoothing, reduction="none")


def hidden_token_predictions(model: nn.Module, example: Example) -> tuple[Tensor, Tensor]:
    """Returns the logits float (M, K) and the true tokens int64 (M,) of the hidden tokens."""
    return _predictions(model, example, example.hidden)


def _predictions(
    model: nn.Module, example: Example, where: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Returns logits and true tokens of all places, or of those at `where`, in row order."""
    shown = model.hide(example.tokens, example.masked)
    logits = model(shown, model.embed_known_pixels(example.known), where=where).float()
    truth = example.tokens if where is None else example.tokens[where]
    return logits.flatten(0, -2), truth.flatten()
