"""From scores of single images to verdicts, and to the answer."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from maskgit.scoring import scores
from maskgit.scoring.intervals import summarise
from maskgit.scoring.score import Better
from maskgit.scoring.scores import DECIDES
from pipeline.reporting import comparisons
from pipeline.reporting.comparisons import answer, compare, comparison_text, verdict
from pipeline.reporting.tables import image_table

N = 60
HOLES = np.zeros((N, 10, 10), dtype=bool)
HOLES[:, 2:5, 2:5] = True


def method(name, iterations, kd, seed, noise=0.1):
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(99).normal(size=N)  # what the images have in common
    columns = {
        "fd_x": kd + 5 * common + rng.normal(size=N),
        "kd_x": kd / 10 + common + noise * rng.normal(size=N),
        "psnr_hole": 20 - kd / 10 + common + 0.1 * rng.normal(size=N),
        "diversity_hole": np.full(N, np.nan if iterations is None else 1.0),
    }
    steps = None if iterations is None else np.full(N, iterations)
    return image_table(name, iterations, HOLES, columns, steps)


@pytest.fixture(scope="module")
def images():
    """Square is plainly better than cosine, from 5 iterations on; telea is the best other fill."""
    return pd.concat(
        [
            method("cosine", 5, 13, 1),
            method("cosine", 8, 13, 2),
            method("square", 2, 15, 3),
            method("square", 5, 11.05, 4),
            method("square", 8, 11, 5),
            method("one_pass", 1, 35, 6),
            method("mean_colour", None, 50, 7),
            method("telea", None, 30, 8),
            method("tokenizer", None, 5, 9),
            method("true_images", None, 1, 10),
        ],
        ignore_index=True,
    )


def test_each_two_settings_and_each_with_each_other_fill_are_compared(images):
    table = compare(images)
    settings = ["cosine 5", "cosine 8", "square 2", "square 5", "square 8"]
    pairs = set(zip(table["first"], table["second"], strict=True))
    assert len(pairs) == 10 + 5 * 3
    fills = {"one_pass 1", "mean_colour", "telea"}
    assert {(name, fill) for name in settings for fill in fills} <= pairs
    assert set(table["score"]) == {"fd_x", "kd_x", "psnr_hole"} and set(table["n"]) == {N}
    row = table.set_index(["score", "first", "second"]).loc["kd_x", "cosine 8", "square 8"]
    assert row["low"] < row["difference"] < row["high"]
    # The images' common part drops out: two intervals that overlap, a difference that holds.
    cosine = images[(images["schedule"] == "cosine") & (images["iterations"] == 8)]
    alone = summarise({"kd_x": cosine["kd_x"].to_numpy()})
    assert alone["kd_x_high"] - alone["kd_x_low"] > 3 * (row["high"] - row["low"])


def test_windows_of_a_picture_count_once(images):
    twice = [images.assign(image=images["image"] + window * N) for window in range(2)]
    pd.testing.assert_frame_equal(compare(pd.concat(twice)), compare(images))


def test_only_the_kernel_distance_has_verdicts(images):
    table = compare(images)
    verdicts = table.set_index(["score", "first", "second"])["verdict"]
    assert verdicts["kd_x", "cosine 8", "square 8"] == "square 8 better"
    assert verdicts["kd_x", "square 5", "square 8"] == "no difference shown"
    assert verdicts["kd_x", "square 8", "telea"] == "square 8 better"
    assert set(verdicts["fd_x"]) == set(verdicts["psnr_hole"]) == {""}


def test_of_several_networks_the_first_has_the_verdicts(images):
    table = compare(images.assign(kd_y=-images["kd_x"]))
    verdicts = table.set_index(["score", "first", "second"])["verdict"]
    assert verdicts["kd_x", "cosine 8", "square 8"] == "square 8 better"
    assert set(verdicts["kd_y"]) == {""}


def test_an_image_without_a_hole_counts_in_the_distances_only(images):
    holeless = images.copy()
    holeless.loc[holeless["image"] == 3, "psnr_hole"] = np.nan
    counts = compare(holeless).groupby("score")["n"].first()
    assert counts.to_dict() == {"fd_x": N, "kd_x": N, "psnr_hole": N - 1}
    holeless.loc[holeless["image"] > 0, "psnr_hole"] = np.nan  # too few to say anything
    assert set(compare(holeless)["score"]) == {"fd_x", "kd_x"}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.2, "b better"),
        (-0.2, -0.1, "a better"),
        (-0.1, 0.1, "no difference shown"),
        (0.0, 0.0, "no difference shown"),
        (np.nan, np.nan, "no difference shown"),
    ],
)
def test_a_verdict_follows_the_interval_and_the_way_in_which_a_score_gets_better(
    low, high, expected
):
    assert verdict("a", "b", low, high, Better.LOWER) == expected
    assert verdict("a", "b", -high, -low, Better.HIGHER) == expected
    assert verdict("a", "b", low, high, Better.NEITHER) == "no difference shown"


def test_the_text_compares_what_stands_around_the_headline(images):
    title, *lines = comparison_text(compare(images), "square", 8).splitlines()
    assert title.startswith("Differences in kd_x") and title.endswith("around square 8:")
    pairs = {line.split("  ")[0] for line in lines}
    assert pairs == {
        *("cosine 8 less square 8", "square 2 less square 8", "square 5 less square 8"),
        *(f"square 8 less {fill}" for fill in ("one_pass 1", "mean_colour", "telea")),
    }
    (even,) = [line for line in lines if line.startswith("square 5")]
    assert re.search(r"no difference shown; one of 0\.\d+ would have been$", even)


def test_the_answer_is_the_fewest_iterations_that_are_not_shown_to_be_worse(images):
    text = answer(images, compare(images))
    assert text.startswith("Answer: gamma=square with 5 iterations, kd_x 1.")
    assert "Of 5 settings 2 are statistically indistinguishable from the lowest, square 8" in text
    needed = re.search(r"About ([\d,]+) pictures would show one as small\.", text)
    assert int(needed[1].replace(",", "")) > N
    assert text.endswith("It is better than the best other fill, telea (" + text[-8:])


def test_the_answer_names_what_the_decoder_counts(images):
    text = answer(images, compare(images), unit="nats")
    assert text.startswith("Answer: 5 nats, kd_x 1.")


def test_the_answer_may_be_the_best_itself(images):
    chosen = images[images["schedule"].isin(["square", "telea"]) & ~images["iterations"].eq(5)]
    text = answer(chosen, compare(chosen))
    assert text.startswith("Answer: gamma=square with 8 iterations")
    assert "It is the lowest of 2 settings" in text


def test_the_answer_says_where_a_classic_fill_is_better():
    chosen = pd.concat([method("cosine", 2, 40, 1), method("telea", None, 20, 2)])
    assert "It is worse than the best other fill, telea" in answer(chosen, compare(chosen))


def test_where_a_higher_score_decides_the_answer_is_the_mirrored_one(images, monkeypatch):
    text = answer(images, compare(images))
    rising = replace(DECIDES, better=Better.HIGHER)
    monkeypatch.setattr(scores, "SCORES", [rising if s is DECIDES else s for s in scores.SCORES])
    monkeypatch.setattr(comparisons, "DECIDES", rising)
    negative = re.sub(r"(kd_x |\()(?=\d)", r"\1-", text)
    expected = negative.replace("lowest", "highest").replace("above", "below")
    mirrored = images.assign(kd_x=-images["kd_x"])
    assert answer(mirrored, compare(mirrored)) == expected


def few(steps, count=40):
    """A few images and two settings that are alike, at 5 and at `steps` iterations."""
    alike = [method("cosine", 5, 13, 1, noise=1.0), method("square", steps, 13.2, 2, noise=1.0)]
    images = pd.concat(alike)
    return images[images["image"] < count]


@pytest.mark.parametrize("steps", [2, 5, 8])  # the best setting is the last, any, or the first
def test_where_no_difference_is_shown_the_answer_says_how_many_images_would_show_one(steps):
    differences = compare(few(steps))
    assert set(differences["verdict"]) <= {"no difference shown", ""}
    text = answer(few(steps), differences)
    assert f"with {min(5, steps)} iterations" in text and "lowest" not in text
    assert "It takes the fewest passes of 2 settings, between which no difference is shown" in text
    assert re.search(r"if the clearest is real, about [\d,]+ pictures would show it\.", text)


def test_fewer_images_than_resampling_can_judge_have_no_verdict():
    images = pd.concat([method("cosine", 5, 13, 1), method("square", 5, 99, 2)])
    images = images[images["image"] < 8]
    differences = compare(images)
    assert set(differences["verdict"]) <= {"no difference shown", ""}
    assert "no difference is shown: verdicts need 30 pictures, and there are 8." in answer(
        images, differences
    )
    assert "inf" not in comparison_text(differences, "cosine", 5)


def test_equal_fills_are_not_told_apart_by_more_images():
    same = [method("cosine", 5, 13, 1), method("cosine", 8, 13, 1)]
    text = answer(pd.concat(same), compare(pd.concat(same)))
    assert text.endswith("of 2 settings, between which no difference is shown.")
