"""The list of scores, from which tables, verdicts, plots, MLflow, model card and docs are made.

To add a score, add an entry to SCORES.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import combinations, product

import numpy as np

from maskgit.scoring.columns import with_ends, without_end
from maskgit.scoring.distances import frechet_distance, kernel_distance
from maskgit.scoring.pixel_errors import l1, psnr
from maskgit.scoring.pixel_errors import ssim as ssim_one_by_one
from maskgit.scoring.score import Better, Column, Evaluation, Scope, Score, mean_over_sets


def _frechet(e: Evaluation) -> np.ndarray:
    return mean_over_sets(frechet_distance(each, e.truth_features).by_pair() for each in e.features)


def _kernel(e: Evaluation) -> np.ndarray:
    # Unpaired sets are matched by index too: any matching of two independent sets is valid for
    # resampling.
    return mean_over_sets(
        kernel_distance(each, e.truth_features, e.paired).by_pair() for each in e.features
    )


def _ssim(e: Evaluation) -> np.ndarray:
    if e.extractor.device.type in ("cpu", "mps"):  # the latter has no float64
        return e.in_holes(ssim_one_by_one)
    from maskgit.scoring.ssim import ssim

    return e.in_holes(partial(ssim, device=e.extractor.device))


# The functions below import torch only when they are called, since tables are read without it.


def _perceptual(e: Evaluation) -> np.ndarray:
    from maskgit.scoring.perceptual_errors import perceptual_errors

    return e.in_holes(partial(perceptual_errors, network=e.extractor.perceptual))


def _lpips(e: Evaluation) -> np.ndarray | None:
    if e.lpips is None:
        return None
    from maskgit.scoring.perceptual_errors import lpips_errors

    return e.in_holes(lambda *images: lpips_errors(*images, e.lpips))


def _diversity(e: Evaluation) -> np.ndarray | None:
    if len(e.fills) < 2:
        return None
    from maskgit.scoring.perceptual_errors import perceptual_errors

    pairs, network = combinations(e.fills, 2), e.extractor.perceptual
    return mean_over_sets(perceptual_errors(*pair, e.holes, network) for pair in pairs)


KERNEL = Score(
    name="kd_{extractor}",
    label="kernel distance ({extractor})",
    official=("kid", "KID"),
    better=Better.LOWER,
    scope=Scope.SET,
    compute=_kernel,
    source="Bińkowski et al. 2018, arXiv 1801.01401",
)
FRECHET = Score(
    name="fd_{extractor}",
    label="Fréchet distance ({extractor})",
    official=("fid", "FID"),
    better=Better.LOWER,
    scope=Scope.SET,
    compute=_frechet,
    source="Heusel et al. 2017, arXiv 1706.08500",
)
PSNR = Score(
    name="psnr_hole",
    label="PSNR in the hole (dB)",
    better=Better.HIGHER,
    scope=Scope.HOLE,
    compute=lambda e: e.in_holes(psnr),
    source="",
)
SSIM = Score(
    name="ssim_hole",
    label="SSIM in the hole",
    better=Better.HIGHER,
    scope=Scope.HOLE,
    compute=_ssim,
    source="Wang et al. 2004, doi:10.1109/TIP.2003.819861",
)
L1 = Score(
    name="l1_hole",
    label="mean absolute error in the hole",
    better=Better.LOWER,
    scope=Scope.HOLE,
    compute=lambda e: e.in_holes(l1),
    source="",
)
PERCEPTUAL = Score(
    name="perceptual_{perceptual}_hole",
    label="perceptual error in the hole ({perceptual})",
    short={"efficientnet_lite0": "perceptual_hole"},
    better=Better.LOWER,
    scope=Scope.HOLE,
    compute=_perceptual,
    source="as LPIPS, arXiv 1801.03924, on another network and not comparable to it",
)

SCORES: list[Score] = [
    FRECHET,
    KERNEL,
    Score(
        name="p_ids_cv_{extractor}",
        label="P-IDS, cross-validated ({extractor})",
        official=("p_ids_cv", "P-IDS, cross-validated"),
        better=Better.HIGHER,
        scope=Scope.SET,
        compute=lambda e: mean_over_sets(each.p_ids for each in e.discriminations),
        source="Zhao et al. 2021, arXiv 2103.10428",
    ),
    Score(
        name="u_ids_cv_{extractor}",
        label="U-IDS, cross-validated ({extractor})",
        official=("u_ids_cv", "U-IDS, cross-validated"),
        better=Better.HIGHER,
        scope=Scope.SET,
        compute=lambda e: mean_over_sets(each.u_ids for each in e.discriminations),
        source="Zhao et al. 2021, arXiv 2103.10428",
    ),
    PSNR,
    SSIM,
    L1,
    PERCEPTUAL,
    Score(
        name="lpips",
        label="LPIPS",
        better=Better.LOWER,
        scope=Scope.IMAGE,
        compute=_lpips,
        source="Zhang et al. 2018, arXiv 1801.03924; package lpips, version 0.1 on AlexNet",
    ),
    Score(
        name="diversity_{perceptual}_hole",
        label="distance of two fills ({perceptual})",
        short={"efficientnet_lite0": "diversity_hole"},
        better=Better.NEITHER,
        scope=Scope.HOLE,
        compute=_diversity,
        source="",
    ),
]
"""All scores, in the order of the tables' columns."""

