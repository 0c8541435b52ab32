"""P-IDS and U-IDS: how often a linear classifier takes fills for true images."""

from typing import NamedTuple

import numpy as np

FOLDS = 4  # of the cross-validation
FEWEST = 4 * FOLDS  # groups of pairs; fewer are too few to train on


class Discrimination(NamedTuple):
    """Paired and unpaired inception discriminative scores of each image.

    Attributes:
        p_ids: float64 (N,), 1 where the classifier ranks the fill as truer than the true image, 0.5
            where it ranks both alike.
        u_ids: float64 (N,), the classifier's share of errors on the two images of a pair; where it
            cannot decide, half an error.
    """

    p_ids: np.ndarray
    u_ids: np.ndarray


def discriminate(
    features: np.ndarray, truth_features: np.ndarray, groups: np.ndarray | None = None
) -> Discrimination:
    """Returns P-IDS and U-IDS, cross-validated; their means are the scores.

    Zhao et al. 2021, "Large Scale Image Completion via Co-Modulated Generative Adversarial
    Networks", arXiv 2103.10428, section 4: a linear support vector machine is trained to tell
    fills from true images by their features. P-IDS is the share of pairs in which it ranks the
    fill as truer than the true image, U-IDS its share of errors; a perfect sampler gets 0.5 in
    both. In the paper the machine is tested on its training images. With fewer images than features
    it then separates them perfectly, so that both scores are 0 for any fills. Here it is tested on
    other pairs, which is meaningful for a hundred images too. That is another number than the
    published one, which the suffix `_cv` of the scores' names says.

    Args:
        features, truth_features: (N, D), of fills and of their true images.
        groups: int (N,); images of one group, such as windows of one picture, are trained on or
            tested with together. By default each image is a group of its own.

    Returns:
        All NaN for fewer than FEWEST groups.
    """
    n = len(features)
    groups = np.arange(n) if groups is None else groups
    if len(np.unique(groups)) < FEWEST:
        return Discrimination(np.full(n, np.nan), np.full(n, np.nan))
    from sklearn.model_selection import GroupKFold, cross_val_predict  # takes half a second
    from sklearn.svm import LinearSVC

    true_side, fill_side = cross_val_predict(
        LinearSVC(dual=False),  # exact, and faster than the dual solver
        np.concatenate([truth_features, features]).astype(np.float64),
        np.repeat([1, 0], n),
        groups=np.tile(groups, 2),
        cv=GroupKFold(FOLDS),
        method="decision_function",
    ).reshape(2, n)
    errors = (share_above(0, true_side) + share_above(fill_side, 0)) / 2
    return Discrimination(share_above(fill_side, true_side), errors)


def share_above(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Returns 1 where a is above b, 0.5 where they are equal, else 0."""
    return (np.sign(a - b) + 1) / 2
