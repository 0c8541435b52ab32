"""Mean codes: for each hidden token the mean of all codes, weighted by their probabilities.

A mean is shorter than a code where the transformer is unsure. The decoder sees that, too.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.transformer.guidance import unguided
from maskgit.transformer.kinds import Transformer

ROWS = 256  # hidden tokens whose mean codes are computed together


@torch.no_grad()
def code_vectors(tokenizer: VQGAN) -> Tensor:
    """Returns the codes, float (codes + 1, latent_dim); the last row, all zeros, is no code."""
    codes = tokenizer.codebook.codebook_size
    tokens = torch.arange(codes + 1, device=next(tokenizer.parameters()).device)
    return tokenizer.codebook.lookup(tokens[None, None])[0, :, 0].T.contiguous()


def mean_codes(logits: Tensor, vectors: Tensor) -> Tensor:
    """Returns the mean of the codes under predicted distributions, float (M, latent_dim).

    logits: (M, K); vectors: the codes, (K, latent_dim). A row's result does not depend on the
    others: a sum over codes, not a product of matrices, whose last bits depend on M.
    """
    parts = (part.float().softmax(dim=1)[..., None] for part in logits.split(ROWS))
    return torch.cat([(part * vectors).sum(dim=1) for part in parts])


def logits_and_stream(
    transformer: Transformer,
    layers: int,
    tokens: Tensor,
    pixel_embedding: Tensor | None,
    where: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Returns what a transformer says without guidance, as a decoder of mean codes needs it.

    That is its logits, float (B, N, K), or (M, K) with `where`, bool (B, N). For a decoder with a
    copy of the last `layers` blocks there is also what enters these, float (B, N, dim).
    """
    if not layers:
        return (transformer(tokens, pixel_embedding, where),)
    own = unguided(transformer)
    stream = own.stream(tokens, pixel_embedding, layers)
    return own.predict(stream, layers, where), stream.float()


class MeanInputs:
    """What a `MeanDecoder` sees of an image with a hole, for its training.

    That is what `MeanInpainter` shows it: the codes outside the hole, the mean codes in it, the
    known pixels, and what enters the blocks of which it has a copy. Nothing is learned in tokenizer
    and transformer. layers: blocks of which it has a copy.
    """

    def __init__(self, tokenizer: VQGAN, transformer: Transformer, layers: int):
        self.tokenizer, self.transformer = tokenizer.eval(), transformer.eval()
        self.layers, self.vectors = layers, code_vectors(tokenizer)

    @torch.no_grad()
    def __call__(self, known: Tensor, hole: Tensor) -> tuple[Tensor, ...]:
        """Returns the arguments of the decoder: codes (B, latent_dim, h, w), known pixels, stream.

        known: the known pixels, float (B, 4, H, W). hole: bool (B, H, W).
        """
        with torch.autocast(known.device.type, enabled=False):  # as codes are chosen elsewhere
            tokens = self.tokenizer.encode(known[:, :3])
        tokens_of_hole = hidden_tokens(hole, self.tokenizer.cell, self.tokenizer.margin)
        shown = self.transformer.hide(tokens, tokens_of_hole.touched)
        hidden = tokens_of_hole.to_predict(self.transformer.sees_pixels)
        seen = shown.flatten(1), self.transformer.embed_known_pixels(known)
        logits, *stream = logits_and_stream(
            self.transformer, self.layers, *seen, where=hidden.flatten(1)
        )
        means = mean_codes(logits, self.vectors[:-1])
        codes = F.embedding(shown, self.vectors)
        codes = codes.masked_scatter(hidden[..., None], means)
        codes = codes.masked_fill(tokens_of_hole.left_out[..., None], 0).permute(0, 3, 1, 2)
        return codes, known, *stream