DECIDES = KERNEL
"""The score by which verdicts are made; another one has to pass tests/maskgit/scoring/
test_verdicts.py."""


def compute_scores(*evaluations: Evaluation) -> dict[str, np.ndarray]:
    """Returns every score that the evaluations allow, by the name of its column.

    float64 (N,) each. Where the scope is the whole set, only the mean is meaningful.

    evaluations: of the same fills, each by another extractor. Their columns of a score stand side
    by side in this order; a score that names no network is computed once.
    """
    columns = {}
    for score, evaluation in product(SCORES, evaluations):
        name = score.column(evaluation.extractor).name
        if name not in columns and (evaluation.paired or score.scope is Scope.SET):
            values = score.compute(evaluation)
            if values is not None:
                columns[name] = values
    return columns


def find(name: str) -> Column | None:
    """Returns the score of a table's column by the column's name, None where it is not of a score.

    The ends of an interval belong to their score: `psnr_hole_low` is found as `psnr_hole`.
    """
    name = without_end(name)
    for score in SCORES:
        if score.official and score.official[0] == name:
            return Column(score, *score.official)
        for network, short in score.short.items():
            if short == name:
                return score.network_column(network)
        networked = re.fullmatch(re.sub(r"{\w+}", r"(?P<network>\\w+)", score.name), name)
        if networked:
            return score.network_column(networked.groupdict().get("network", ""))
    return None


def score_columns(names: Iterable[str]) -> list[Column]:
    """Returns the scores among the columns of a table, each once, in the table's order."""
    found = filter(None, map(find, names))
    return list({column.name: column for column in found}.values())


def column_of(score: Score, names: Iterable[str]) -> Column:
    """Returns a score's column among those of a table, the first where there are several networks.

    Raises LookupError where the table has none.
    """
    for column in score_columns(names):
        if column.score is score:
            return column
    raise LookupError(f"no column of {score.network_column('...').name}")


def clip_bounds(record: Mapping[str, float]) -> dict[str, float]:
    """Returns a record of scores in which no interval reaches from below 0 to above.

    That is for distances, errors and shares, see `Score.is_never_negative`. An estimate of the
    kernel distance may be negative, since it is unbiased; the distance is not. An interval that
    lies below 0 as a whole stays as it is.
    """
    clipped = dict(record)
    for column in score_columns(record):
        _, low, high = with_ends(column.name)
        if column.score.is_never_negative and high in record and record[high] >= 0:
            clipped[low] = float(np.maximum(record[low], 0))
    return clipped
