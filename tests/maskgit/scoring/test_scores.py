from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from maskgit.scoring import scores
from maskgit.scoring.columns import with_ends
from maskgit.scoring.distances import frechet_distance, kernel_distance
from maskgit.scoring.features import Extractor
from maskgit.scoring.perceptual_errors import lpips_errors, perceptual_errors
from maskgit.scoring.score import Better, Evaluation, Scope, Score
from maskgit.scoring.scores import (
    DECIDES,
    FRECHET,
    KERNEL,
    PERCEPTUAL,
    PSNR,
    SCORES,
    column_of,
    compute_scores,
    find,
    score_columns,
)


class Pixels(nn.Module):
    """Sees the first pixels of a row."""

    def forward(self, images):
        return images[:, :, 0, :4].float().flatten(1) / 255


class Difference(nn.Module):
    """Stands for LPIPS, which is tested in test_lpips_network.py."""

    def forward(self, a, b):
        return (a - b).square().mean(dim=(1, 2, 3), keepdim=True)


EXTRACTOR = Extractor("pixels", "", Pixels(), torch.device("cpu"), perceptual="efficientnet_lite0")
OFFICIAL = replace(EXTRACTOR, official=True)
LITE2 = replace(EXTRACTOR, name="lite2", perceptual="efficientnet_lite2")
EXTRACTORS = pytest.mark.parametrize(
    "extractor", [EXTRACTOR, OFFICIAL, LITE2], ids=["other", "official", "lite2"]
)


def evaluation(fills, truth, hole, extractor=EXTRACTOR, **changes):
    return Evaluation(fills, truth, hole, extractor(truth), extractor, **changes)


@EXTRACTORS
@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_a_score_is_found_by_its_column_and_by_the_ends_of_its_interval(score, extractor):
    column = score.column(extractor)
    assert all(find(name) == column for name in with_ends(column.name))


@EXTRACTORS
def test_no_two_scores_share_a_name_or_a_label(extractor):
    columns = [score.column(extractor) for score in SCORES]
    assert len({column.name for column in columns}) == len(SCORES)
    assert len({column.label for column in columns}) == len(SCORES)


def test_other_columns_hold_no_score():
    for name in ("schedule", "iterations", "n", "steps", "hole_area", "image", "gamma"):
        assert find(name) is None


def test_only_the_official_weights_give_the_names_that_papers_use():
    assert FRECHET.column(OFFICIAL).name == "fid" and KERNEL.column(OFFICIAL).name == "kid"
    assert FRECHET.network_column("inception").name == "fd_inception"
    lite = KERNEL.network_column("efficientnet_lite0")
    assert lite.name == "kd_efficientnet_lite0" and lite.label.endswith("(EfficientNet-Lite0)")


def test_perceptual_errors_name_their_network_but_where_they_did_not_before_there_was_another():
    on_lite0, on_lite2 = PERCEPTUAL.column(EXTRACTOR), PERCEPTUAL.column(LITE2)
    assert on_lite0.name == "perceptual_hole"
    assert on_lite0.label == "perceptual error in the hole (EfficientNet-Lite0)"
    assert on_lite2.name == "perceptual_efficientnet_lite2_hole"
    assert on_lite2.label == "perceptual error in the hole (EfficientNet-Lite2)"


@pytest.mark.parametrize("name", ["perceptual_hole", "diversity_hole"])
def test_columns_of_older_tables_are_found(name):
    found = find(name)
    assert found == find(f"{name}_low") == found.score.network_column("efficientnet_lite0")
    assert found.name == name and found.label.endswith("(EfficientNet-Lite0)")


def test_an_extractor_judges_by_the_perceptual_errors_of_its_own_network(images, hole):
    output, truth = images
    found = compute_scores(evaluation([output], truth, hole, LITE2))
    expected = perceptual_errors(output, truth, hole, "efficientnet_lite2")
    np.testing.assert_array_equal(found["perceptual_efficientnet_lite2_hole"], expected)
    assert "perceptual_hole" not in found


def test_of_several_extractors_each_has_its_columns_and_other_scores_stand_once(images, hole):
    output, truth = images
    judges = [evaluation([output, truth], truth, hole, each) for each in (LITE2, EXTRACTOR)]
    each, both = [compute_scores(judge) for judge in judges], compute_scores(*judges)
    assert both.keys() == each[0].keys() | each[1].keys()
    for name in both:
        for alone in each:
            if name in alone:
                np.testing.assert_array_equal(both[name], alone[name])
    names = list(both)
    assert names.index("kd_pixels") == names.index("kd_lite2") + 1
    assert column_of(DECIDES, names).name == "kd_lite2"


