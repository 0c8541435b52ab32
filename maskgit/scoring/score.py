"""What a score is, and what it is computed from.

Every score is a column with a number for each image, whose mean is the score: so one bootstrap
(`maskgit.scoring.intervals`) serves them all, and two methods are compared image by image.
The list of scores stands in `maskgit.scoring.scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskgit.scoring.discrimination import Discrimination, discriminate

if TYPE_CHECKING:  # tables are read without torch
    from torch import nn

    from maskgit.scoring.features import Extractor

NETWORK_LABELS = {"efficientnet_lite0": "EfficientNet-Lite0", "inception": "Inception"}


class Better(StrEnum):
    """Which way a score gets better."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"

    @property
    def sign(self) -> int:
        """1, -1 or 0: a score times this is better when lower, whichever way the score goes."""
        return {Better.LOWER: 1, Better.HIGHER: -1, Better.NEITHER: 0}[self]

    @property
    def arrow(self) -> str:
        """'↓', '↑' or ''."""
        return {Better.LOWER: "↓", Better.HIGHER: "↑", Better.NEITHER: ""}[self]


class Scope(StrEnum):
    """What a score is a score of."""

    SET = "the whole set"  # a single image has no such score; it depends on how many there are
    IMAGE = "each whole image"
    HOLE = "each image's hole"


@dataclass(frozen=True)
class Evaluation:
    """Images that are scored, and what they are held against.

    Attributes:
        fills: one or more sets of images, uint8 (N, H, W, 3) each. Several sets are fills of the
            same holes, drawn with seeds of their own; a score is then the mean over the sets.
        truth: true images, uint8 (N, H, W, 3).
        holes: bool (N, H, W), True = was filled.
        truth_features: (N, D), of `truth`, by `extractor`.
        extractor: gives the features that sets are compared by.
        paired: image i of every set is a fill of true image i. Where it is not, only scores of
            whole sets have a meaning.
        lpips: `maskgit.scoring.lpips_network`, where its weights can be had.
        progress: see `Extractor.__call__`.
    """

    fills: Sequence[np.ndarray]
    truth: np.ndarray
    holes: np.ndarray
    truth_features: np.ndarray
    extractor: Extractor
    paired: bool = True
    lpips: nn.Module | None = None
    progress: Callable[[int], object] | None = None

    @cached_property
    def features(self) -> list[np.ndarray]:
        """(N, D) for each set of fills."""
        return [self.extractor(fill, progress=self.progress) for fill in self.fills]

    @cached_property
    def discriminations(self) -> list[Discrimination]:
        """What a linear judge makes of each set of fills."""
        return [discriminate(features, self.truth_features) for features in self.features]

    def in_holes(self, error: Callable[..., np.ndarray]) -> np.ndarray:
        """float64 (N,): `error(fill, truth, holes)`, (N,) for each set of fills, as a mean."""
        return mean_over_sets(error(fill, self.truth, self.holes) for fill in self.fills)


def mean_over_sets(columns: Iterable[np.ndarray]) -> np.ndarray:
    """The mean of columns (N,), image by image: (N,)."""
    return np.mean(list(columns), axis=0)


class Column(NamedTuple):
    """A score in a table, named after the network that judges where one does."""

    score: Score
    name: str
    label: str


@dataclass(frozen=True)
class Score:
    """A number that says how good a set of fills is.

    Attributes:
        name: of its column. `{extractor}` stands for the name of the network whose features it
            is computed on.
        label: what an axis of a plot is called; may have `{extractor}`, too.
        better: which way it gets better.
        scope: what it is a score of.
        compute: maps an `Evaluation` to float64 (N,), a number for each image, whose mean is the
            score; NaN where an image has none, as in a hole of no pixels. None where the
            evaluation lacks what it needs.
        source: the paper or the package, '' where there is none to name.
        official: name and label on Inception's features with the official FID weights, which
            keep the names that papers use.
    """

    name: str
    label: str
    better: Better
    scope: Scope
    compute: Callable[[Evaluation], np.ndarray | None]
    source: str
    official: tuple[str, str] | None = None

    @property
    def is_distance(self) -> bool:
        """Whether it says how far two sets lie apart: nothing has a lower one than true images."""
        return self.scope is Scope.SET and self.better is Better.LOWER

    def column(self, extractor: Extractor) -> Column:
        """Its column in a table that is made with an extractor."""
        if self.official and extractor.official:
            return Column(self, *self.official)
        return self.network_column(extractor.name)

    def network_column(self, network: str) -> Column:
        """Its column, judged by a network of that name, but for the official one."""
        label = self.label.format(extractor=NETWORK_LABELS.get(network, network))
        return Column(self, self.name.format(extractor=network), label)
