"""Fills holes in images: encodes known pixels, decodes hidden tokens, pastes known pixels back."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskgit.data.known_pixels import known_pixels
from maskgit.device import autocast, has_float64
from maskgit.inpainting.decoders import Confidence
from maskgit.inpainting.decoding import TokenDecoder, Trajectory, decode
from maskgit.inpainting.seam import blend, composite, ring_errors
from maskgit.parallel import batch_invariant_chunks
from maskgit.schedules import Gamma
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.kinds import Tokenizer, decode_into_hole, encode_each
from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.kinds import Transformer
from maskgit.transformer.masking import cells_to_pixels

DECODER = Confidence()
GREY = 128  # stands for hole pixels in the encoder's input


class Inpainted(NamedTuple):
    """Filled images and how their tokens were decoded."""

    images: np.ndarray  # uint8 (N, H, W, 3), known pixels unchanged
    trajectory: Trajectory

    def image(self, i: int) -> "Inpainted":
        """Returns image i as a batch of one."""
        steps = [tensor[:, i : i + 1] for tensor in self.trajectory]
        return Inpainted(self.images[i : i + 1], Trajectory(*steps))

    def padded(self, steps: int) -> "Inpainted":
        """Returns a copy whose trajectory repeats its last step up to `steps` steps."""
        more = steps - len(self.trajectory.tokens)
        longer = [
            torch.cat([tensor, tensor[-1:].expand(more, -1, -1)]) for tensor in self.trajectory
        ]
        return Inpainted(self.images, Trajectory(*longer))


def image_generators(seed: int, indices: Sequence[int], variant: int = 0) -> list[torch.Generator]:
    """Returns a random generator for each image, seeded by seed, image index and variant."""
    sequences = [np.random.SeedSequence([seed, i, variant]) for i in indices]
    seeds = [int(sequence.generate_state(1, np.uint64)[0]) for sequence in sequences]
    return [torch.Generator().manual_seed(s) for s in seeds]


def ring_errors_of(drawn: Sequence[np.ndarray], images: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns `ring_errors` of each of several fills of a batch, (fills, N)."""
    return np.stack([ring_errors(each, images, hole) for each in drawn])


def distances_to_others(
    drawn: Sequence[np.ndarray], images: np.ndarray, hole: np.ndarray
) -> np.ndarray:
    """Returns the summed squared distance in the hole of each fill to the others, (fills, N).

    The lowest is the medoid's: the one of several possible fills that is nearest to all of them.
    """
    holed = [np.where(hole[..., None], each, 0).astype(np.int64) for each in drawn]
    pairs = [[np.square(a - b).sum(axis=(1, 2, 3)) for b in holed] for a in holed]
    return np.sum(pairs, axis=1)


# By what the kept one of several fills is chosen; the lowest is kept.
CHOICES = {"ring": ring_errors_of, "medoid": distances_to_others}


def keep_lowest(candidates: Sequence[Inpainted], badness: np.ndarray) -> Inpainted:
    """Returns for each image the candidate of the lowest badness, the first of equal ones.

    candidates: fills of the same batch before pasting. badness: (candidates, N). Shorter
    trajectories are padded by their last step.
    """
    best = badness.argmin(axis=0)
    longest = max(len(trajectory.tokens) for _, trajectory in candidates)
    chosen = [candidates[number].image(i).padded(longest) for i, number in enumerate(best)]
    steps = zip(*[part.trajectory for part in chosen], strict=True)
    trajectory = Trajectory(*[torch.cat(tensors, dim=1) for tensors in steps])
    return Inpainted(np.concatenate([part.images for part in chosen]), trajectory)


def repeated(*parts: np.ndarray | None) -> list[np.ndarray | None]:
    """Returns a batch of one twice; None stays None."""
    return [part if part is None else part.repeat(2, axis=0) for part in parts]