def test_the_scores_of_a_table_come_once_and_in_its_order():
    table = ["schedule", "psnr_hole", "kd_x", "psnr_hole_low", "psnr_hole_high", "steps"]
    assert [column.name for column in score_columns(table)] == ["psnr_hole", "kd_x"]
    assert column_of(KERNEL, table).name == "kd_x"
    with pytest.raises(LookupError, match=r"no column of fd_\.\.\."):
        column_of(FRECHET, table)


def test_the_score_that_decides_is_in_the_list_and_says_which_way_it_goes():
    assert DECIDES in SCORES and DECIDES.better is not Better.NEITHER


def test_every_score_is_a_number_for_each_image(images, hole):
    output, truth = images
    found = compute_scores(evaluation([output, truth], truth, hole, lpips=Difference()))
    assert list(found) == [score.column(EXTRACTOR).name for score in SCORES]
    assert all(column.shape == (4,) and column.dtype == np.float64 for column in found.values())


def test_the_mean_over_images_is_the_distance_of_the_sets(images, hole):
    output, truth = images
    found = compute_scores(evaluation([output], truth, hole))
    sets = EXTRACTOR(output), EXTRACTOR(truth)
    assert found["fd_pixels"].mean() == pytest.approx(frechet_distance(*sets).value)
    expected = kernel_distance(*sets, paired=True).value
    assert found["kd_pixels"].mean() == pytest.approx(expected)


def test_a_score_of_several_fills_is_the_mean_of_theirs(images, hole):
    output, truth = images
    one, other = (compute_scores(evaluation([fill], truth, hole)) for fill in (output, truth))
    both = compute_scores(evaluation([output, truth], truth, hole))
    assert one.keys() == other.keys() < both.keys()
    for name in one:
        np.testing.assert_allclose(both[name], (one[name] + other[name]) / 2)


def test_diversity_is_the_perceptual_distance_of_two_fills(images, hole):
    output, truth = images
    both = compute_scores(evaluation([output, truth], truth, hole))
    expected = perceptual_errors(output, truth, hole)
    np.testing.assert_allclose(both["diversity_hole"], expected)
    twice = compute_scores(evaluation([output, output], truth, hole))
    np.testing.assert_array_equal(twice["diversity_hole"], 0)


def test_what_an_evaluation_lacks_it_has_no_column_of(images, hole):
    output, truth = images
    alone = compute_scores(evaluation([output], truth, hole))
    assert "diversity_hole" not in alone and "lpips" not in alone
    hole[1] = False
    with_lpips = compute_scores(evaluation([output], truth, hole, lpips=Difference()))
    expected = lpips_errors(output, truth, hole, Difference())
    np.testing.assert_array_equal(with_lpips["lpips"], expected)
    np.testing.assert_array_equal(np.isnan(with_lpips["lpips"]), [False, True, False, False])


def test_sets_that_are_no_pairs_have_only_scores_of_sets(images, hole):
    output, truth = images
    found = compute_scores(evaluation([output], truth, hole, paired=False))
    assert {find(name).score.scope for name in found} == {Scope.SET}
    expected = kernel_distance(EXTRACTOR(output), EXTRACTOR(truth), paired=False).value
    assert found["kd_pixels"].mean() == pytest.approx(expected)


def test_a_set_is_looked_at_once_whatever_asks_for_its_features(images, hole):
    output, truth = images
    seen = []
    compute_scores(evaluation([output, truth], truth, hole, progress=seen.append))
    assert sum(seen) == 2 * len(truth)


def test_a_new_score_is_an_entry_of_the_list(images, hole, monkeypatch):
    worst = Score(
        name="worst_hole",
        label="largest error in the hole",
        better=Better.LOWER,
        scope=Scope.HOLE,
        compute=lambda e: e.in_holes(lambda a, b, hole: np.ones(len(hole))),
        source="",
    )
    monkeypatch.setattr(scores, "SCORES", [*SCORES, worst])
    output, truth = images
    np.testing.assert_array_equal(
        compute_scores(evaluation([output], truth, hole))["worst_hole"], 1
    )
    assert find("worst_hole_high") == worst.column(EXTRACTOR)


def test_the_three_ways_of_getting_better():
    assert [way.sign for way in Better] == [1, -1, 0]
    assert PSNR.better is Better.HIGHER and not PSNR.is_distance
    assert FRECHET.is_distance and KERNEL.is_distance
