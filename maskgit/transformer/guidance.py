"""Autoguidance: a transformer led away from what it thought when it was young.

Karras et al., "Guiding a Diffusion Model with a Bad Version of Itself", arXiv 2406.02507, whose
weight w is 1 + guidance; here on logits. Both networks err alike, the young one more, so the way
from its guess to the other's points beyond it, to what a longer training would say.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from maskgit.checkpoints import Checkpoint
from maskgit.transformer.model import MaskedTransformer


class GuidedTransformer(nn.Module):
    """Used as a `MaskedTransformer`, whose arguments it takes. Its logits are those of `trained`,
    plus `guidance` times what they differ from the guide's; at 0 the guide costs nothing.

    Each call says its guidance, so that inpainters can share the networks.
    """

    def __init__(self, **config):
        super().__init__()
        self.trained = MaskedTransformer(**config)
        self.guide = MaskedTransformer(**config)
        self.grid = self.trained.grid
        self.mask_token = self.trained.mask_token
        self.sees_pixels = self.trained.sees_pixels

    def copy_weights(
        self, trained: MaskedTransformer, guide: MaskedTransformer
    ) -> "GuidedTransformer":
        """Copies the weights of both."""
        self.trained.load_state_dict(trained.state_dict())
        self.guide.load_state_dict(guide.state_dict())
        return self.eval()

    def hide(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        return self.trained.hide(tokens, hidden)

    def embed_known_pixels(self, known: Tensor, guidance: float = 0.0) -> Tensor | None:
        """As of one, (B, N, dim); with guidance for the guide beside it, (B, N, 2 dim)."""
        networks = [self.trained, self.guide] if guidance else [self.trained]
        pixel_embedding = [network.embed_known_pixels(known) for network in networks]
        return torch.cat(pixel_embedding, dim=2) if self.sees_pixels else None

    def forward(
        self,
        tokens: Tensor,
        pixel_embedding: Tensor | None = None,
        where: Tensor | None = None,
        guidance: float = 0.0,
    ) -> Tensor:
        """As of one; pixel_embedding: what `embed_known_pixels` made of the picture with the same guidance."""
        if not guidance:
            return self.trained(tokens, pixel_embedding, where)
        own, guides = (None, None) if pixel_embedding is None else pixel_embedding.chunk(2, dim=2)
        guess, young = self.trained(tokens, own, where), self.guide(tokens, guides, where)
        return guess + guidance * (guess - young)


def without_guide(checkpoint: Checkpoint) -> Checkpoint:
    """The trained transformer alone, in half the bytes: all that is used at guidance 0."""
    if checkpoint.kind != GuidedTransformer.__name__:
        return checkpoint
    own = "trained."
    state = {k.removeprefix(own): v for k, v in checkpoint.state.items() if k.startswith(own)}
    return replace(checkpoint, kind=MaskedTransformer.__name__, state=state)