class Inpainter:
    """Fills holes by a tokenizer and a transformer that was trained on its tokens.

    Attributes:
        sweeps_in_one_run: whether `sweep_iterations` takes all its results from a single run, so
            that none of them has a time of its own.
    """

    sweeps_in_one_run = False

    def __init__(
        self,
        tokenizer: Tokenizer,
        transformer: Transformer,
        decoder: TokenDecoder = DECODER,
        seamless: bool = True,
        best_of: int = 1,
        guidance: float = 0.0,
        choose: str = "ring",
    ):
        """Puts the networks into evaluation mode.

        decoder: see `decode`. seamless: whether fills are blended, see `maskgit.inpainting.seam`.
        best_of: candidates for each image, of which one is kept. guidance: see `GuidedTransformer`;
        not used by other transformers. choose: of CHOICES, by what the kept one is chosen.
        """
        self.tokenizer = tokenizer.eval()
        self.transformer = transformer.eval()
        self.decoder = decoder
        self.device = next(transformer.parameters()).device
        self.paste = partial(blend, device=self.device) if seamless else composite
        self.best_of, self.badness = best_of, CHOICES[choose]
        guided = isinstance(transformer, GuidedTransformer)
        self.guidance = {"guidance": guidance} if guided else {}  # an argument of its calls

    @torch.inference_mode()
    def __call__(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        gamma: Gamma,
        iterations: int,
        generators: Sequence[torch.Generator],
        draft: np.ndarray | None = None,
    ) -> Inpainted:
        """Fills the holes of a batch.

        images: uint8 (N, H, W, 3); hole: bool (N, H, W), True = fill. iterations: what the decoder
        may spend, in its own unit. draft: bool (N, H, W), hole pixels whose colours in `images` are
        a draft (`maskgit.data.drafts`), for models that were trained with drafts.
        """
        if len(images) == 1:  # BLAS computes a batch of one differently, in the last bits
            *twice, drafts = repeated(images, hole, draft)
            pair = [generators[0], generators[0].clone_state()]
            return self(*twice, gamma, iterations, pair, drafts).image(0)
        candidates = []
        for _ in range(self.best_of):
            trajectory = self.trace(images, hole, gamma, iterations, generators, draft)
            drawn = self.decode_pixels(trajectory.tokens[-1], images, hole, draft)
            candidates.append(Inpainted(drawn, trajectory))
        drawn, trajectory = candidates[0]
        if len(candidates) > 1:
            badness = self.badness([each.images for each in candidates], images, hole)
            drawn, trajectory = keep_lowest(candidates, badness)
        return Inpainted(self.paste(drawn, images, hole), trajectory)

    def trace(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        gamma: Gamma,
        iterations: int,
        generators: Sequence[torch.Generator],
        draft: np.ndarray | None = None,
        last: bool = True,
    ) -> Trajectory:
        """Decodes a batch and returns its tokens after each step; arguments as in a call.

        last: whether the last step is taken, see `decode`.
        """
        tokens, hidden = self.encode(images, hole)
        if not has_float64(self.device):  # in which tokens are chosen
            tokens, hidden = tokens.cpu(), hidden.cpu()
        embedding = self.embed_known_pixels(images, hole, draft)
        return decode(
            self.decoder,
            partial(self.predict, pixel_embedding=embedding),
            tokens,
            hidden,
            self.transformer.mask_token,
            gamma,
            iterations,
            generators,
            last,
        )

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
        """Yields each number of iterations with the batch filled by it.

        seed, indices, variant: of the random numbers, see `image_generators`.
        """
        for count in iterations:
            yield count, self(images, hole, gamma, count, image_generators(seed, indices, variant))

    def encode(self, images: np.ndarray, hole: np.ndarray) -> tuple[Tensor, Tensor]:
        """Encodes masked images: tokens int64 (N, T), and which are to be predicted, bool (N, T).

        Hole pixels are overwritten first, so that no token depends on them. Touched tokens become
        the mask token. See `maskgit.tokenizer.hidden_tokens`.
        """
        blanked = np.where(hole[..., None], np.uint8(GREY), images)
        tokens = encode_each(self.tokenizer, blanked).flatten(1)
        tokens_of_hole = hidden_tokens(
            torch.from_numpy(hole).to(self.device), self.tokenizer.cell, self.tokenizer.margin
        )
        hidden = tokens_of_hole.to_predict(self.transformer.sees_pixels)
        return self.transformer.hide(tokens, tokens_of_hole.touched.flatten(1)), hidden.flatten(1)

    def embed_known_pixels(
        self, images: np.ndarray, hole: np.ndarray, draft: np.ndarray | None = None
    ) -> Tensor | None:
        """Embeds the known pixels, (N, T, dim); None where the transformer sees no pixels."""
        if not self.transformer.sees_pixels:
            return None
        known = known_pixels(images, hole, self.device, draft)
        with autocast(self.device):
            chunks = batch_invariant_chunks(known)
            embed = partial(self.transformer.embed_known_pixels, **self.guidance)
            return torch.cat([embed(chunk) for chunk in chunks])

    def decode_pixels(
        self,
        tokens: Tensor,
        images: np.ndarray,
        hole: np.ndarray,
        draft: np.ndarray | None = None,
    ) -> np.ndarray:
        """Decodes tokens int64 (N, T) to images uint8 (N, H, W, 3) that fit the known pixels."""
        grid = self.transformer.grid
        tokens = tokens.to(self.device).unflatten(1, (grid, grid))
        return decode_into_hole(self.tokenizer, tokens, images, hole, draft)

    def snapshot(
        self,
        images: np.ndarray,
        hole: np.ndarray,
        trajectory: Trajectory,
        step: int,
        draft: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns pictures of a decoding after a step, two uint8 (N, H, W, 3).

        The first shows hidden tokens in white, the second the images with hidden tokens in grey.
        """
        mask = self.picture_of_hidden(trajectory.hidden[step])
        pending = mask[..., 0] > 0
        tokens = trajectory.tokens[step].masked_fill(trajectory.hidden[step], 0)
        filled = self.decode_pixels(tokens, images, hole, draft)
        filled[pending] = GREY
        # Unfinished fills have no colours at the edge to blend.
        paste = composite if pending.any() else self.paste
        return mask, paste(filled, images, hole)

    def picture_of_hidden(self, hidden: Tensor) -> np.ndarray:
        """Returns hidden tokens, bool (N, T), as white squares, uint8 (N, H, W, 3)."""
        pixels = cells_to_pixels(hidden, self.transformer.grid * self.tokenizer.cell).cpu().numpy()
        return np.repeat(pixels[..., None] * np.uint8(255), 3, axis=3)

    def predict(self, tokens: Tensor, hidden: Tensor, pixel_embedding: Tensor | None) -> Tensor:
        """Returns the logits of the hidden places, float (M, K).

        pixel_embedding: see `embed_known_pixels`. Images without a hidden place are left out. The
        head runs on all places of the others. On the hidden ones only, the last bits would depend
        on how many are hidden in the rest of the batch. A single image is predicted twice, as in a
        call.
        """
        waiting = hidden.any(dim=1).nonzero().flatten()
        shown = waiting.repeat(2) if len(waiting) == 1 else waiting
        if pixel_embedding is not None:
            pixel_embedding = pixel_embedding[shown.to(self.device)]
        with autocast(self.device):
            tokens = tokens[shown].to(self.device)
            logits = self.transformer(tokens, pixel_embedding, **self.guidance)
        return logits[: len(waiting)].float().to(hidden.device)[hidden[waiting]]
