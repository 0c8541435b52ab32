"""How well fills pass for true images before a linear judge (P-IDS and U-IDS)."""

from typing import NamedTuple

import numpy as np

FOLDS = 4  # the judge never sees the pairs that it is asked about
FEWEST = 4 * FOLDS  # pairs; with fewer there is nothing to learn from


class Discrimination(NamedTuple):
    """Paired and unpaired inception discriminative scores, image by image.

    Attributes:
        p_ids: float64 (N,), 1 where the fill looks truer to the judge than the true image.
        u_ids: float64 (N,), the judge's share of errors on the two images of a pair.
    """

    p_ids: np.ndarray
    u_ids: np.ndarray


def discriminate(features: np.ndarray, truth_features: np.ndarray) -> Discrimination:
    """Returns P-IDS and U-IDS, cross-validated; their means are the scores.

    Zhao et al. 2021, "Large Scale Image Completion via Co-Modulated Generative Adversarial
    Networks", arXiv 2103.10428, section 4: a linear support vector machine is trained to tell
    fills from true images by their features. P-IDS is the share of the pairs in which the fill
    looks truer to it than the true image, U-IDS its share of errors; a perfect sampler gets 0.5 in
    both. There the machine judges what it was trained on, and with fewer images than features
    it tells all of them apart, so that both are 0 whatever the fills are like. Here it judges
    pairs that it has not seen, which has a meaning for a hundred images, too, but is another
    number than the published one: `_cv` in the scores' names says so.

    Args:
        features, truth_features: (N, D), of fills and of their true images.

    Returns:
        All NaN for fewer than FEWEST images.
    """
    n = len(features)
    if n < FEWEST:
        return Discrimination(np.full(n, np.nan), np.full(n, np.nan))
    from sklearn.model_selection import GroupKFold, cross_val_predict  # half a second
    from sklearn.svm import LinearSVC

    true_side, fill_side = cross_val_predict(
        LinearSVC(dual=False),  # the exact optimum, sooner than the dual solver comes near it
        np.concatenate([truth_features, features]).astype(np.float64),
        np.repeat([1, 0], n),
        groups=np.tile(np.arange(n), 2),
        cv=GroupKFold(FOLDS),
        method="decision_function",
    ).reshape(2, n)
    errors = ((true_side < 0).astype(float) + (fill_side > 0)) / 2
    return Discrimination((fill_side > true_side).astype(float), errors)
