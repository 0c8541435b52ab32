"""The mean reading: draws the mean of all codes that could stand in a hole, in one pass.

For each hidden token the transformer says how likely every code is. A sample takes one code. The
mean reading takes the mean of all codes (`maskgit.mean`), and a decoder that was taught on such
means draws the pixels. Its fills are near the truth and alike at every seed; samples look more
natural and differ (Blau and Michaeli, "The Perception-Distortion Tradeoff", arXiv 1711.06077).
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskgit.data.known_pixels import known_pixels
from maskgit.inpainting.decoding import Trajectory
from maskgit.inpainting.inpainter import Inpainted, Inpainter
from maskgit.mean.codes import code_vectors, mean_codes
from maskgit.mean.decoder import MeanDecoder
from maskgit.parallel import batch_invariant_chunks
from maskgit.pixels import to_uint8
from maskgit.schedules import Gamma, linear
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.transformer.kinds import Transformer


class MeanInpainter(Inpainter):
    """Fills holes by the mean reading. It has no steps, schedule or random numbers."""

    def __init__(
        self,
        tokenizer: VQGAN,
        transformer: Transformer,
        drawer: MeanDecoder,
        seamless: bool = True,
    ):
        """Puts the networks into evaluation mode; seamless: see `Inpainter`."""
        super().__init__(tokenizer, transformer, seamless=seamless)
        self.drawer = drawer.eval()
        self.vectors = code_vectors(tokenizer)

    @torch.inference_mode()
    def __call__(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        gamma: Gamma = linear,
        iterations: int = 1,
        generators: Sequence[torch.Generator] = (),
    ) -> Inpainted:
        """Fills the holes of a batch as `Inpainter` does; the last three arguments are not used.

        The trajectory has one step, with the likeliest tokens.
        """
        if len(images) == 1:  # BLAS computes a batch of one differently, in the last bits
            twice = images.repeat(2, axis=0), hole.repeat(2, axis=0)
            return self(*twice).image(0)
        codes, tokens = self.read(images, hole)
        known = known_pixels(images, hole, codes.device)
        pairs = zip(batch_invariant_chunks(codes), batch_invariant_chunks(known), strict=True)
        drawn = np.concatenate([to_uint8(self.drawer(*pair).clamp(-1, 1)) for pair in pairs])
        trajectory = Trajectory(tokens[None], torch.zeros_like(tokens, dtype=torch.bool)[None])
        return Inpainted(self.paste(drawn, images, hole), trajectory)

    def read(self, images: np.ndarray, hole: np.ndarray) -> tuple[Tensor, Tensor]:
        """Returns the codes to draw, float (N, latent_dim, h, w), and the likeliest tokens (N, T).

        As in `decode_into_hole`, codes that cannot be known and need not be drawn are left out.
        """
        tokens, hidden = self.encode(images, hole)
        logits = self.predict(tokens, hidden, self.embed_known_pixels(images, hole))
        codes = F.embedding(tokens, self.vectors)
        codes[hidden] = mean_codes(logits, self.vectors[:-1])
        tokenizer, unknown = self.tokenizer, torch.from_numpy(hole).to(codes.device)
        touched, covered = hidden_tokens(unknown, tokenizer.cell, tokenizer.margin)
        codes = codes.unflatten(1, touched.shape[1:])
        codes = codes.masked_fill((touched & ~covered)[..., None], 0).permute(0, 3, 1, 2)
        return codes, tokens.masked_scatter(hidden, logits.argmax(dim=1))

    def snapshot(
        self, images: np.ndarray, hole: np.ndarray, trajectory: Trajectory, step: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns pictures as `Inpainter` does; after the only step nothing is hidden."""
        return self.picture_of_hidden(trajectory.hidden[step]), self(images, hole).images
