"""The decoder of the original lab, with its faults, to measure what each of them costs.

Where it differs from MaskGIT (arXiv 2202.04200):

- at every step the image just decoded is encoded again, so known tokens drift and errors add up;
- every place takes its arg-max token, visible places too, which were not trained;
- Gumbel noise is added to the probability, with a temperature that rises;
- gamma is a share of the tokens hidden now, not of those hidden first, so that it compounds;
- no known pixels are pasted back, and the tokenizer's decoder does not see them.

The result is the image at a "sweet spot", a step of a longer run. `LabChoices` corrects single
points.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from maskgit.device import has_float64
from maskgit.inpainting.decoding import Trajectory, least_confident, to_gumbel, uniform_noise
from maskgit.inpainting.inpainter import Inpainted, Inpainter, image_generators, repeated
from maskgit.inpainting.seam import composite
from maskgit.inpainting.settings import CHOICE_TEMPERATURE, Sampler
from maskgit.lab.settings import LabChoices
from maskgit.schedules import Gamma
from maskgit.tokenizer.kinds import Tokenizer, decode_each, encode_each
from maskgit.transformer.kinds import Transformer

ORIGINAL = LabChoices()


def keep_all(filled: np.ndarray, images: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the decoded images without pasting; in place of `composite`."""
    return filled


def lab_counts(now: Tensor, first: Tensor, share: float, choices: LabChoices) -> Tensor:
    """Returns how many tokens stay hidden at gamma = `share`, int64 (B,).

    now, first: int64 (B,), hidden before this step and before the first one. At least 1 stays
    hidden, as in the lab, unless none is hidden.
    """
    of = first if choices.count_from_start else now
    return torch.minimum((of * share).long().clamp_min(1), now)


class LabInpainter(Inpainter):
    """The lab's loop; `iterations` is the index, from 0, of the step whose image is the result."""

    sweeps_in_one_run = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        transformer: Transformer,
        choices: LabChoices = ORIGINAL,
        choice_temperature: float = CHOICE_TEMPERATURE,
    ):
        super().__init__(tokenizer, transformer)
        self.choices = choices
        self.choice_temperature = choice_temperature
        self.paste = composite if choices.paste else keep_all

    @classmethod
    def from_settings(
        cls, sampler: Sampler, tokenizer: Tokenizer, transformer: Transformer
    ) -> "LabInpainter":
        """Returns the lab's loop with the settings `sampler.lab`.

        Of the other settings only the choice temperature applies: the loop takes the arg-max, and
        there is no guidance.
        """
        return cls(tokenizer, transformer, sampler.lab, sampler.choice_temperature)

    @torch.inference_mode()
    def sweep_iterations(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        gamma: Gamma,
        iterations: Sequence[int],
        seed: int,
        indices: Sequence[int],
        variant: int = 0,
    ) -> Iterator[tuple[int, Inpainted]]:
        """Yields each sweet spot with the images at that step of one run; see `Inpainter`."""
        if len(images) == 1:  # as in `Inpainter.__call__`
            twice = repeated(images, hole)
            pair = self.sweep_iterations(*twice, gamma, iterations, seed, [*indices] * 2, variant)
            yield from ((sweet_spot, filled.image(0)) for sweet_spot, filled in pair)
            return
        generators = image_generators(seed, indices, variant)
        trajectory = self.trace(images, hole, gamma, max(iterations), generators)
        for sweet_spot in iterations:
            part = Trajectory(*[tensor[: sweet_spot + 1] for tensor in trajectory])
            filled = self.decode_pixels(part.tokens[-1], images, hole)
            yield sweet_spot, Inpainted(self.paste(filled, images, hole), part)

    def trace(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        gamma: Gamma,
        iterations: int,
        generators: Sequence[torch.Generator],
        draft: None = None,
    ) -> Trajectory:
        """Decodes up to the sweet spot; the tokens of each step are whole images.

        There are no drafts. Raises ValueError where the sweet spot lies outside the run.
        """
        if not 0 <= iterations < self.choices.total:
            raise ValueError(f"sweet spot {iterations} is not a step of {self.choices.total}")
        tokens, hidden = self.encode(images, hole)
        pixel_embedding = self.embed_known_pixels(images, hole)
        first = hidden.sum(dim=1)
        trajectory = []
        precise = torch.float64 if has_float64(hidden.device) else torch.float32
        for step in range(iterations + 1):
            noise = to_gumbel(uniform_noise(hidden.shape[1:], generators))
            gumbel = noise.to(hidden.device, precise)
            logits = self.predict(
                self.transformer.hide(tokens, hidden), torch.ones_like(hidden), pixel_embedding
            )
            probability, predicted = logits.softmax(dim=1).max(dim=1)
            probability, predicted = probability.view_as(hidden), predicted.view_as(hidden)
            share = gamma(step / (self.choices.total - 1))
            choice_temperature = self.choice_temperature * (
                share if self.choices.cooling else 1 - share
            )
            confidence = (probability + choice_temperature * gumbel).masked_fill(~hidden, torch.inf)
            counts = lab_counts(hidden.sum(dim=1), first, share, self.choices)
            shown = (
                torch.where(hidden, predicted, tokens) if self.choices.keep_tokens else predicted
            )
            hidden = least_confident(confidence, counts)
            trajectory.append((shown, hidden))
            if self.choices.keep_tokens:
                tokens = shown
            else:
                tokens = encode_each(
                    self.tokenizer, self.decode_pixels(shown, images, hole)
                ).flatten(1)
        return Trajectory(*map(torch.stack, zip(*trajectory, strict=True)))

    def decode_pixels(
        self, tokens: Tensor, images: np.ndarray, hole: np.ndarray, draft: None = None
    ) -> np.ndarray:
        """Decodes tokens int64 (N, T) to images uint8 (N, H, W, 3), without the known pixels."""
        grid = self.transformer.grid
        return decode_each(self.tokenizer, tokens.unflatten(1, (grid, grid)))

    def snapshot(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        trajectory: Trajectory,
        step: int,
        draft: None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns pictures as `Inpainter` does; no token is grey, since steps predict all."""
        mask = self.picture_of_hidden(trajectory.hidden[step])
        return mask, self.paste(
            self.decode_pixels(trajectory.tokens[step], images, hole), images, hole
        )
