"""The original lab's transformer, with the layers and keys of its files, which load unchanged.

BERT (arXiv 1810.04805) on image tokens, as MaskGIT (arXiv 2202.04200, section 3.1) has it: learned
positions, normalisation after each branch, input and output embeddings tied. It can be used in
place of `MaskedTransformer`. It is not trained here.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-12  # of every norm


class SelfAttention(nn.Module):
    """Multi-head self-attention; `fused` computes queries, keys and values by one matrix.

    The files of the lab's students have one of these two layouts.
    """

    def __init__(self, dim: int, heads: int, fused: bool):
        super().__init__()
        self.heads = heads
        if fused:
            self.qkv = nn.Linear(dim, 3 * dim)
        else:
            self.query = nn.Linear(dim, dim)
            self.key = nn.Linear(dim, dim)
            self.value = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)
        self.fused = fused

    def split(self, x: Tensor) -> Tensor:
        """Splits (B, N, dim) into heads, (B, heads, N, dim / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:  # (B, N, dim)
        if self.fused:
            q, k, v = self.qkv(x).chunk(3, dim=-1)
        else:
            q, k, v = self.query(x), self.key(x), self.value(x)
        # softmax(q k^T / sqrt(dim / heads)) v, fused
        y = F.scaled_dot_product_attention(self.split(q), self.split(k), self.split(v))
        return self.proj(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then an MLP, each with a residual and a layer norm behind it (post-norm)."""

    def __init__(self, dim: int, heads: int, hidden_dim: int, fused: bool, dropout: float):
        super().__init__()
        self.Attention = SelfAttention(dim, heads, fused)
        self.LayerNorm1 = nn.LayerNorm(dim, EPS)
        self.LayerNorm2 = nn.LayerNorm(dim, EPS)
        self.MLP = nn.Sequential(
            nn.Linear(dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, dim), nn.Dropout(dropout)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # (B, N, dim)
        x = self.LayerNorm1(x + self.dropout(self.Attention(x)))
        return self.LayerNorm2(x + self.MLP(x))


class LabTransformer(nn.Module):
    """The lab's transformer, of tokens int64 (B, N) in [0, codebook_size], the last the mask token.

    N = grid * grid, in row order. The defaults are the lab's sizes: 72,745,472 parameters.
    """

    sees_pixels = False

    def __init__(
        self,
        codebook_size: int = 1024,
        grid: int = 16,
        dim: int = 768,
        heads: int = 16,
        layers: int = 15,
        hidden_dim: int = 1536,
        fused: bool = False,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.grid = grid
        self.mask_token = codebook_size
        self.tok_emb = nn.Embedding(codebook_size + 1, dim)
        self.pos_emb = nn.Parameter(torch.zeros(grid * grid, dim))
        self.LN = nn.LayerNorm(dim, EPS)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.Sequential(
            *[Block(dim, heads, hidden_dim, fused, dropout) for _ in range(layers)]
        )
        self.Token_Prediction = nn.Sequential(
            nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim, EPS)
        )
        self.bias = nn.Parameter(torch.zeros(grid * grid, codebook_size + 1))
        for weights in (self.tok_emb.weight, self.pos_emb):
            nn.init.trunc_normal_(weights, std=0.02)

    def hide(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """Puts the mask token wherever `hidden` is True."""
        return tokens.masked_fill(hidden, self.mask_token)

    def embed_known_pixels(self, known: Tensor) -> None:
        """Returns None, since this transformer sees no pixels."""

    def forward(
        self, tokens: Tensor, pixel_embedding: None = None, where: Tensor | None = None
    ) -> Tensor:
        """Returns logits float (B, N, codebook_size), or at the places `where`, (M, codebook_size).

        The lab's logits also have a column for the mask token, which is left out here.
        """
        x = self.drop(self.LN(self.tok_emb(tokens) + self.pos_emb))
        x = self.Token_Prediction(self.blocks(x))
        bias = self.bias[:, :-1].expand(len(tokens), -1, -1)
        if where is not None:
            x, bias = x[where], bias[where]
        return x @ self.tok_emb.weight[:-1].T + bias
