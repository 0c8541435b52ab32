"""Pastes filled pixels into a hole, without a visible seam, and changes no other pixel."""

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from scipy.sparse import csc_array, diags_array
from scipy.sparse.linalg import splu

from maskgit.inpainting.poisson import blend_batch
from maskgit.tokenizer.kinds import Tokenizer, decode_into_hole, encode_each

CPU = torch.device("cpu")
BATCHED = 512**2  # the iterations on a GPU grow with the side, those of `_refine` hardly do
LARGE = 8192  # hole pixels; the factorisation of 250,000 took over a minute
SWEEPS = 40
RING = 4  # width in pixels of the known ring around a hole in which candidates are compared
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def composite(filled: np.ndarray, images: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns `filled` in the hole, `images` elsewhere; uint8 (N, H, W, 3), hole bool (N, H, W)."""
    return np.where(hole[..., None], filled, images)


def blend(
    filled: np.ndarray, images: np.ndarray, hole: np.ndarray, device: torch.device = CPU
) -> np.ndarray:
    """Pastes as `composite`, and removes the step in colour at the hole's edge (Poisson blending).

    At the edge a decoded picture differs from the known pixels by the tokenizer's error, and by
    more where sampled tokens have another shade. `membrane` continues that difference into the
    hole, and it is subtracted from the fill.

    A GPU blends the batch at once (`maskgit.inpainting.poisson`), up to BATCHED pixels a picture.
    Up to LARGE hole pixels its results are the processor's to one grey level; for larger holes
    only its own are exact.
    """
    if device.type != "cpu" and hole[0].size <= BATCHED:
        batch = [torch.from_numpy(np.array(part)).to(device) for part in (filled, images, hole)]
        return blend_batch(*batch).cpu().numpy()
    return np.stack([_blend(*triple) for triple in zip(filled, images, hole, strict=True)])


def _blend(filled: np.ndarray, image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    blended = image.copy()
    blended[hole] = filled[hole]
    if hole.any() and not hole.all():
        near = around(hole)
        smooth = membrane(image[near].astype(float) - filled[near], hole[near])
        blended[hole] = (filled[hole] + smooth).round().clip(0, 255)
    return blended


def ring_errors(drawn: np.ndarray, images: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the mean squared error of decoded pictures in the known ring around the hole.

    drawn, images: uint8 (N, H, W, 3); no pixel in the hole, bool (N, H, W), is read. Returns
    float64 (N,), 0 where there are no known pixels in the ring.
    """
    errors = np.zeros(len(images))
    for i, one in enumerate(hole):
        ring = binary_dilation(one, iterations=RING) & ~one
        if ring.any():
            errors[i] = np.mean((drawn[i][ring].astype(np.float64) - images[i][ring]) ** 2)
    return errors


def membrane(difference: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the smoothest function over the hole that equals `difference` at its edge.

    Solves Laplace's equation in the hole (Perez et al., "Poisson Image Editing", 2003, equation
    2 for the difference of two pictures). difference: float (H, W, C), read next to the hole only;
    hole: bool (H, W), neither empty nor full. Returns float (hole pixels, C), in row order.

    The solution is exact up to LARGE pixels. For larger holes it is found at half the size and
    refined, which for smooth differences stays within 3 % of their range (tests/maskgit/inpainting/
    test_any_size.py).
    """
    return (_refine if hole.sum() > LARGE else _solve)(difference, hole)


def smoothest_fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fills a hole with the smoothest colours that continue those at its edge (`membrane`).

    image: uint8 (H, W, 3), not read in the hole, bool (H, W), which is neither empty nor full.
    """
    filled = image.copy()
    filled[hole] = membrane(image.astype(float), hole).round().clip(0, 255)
    return filled


def around(hole: np.ndarray) -> tuple[slice, slice]:
    """Returns the box of a hole, bool (H, W), not empty, with the pixels next to it."""
    rows, columns = np.nonzero(hole)
    return (
        slice(max(0, rows.min() - 1), rows.max() + 2),
        slice(max(0, columns.min() - 1), columns.max() + 2),
    )


def _refine(difference: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Refines the solution at half the size by sweeps of Jacobi's iteration."""
    near = around(hole)
    difference, hole = difference[near], hole[near]
    height, width = hole.shape
    odd = (0, height % 2), (0, width % 2)
    known = np.pad(~hole, odd)
    values = np.pad(difference, (*odd, (0, 0))) * known[..., None]
    blocks = (known.shape[0] // 2, 2, known.shape[1] // 2, 2)
    count = known.reshape(blocks).sum(axis=(1, 3))
    coarse = values.reshape(*blocks, -1).sum(axis=(1, 3)) / np.maximum(count, 1)[..., None]
    if not count.all():
        coarse[count == 0] = membrane(coarse, count == 0)
    guess = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    u = np.where(hole[..., None], guess, difference)
    inside = np.zeros((height + 2, width + 2, 1))
    inside[1:-1, 1:-1] = 1
    degree = _neighbour_sum(inside)
    for _ in range(SWEEPS):
        mean = _neighbour_sum(np.pad(u, ((1, 1), (1, 1), (0, 0)))) / degree
        u[hole] = mean[hole]
    return u[hole]


def _neighbour_sum(x: np.ndarray) -> np.ndarray:
    """Sums the four neighbours of each inner pixel, (H + 2, W + 2, C) -> (H, W, C)."""
    return x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]


def _solve(difference: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Solves exactly by a sparse factorisation."""
    height, width = hole.shape
    rows, columns = np.nonzero(hole)
    number = np.full(hole.shape, -1)
    number[rows, columns] = np.arange(len(rows))
    degree = np.zeros(len(rows))
    edge = np.zeros((len(rows), difference.shape[2]))
    pairs = []
    for down, right in NEIGHBOURS:
        y, x = rows + down, columns + right
        here = np.flatnonzero((y >= 0) & (y < height) & (x >= 0) & (x < width))
        y, x = y[here], x[here]
        degree[here] += 1
        inside = hole[y, x]
        pairs.append((here[inside], number[y[inside], x[inside]]))
        edge[here[~inside]] += difference[y[~inside], x[~inside]]
    i, j = np.concatenate(pairs, axis=1)
    links = csc_array((np.ones(len(i)), (i, j)), shape=(len(rows), len(rows)))
    return splu((diags_array(degree) - links).tocsc()).solve(edge)


def reconstruct(tokenizer: Tokenizer, images: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fills the hole from the tokens of the true images, blended; uint8 (N, H, W, 3).

    It is the tokenizer's upper bound, since a sampler does not know these tokens.
    """
    filled = decode_into_hole(tokenizer, encode_each(tokenizer, images), images, hole)
    return blend(filled, images, hole, next(tokenizer.parameters()).device)
