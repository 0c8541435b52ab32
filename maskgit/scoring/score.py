"""The types of scores and of what they are computed from.

Every score is a column with a number for each image, whose mean is the score. So one bootstrap
(`maskgit.scoring.intervals`) is enough for all scores, and methods are compared on each image. The
list of scores is in `maskgit.scoring.scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskgit.scoring.discrimination import Discrimination, discriminate
from maskgit.scoring.networks import NETWORK_LABELS

if TYPE_CHECKING:  # reading tables should not import torch
    from torch import nn

    from maskgit.scoring.features import Extractor


class Better(StrEnum):
    """Whether lower or higher values of a score are better."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"

    @property
    def sign(self) -> int:
        """The factor, 1, -1 or 0, that turns a score into one of which lower values are better."""
        return {Better.LOWER: 1, Better.HIGHER: -1, Better.NEITHER: 0}[self]

    @property
    def arrow(self) -> str:
        """An arrow that shows which values are better: '↓', '↑' or ''."""
        return {Better.LOWER: "↓", Better.HIGHER: "↑", Better.NEITHER: ""}[self]


class Scope(StrEnum):
    """The part of the images that a score is computed of."""

    SET = "the whole set"  # a single image has no such score, which depends on their number
    IMAGE = "each whole image"
    HOLE = "each image's hole"


@dataclass(frozen=True)
class Evaluation:
    """Fills that are scored, and what they are compared with.

    Attributes:
        fills: one or more sets of images, uint8 (N, H, W, 3) each. Several sets are fills of the
            same holes with other random numbers; a score is then the mean over the sets.
        truth: true images, uint8 (N, H, W, 3).
        holes: bool (N, H, W), True = was filled.
        truth_features: (N, D), of `truth`, by `extractor`.
        extractor: of the features by which sets are compared; names the network of the perceptual
            errors as well.
        paired: whether image i of every set is a fill of true image i. If not, only scores of whole
            sets are meaningful.
        groups: int (N,), the picture of each image, see `discriminate`.
        lpips: `maskgit.scoring.lpips_network`, where its weights are available.
        progress: see `Extractor.__call__`.
    """

    fills: Sequence[np.ndarray]
    truth: np.ndarray
    holes: np.ndarray
    truth_features: np.ndarray
    extractor: Extractor
    paired: bool = True
    groups: np.ndarray | None = None
    lpips: nn.Module | None = None
    progress: Callable[[int], object] | None = None

    @cached_property
    def features(self) -> list[np.ndarray]:
        """The features of each set of fills, (N, D) each."""
        return [self.extractor(fill, progress=self.progress) for fill in self.fills]

    @cached_property
    def discriminations(self) -> list[Discrimination]:
        """The P-IDS and U-IDS of each set of fills."""
        truth, groups = self.truth_features, self.groups
        return [discriminate(features, truth, groups) for features in self.features]

    def in_holes(self, error: Callable[..., np.ndarray]) -> np.ndarray:
        """Returns the mean of `error(fill, truth, holes)`, (N,), over the sets of fills."""
        return mean_over_sets(error(fill, self.truth, self.holes) for fill in self.fills)


def mean_over_sets(columns: Iterable[np.ndarray]) -> np.ndarray:
    """Returns the mean over columns, (N,) each, for each image: (N,)."""
    return np.mean(list(columns), axis=0)


class Column(NamedTuple):
    """The column of a score in a table; its name contains that of the network if there is one."""

    score: Score
    name: str
    label: str


@dataclass(frozen=True)
class Score:
    """A number that says how good a set of fills is.

    Attributes:
        name: of its column. `{extractor}` stands for the name of the network whose features it
            is computed on, `{perceptual}` for that of the network of the perceptual errors.
        label: of an axis of a plot; may contain either, too.
        better: whether lower or higher values are better.
        scope: what it is computed of.
        compute: maps an `Evaluation` to float64 (N,), a number for each image, whose mean is the
            score; NaN where an image has none, as with an empty hole. Returns None where the
            evaluation lacks an input.
        source: paper or package, '' where there is none.
        official: name and label on Inception's features with the official FID weights, as in
            papers.
        short: its name on some networks, by the network's name. Tables had these columns when
            there was no other network, and no column changes its meaning.
    """

    name: str
    label: str
    better: Better
    scope: Scope
    compute: Callable[[Evaluation], np.ndarray | None]
    source: str
    official: tuple[str, str] | None = None
    short: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_distance(self) -> bool:
        """Whether it is a distance of sets, of which true images have the lowest."""
        return self.scope is Scope.SET and self.better is Better.LOWER

    @property
    def is_never_negative(self) -> bool:
        """Whether no true value of it is below 0: a distance, an error or a share."""
        return self.better is not Better.HIGHER or self.scope is Scope.SET

    def column(self, extractor: Extractor) -> Column:
        """Returns its column in a table that is made with an extractor."""
        if self.official and extractor.official:
            return Column(self, *self.official)
        perceptual = "{perceptual}" in self.name
        return self.network_column(extractor.perceptual if perceptual else extractor.name)

    def network_column(self, network: str) -> Column:
        """Returns its column on the features of a network, given by name, that is not official."""
        shown = NETWORK_LABELS.get(network, network)
        name = self.short.get(network) or self.name.format(extractor=network, perceptual=network)
        return Column(self, name, self.label.format(extractor=shown, perceptual=shown))
