"""The mean reading: draws the mean of all codes that could stand in a hole, in one pass.

For each hidden token the transformer says how likely every code is. A sample takes one code. The
mean reading takes the mean of all codes (`maskgit.mean`), and a decoder that was taught on such
means draws the pixels. Its fills are near the truth and alike at every seed; samples look more
natural and differ (Blau and Michaeli, "The Perception-Distortion Tradeoff", arXiv 1711.06077).

Between the two: with N steps a part of the tokens is drawn first, in N - 1 steps of a sample. The
mean is taken of those that are still hidden then.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskgit.data.known_pixels import known_pixels
from maskgit.device import autocast
from maskgit.inpainting.decoding import TokenDecoder, Trajectory
from maskgit.inpainting.inpainter import DECODER, Inpainted, Inpainter, repeated
from maskgit.mean.codes import code_vectors, logits_and_stream, mean_codes
from maskgit.mean.decoder import MeanDecoder
from maskgit.parallel import in_pairs
from maskgit.pixels import to_uint8
from maskgit.schedules import Gamma, cosine
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.transformer.kinds import Transformer


class MeanInpainter(Inpainter):
    """Fills holes by the mean reading. With one step it has no random numbers."""

    def __init__(
        self,
        tokenizer: VQGAN,
        transformer: Transformer,
        drawer: MeanDecoder,
        seamless: bool = True,
        steps: int = 1,
        decoder: TokenDecoder = DECODER,
        guidance: float = 0.0,
    ):
        """Puts the networks into evaluation mode.

        steps: all but the last draw tokens, by `decoder` and `guidance` through the cosine
        schedule; the mean is not guided. seamless, guidance: see `Inpainter`.
        """
        super().__init__(tokenizer, transformer, seamless=seamless)
        self.sampler = Inpainter(tokenizer, transformer, decoder, guidance=guidance)
        self.drawer, self.steps = drawer.eval(), steps
        self.vectors = code_vectors(tokenizer)

    @torch.inference_mode()
    def __call__(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        gamma: Gamma = cosine,
        iterations: int = 1,
        generators: Sequence[torch.Generator] = (),
        draft: np.ndarray | None = None,
    ) -> Inpainted:
        """Fills the holes of a batch as `Inpainter` does; gamma and iterations are not used.

        generators: one for each image, where there is more than one step. The last step of the
        trajectory has the likeliest tokens.
        """
        if len(images) == 1:  # BLAS computes a batch of one differently, in the last bits
            *twice, drafts = repeated(images, hole, draft)
            pair = [each for g in generators for each in (g, g.clone_state())]
            return self(*twice, gamma, iterations, pair, drafts).image(0)
        states = self.draw_first(images, hole, generators, draft)
        filled, tokens = self.draw_mean(images, hole, *states[-1], draft)
        states.append((tokens, torch.zeros_like(tokens, dtype=torch.bool)))
        return Inpainted(filled, Trajectory(*map(torch.stack, zip(*states[1:], strict=True))))

    def draw_first(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        generators: Sequence[torch.Generator],
        draft: np.ndarray | None,
    ) -> list[tuple[Tensor, Tensor]]:
        """Draws tokens in all steps but the last.

        Returns tokens and which are hidden, (N, T) each, before the first step and after each.
        """
        states = [self.encode(images, hole)]
        if self.steps > 1:
            how = cosine, self.steps, generators, draft
            drawn = self.sampler.trace(images, hole, *how, last=False)
            states += zip(*[each.to(self.device) for each in drawn], strict=True)
        return states

    @torch.inference_mode()
    def draw_mean(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        tokens: Tensor,
        hidden: Tensor,
        draft: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Tensor]:
        """Returns the images, filled by the mean of the hidden tokens, and the likeliest tokens."""
        tokens, codes, *stream = self.read(images, hole, tokens, hidden, draft)
        known = known_pixels(images, hole, codes.device, draft)
        drawn = to_uint8(in_pairs(self.drawer, codes, known, *stream).clamp(-1, 1))
        return self.paste(drawn, images, hole), tokens

    def read(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        tokens: Tensor,
        hidden: Tensor,
        draft: np.ndarray | None = None,
    ) -> tuple[Tensor, ...]:
        """Returns the likeliest tokens (N, T) and what to draw: codes, and the stream if seen.

        Codes are float (N, latent_dim, h, w). As in `decode_into_hole`, those that cannot be known
        and need not be drawn are left out. The stream: see `MeanDecoder`.
        """
        embedding = self.embed_known_pixels(images, hole, draft)
        with autocast(self.device):
            seen = self.transformer, self.drawer.layers, tokens, embedding
            logits, *stream = logits_and_stream(*seen)
        logits = logits.float()[hidden]
        codes = F.embedding(tokens, self.vectors)
        codes[hidden] = mean_codes(logits, self.vectors[:-1])
        tokenizer, unknown = self.tokenizer, torch.from_numpy(hole).to(codes.device)
        left_out = hidden_tokens(unknown, tokenizer.cell, tokenizer.margin).left_out
        codes = codes.unflatten(1, left_out.shape[1:])
        codes = codes.masked_fill(left_out[..., None], 0).permute(0, 3, 1, 2)
        return tokens.masked_scatter(hidden, logits.argmax(dim=1)), codes, *stream

    def snapshot(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        trajectory: Trajectory,
        step: int,
        draft: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns pictures as `Inpainter` does; after the last step those of the mean."""
        if step < len(trajectory.tokens) - 1:
            return super().snapshot(images, hole, trajectory, step, draft)
        before = [each[step - 1] for each in trajectory] if step else self.encode(images, hole)
        filled, _ = self.draw_mean(images, hole, *before, draft)
        return self.picture_of_hidden(trajectory.hidden[step]), filled
