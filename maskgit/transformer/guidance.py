"""Autoguidance: extrapolates a transformer's logits away from those of an early checkpoint.

Karras et al., "Guiding a Diffusion Model with a Bad Version of Itself", arXiv 2406.02507, whose
weight w is 1 + guidance; here on logits. The early checkpoint makes the same errors, but larger
ones. So the difference of the two points to where a longer training would go.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from maskgit.checkpoints import Checkpoint
from maskgit.transformer.model import MaskedTransformer


class GuidedTransformer(nn.Module):
    """A `MaskedTransformer` with an early checkpoint of itself, the guide, for autoguidance.

    It takes the arguments of `MaskedTransformer`. Its logits are those of `trained` plus `guidance`
    times their difference to the guide's. At 0 the guide is not computed. The guidance is an
    argument of each call, so that inpainters with other settings can share the networks.
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
        """Copies the weights of both networks, and returns itself in evaluation mode."""
        self.trained.load_state_dict(trained.state_dict())
        self.guide.load_state_dict(guide.state_dict())
        return self.eval()

    def hide(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """Puts the mask token wherever `hidden` is True."""
        return self.trained.hide(tokens, hidden)

    def embed_known_pixels(self, known: Tensor, guidance: float = 0.0) -> Tensor | None:
        """Embeds known pixels as `MaskedTransformer`; with guidance twice, (B, N, 2 dim)."""
        networks = [self.trained, self.guide] if guidance else [self.trained]
        embeddings = [network.embed_known_pixels(known) for network in networks]
        return torch.cat(embeddings, dim=2) if self.sees_pixels else None

    def forward(
        self,
        tokens: Tensor,
        pixel_embedding: Tensor | None = None,
        where: Tensor | None = None,
        guidance: float = 0.0,
    ) -> Tensor:
        """Returns logits as `MaskedTransformer` does; `pixel_embedding` has the same guidance."""
        if not guidance:
            return self.trained(tokens, pixel_embedding, where)
        own, guides = (None, None) if pixel_embedding is None else pixel_embedding.chunk(2, dim=2)
        logits, guide = self.trained(tokens, own, where), self.guide(tokens, guides, where)
        return logits + guidance * (logits - guide)


def unguided(transformer: nn.Module) -> nn.Module:
    """Returns the transformer without its guide, if it has one."""
    return transformer.trained if isinstance(transformer, GuidedTransformer) else transformer


def without_guide(checkpoint: Checkpoint) -> Checkpoint:
    """Returns a checkpoint without its guide, half the bytes, which is enough at guidance 0."""
    if checkpoint.kind != GuidedTransformer.__name__:
        return checkpoint
    own = "trained."
    state = {k.removeprefix(own): v for k, v in checkpoint.state.items() if k.startswith(own)}
    return replace(checkpoint, kind=MaskedTransformer.__name__, state=state)
