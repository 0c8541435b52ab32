"""From scores of single images to buckets and words."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgit.data.mask_sets import AREAS
from maskgit.scoring.columns import with_ends
from maskgit.scoring.intervals import summarise
from pipeline.reporting.tables import by_area, by_kind, image_table
from pipeline.reporting.text import score_cells, scores_text, with_interval

N = 60


def method(name, iterations, holes, fd, seed=0):
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(99).normal(size=N)  # what the images have in common
    columns = {
        "fd_x": fd + 5 * common + rng.normal(size=N),
        "psnr_hole": 20 - fd / 10 + common + 0.1 * rng.normal(size=N),
    }
    return image_table(name, iterations, holes, columns)


@pytest.fixture(scope="module")
def images():
    """Square is plainly better than cosine, and linear like it; telea is the best classic fill."""
    holes = np.zeros((N, 10, 10), dtype=bool)
    for i, hole in enumerate(holes):
        hole.flat[: (8, 15, 20)[i % 3]] = True
    floor = method("true_images", None, holes, 1, 6).drop(columns="psnr_hole")
    return pd.concat(
        [
            method("cosine", 8, holes, 13, 1),
            method("square", 8, holes, 11, 2),
            method("linear", 8, holes, 11, 3),
            method("mean_colour", None, holes, 50, 4),
            method("telea", None, holes, 30, 5),
            method("tokenizer", None, holes, 5, 7),
            floor,
        ],
        ignore_index=True,
    )


def test_buckets_may_have_other_ends(images):
    table = by_area(images, AREAS)
    assert list(table["hole_area"].unique()) == ["0.00-0.10", "0.10-0.20"]
    assert list(table["n"].unique()) == [20, 40]


def test_a_bucket_holds_the_images_of_its_sizes_and_every_image_has_one(images):
    table = by_area(images)
    cosine = table[table["schedule"] == "cosine"]
    # an upper edge belongs to its bucket
    assert list(cosine["hole_area"]) == ["0.05-0.10", "0.10-0.15", "0.15-0.20"]
    assert list(cosine["n"]) == [20, 20, 20]
    own = images[(images["schedule"] == "cosine") & (images["hole_area"] == 0.15)]
    assert cosine["psnr_hole"].iloc[1] == pytest.approx(own["psnr_hole"].mean())
    assert (table["psnr_hole"].between(table["psnr_hole_low"], table["psnr_hole_high"])).all()
    methods = ["cosine", "square", "linear", "mean_colour", "telea", "tokenizer"]
    assert list(table["schedule"].unique()) == methods  # true_images have no score in the hole
    assert not [name for name in table.columns if "fd_x" in name]


def test_the_scores_of_each_kind_of_hole(images):
    kinds = pd.Series({i: "box" if i < 20 else "thin" for i in range(N)})
    table = by_kind(images, kinds).set_index(["schedule", "hole_kind"])
    assert table.loc[("telea", "box"), "n"] == 20 and table.loc[("telea", "thin"), "n"] == 40
    own = images[(images["schedule"] == "telea") & (images["image"] < 20)]
    assert table.loc[("telea", "box"), "psnr_hole"] == pytest.approx(own["psnr_hole"].mean())


def test_buckets_have_the_lpips_of_their_images(images):
    table = by_area(images.assign(lpips=images["psnr_hole"] / 100))
    np.testing.assert_allclose(table["lpips"], table["psnr_hole"] / 100)
    assert "lpips_low" in table and "lpips" not in by_area(images)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((35.123, 33.01, 37.4), "35.1 [33.0, 37.4]"),
        ((0.02461, 0.0213, 0.0279), "0.0246 [0.0213, 0.0279]"),
        ((152.4, 120, 190), "152 [120, 190]"),
        ((1.5, np.nan, np.nan), "1.500"),
        ((0.00054, np.nan, np.nan), "0.00054"),
        ((0.00067, 0.000004, 0.001335), "0.000670 [0.000004, 0.001335]"),
        ((0.0, 0.0, 0.0), "0.000 [0.000, 0.000]"),
        ((np.nan, np.nan, np.nan), ""),
    ],
)
def test_an_interval_says_how_many_digits_count(numbers, expected):
    assert with_interval(*numbers) == expected


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((194.132, 0.0, 515.27), "194.13 [0.00, 515.27]"),
        ((0.87031, 0.829, 0.907), "0.8703 [0.8290, 0.9070]"),
        ((0.0, 0.0, 0.0), "0.0000 [0.0000, 0.0000]"),
        ((-1e-9, 0.0, 0.0), "0.0000 [0.0000, 0.0000]"),
        ((1.5, np.nan, np.nan), "1.5000"),
    ],
)
def test_a_score_to_be_quoted_has_two_decimals_at_least(numbers, expected):
    assert with_interval(*numbers, quoted=True) == expected


def test_the_text_shows_every_score_and_the_comparison(images):
    rows = []
    for (name, iterations), group in images.groupby(
        ["schedule", "iterations"], dropna=False, sort=False
    ):
        columns = {score: group[score].to_numpy() for score in ("fd_x", "psnr_hole")}
        keys = {"schedule": name, "iterations": iterations, "n": N}
        rows.append(keys | summarise(columns))
    of_sets, inside = scores_text(pd.DataFrame(rows)).split("\n\n")
    assert of_sets.splitlines()[0].split() == ["schedule", "iterations", "steps", "n", "fd_x"]
    assert [line.split()[0] for line in of_sets.splitlines()[1:]] == list(
        images["schedule"].unique()
    )
    assert "true_images" not in inside and inside.splitlines()[1].split()[:3] == [
        "cosine",
        "8",
        "60",
    ]


def test_what_a_row_costs_stands_before_its_scores():
    table = pd.DataFrame(
        {"schedule": ["cosine", "telea"], "iterations": [8, np.nan], "n": N}
        | {"fd_x": [13.0, 30.0], "psnr_hole": [18.0, 17.0], "steps": [8, np.nan]}
    )
    with_times = table.assign(seconds=[0.01234, np.nan])
    head, cosine, telea = map(str.split, scores_text(with_times).split("\n\n")[0].splitlines())
    assert head == ["schedule", "iterations", "steps", "seconds", "n", "fd_x"]
    assert cosine[:5] == ["cosine", "8", "8.0", "0.0123", str(N)]
    assert telea[:2] == ["telea", str(N)]


@given(
    st.sampled_from(["kd_x", "p_ids_cv_x", "l1_hole"]),
    st.floats(-1, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_no_interval_of_a_distance_error_or_share_reaches_from_below_zero_to_above(
    name, value, below, above
):
    row = dict(zip(with_ends(name), (value, value - below, value + above), strict=True))
    psnr = dict(zip(with_ends("psnr_hole"), (-1, -2, 0), strict=True))
    distance, error = score_cells(row | psnr, [name, "psnr_hole"])
    low, _, high = distance.partition("[")[2].rstrip("]").partition(", ")
    assert low.startswith("-") <= high.startswith("-")
    assert value + above < 0 or not low.startswith("-")
    assert "[-2.0" in error
