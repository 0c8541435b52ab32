"""The verbs that work on people's own pictures, on small models with random weights."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from typer.testing import CliRunner

from maskgit.data.holes import dilate
from maskgit.data.image_files import decode_picture, encode_png
from maskgit.inpainting.settings import MAX_ITERATIONS, Decoding
from maskgit.validation import MAX_SEED
from pipeline import cli
from pipeline.cli import app, home_expanded
from pipeline.commands.model import without_effect
from pipeline.models.fill import shipped_weights
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.places import MODEL_FOLDER
from pipeline.reporting.grids import draw_grid
from tests.clone import ROOT
from tests.small_models import write_params


@pytest.fixture
def project(small_models, tmp_path, monkeypatch):
    shutil.copytree(small_models, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(path, width=80, height=60, seed=0):
    pixels = np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def hole(path, width=80, height=60):
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return mask > 0


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def read(path):
    return np.asarray(Image.open(path))


def test_a_large_photo_keeps_its_known_pixels(project):
    pixels = picture(project / "photo.png", 1600, 1200)
    where = hole(project / "hole.png", 1600, 1200)
    result = run("inpaint", "photo.png", "--mask", "hole.png", "--out", "filled.png")
    assert result.exit_code == 0, result.output
    filled = read(project / "filled.png")
    assert np.array_equal(filled[~where], pixels[~where])
    assert not np.array_equal(filled[where], pixels[where])


def test_a_folder_with_masks_by_name_says_what_it_could_not_fill(project):
    first, second = picture(project / "in/a.png"), picture(project / "in/b.bmp", seed=1)
    (project / "in/c.jpg").write_bytes(b"no picture")
    for stem in "abc":
        where = hole(project / f"masks/{stem}.png")
    result = run("inpaint", "in", "--mask", "masks", "--out", "out")
    assert result.exit_code == 1
    assert "2 of 3 filled" in result.output and "not filled: in/c.jpg: not an image" in str(
        result.exception
    )
    assert np.array_equal(read(project / "out/a.png")[~where], first[~where])
    assert np.array_equal(read(project / "out/b.png")[~where], second[~where])
    assert sorted(path.name for path in (project / "out").iterdir()) == ["a.png", "b.png"]


def test_one_mask_for_all_is_stretched_and_results_are_left_alone(project):
    picture(project / "in/a.png", 40, 90)
    picture(project / "in/b.png", 100, 30)
    hole(project / "hole.png")
    arguments = ("inpaint", "in", "--mask", "hole.png", "--out", "out")
    assert run(*arguments).exit_code == 0
    assert read(project / "out/a.png").shape == (90, 40, 3)
    before = (project / "out/b.png").read_bytes()
    (project / "out/a.png").write_bytes(b"mine")
    assert "0 of 0" in run(*arguments, "--skip-existing").output
    assert (project / "out/a.png").read_bytes() == b"mine"
    assert run(*arguments).exit_code == 0
    assert (project / "out/b.png").read_bytes() == before  # the same seed, the same bytes
    assert run(*arguments, "--seed", "5").exit_code == 0
    assert (project / "out/b.png").read_bytes() != before


def test_the_models_fill_as_their_own_report_did_whatever_params_yaml_says_today(project):
    picture(project / "a.png")
    hole(project / "hole.png")

    def fill(*options):
        arguments = ("inpaint", "a.png", "--mask", "hole.png", "--out", "out.png", *options)
        assert run(*arguments).exit_code == 0
        return (project / "out.png").read_bytes()

    before = fill()
    write_params(project, temperature="3.0", decoder="halton", seed="9")
    assert fill() == before
    for change in (
        {"decoder": "halton"},
        {"decoder": "entropy_bound"},
        {"gamma": "square"},
        {"gamma": "entropic"},
        {"iterations": 1},
        {"seed": 9},
        {"temperature": 3.0},
    ):
        with tuned(**change):
            assert fill() != before, change
    assert fill("--gamma", "cosine", "--iterations", "5", "--seed", "1") != before
    with tuned(gamma="square", iterations=1, seed=9):
        assert fill("--gamma", "cosine", "--iterations", "5", "--seed", "0") == before


@contextmanager
def tuned(**change):
    """The model folder says something else for a while."""
    config = MODEL_FOLDER / "config.json"
    before = config.read_text()
    values = json.loads(before)
    config.write_text(json.dumps(values | {"decoding": values["decoding"] | change}))
    yield
    config.write_text(before)


def test_an_exported_model_fills_as_the_pipelines_own(project):
    picture(project / "a.png")
    hole(project / "hole.png")
    result = run("export", "elsewhere/cats")
    assert (
        result.exit_code == 0
        and "config.json, mean_decoder.safetensors, tokenizer" in result.output
    )
    arguments = ("inpaint", "a.png", "--mask", "hole.png", "--out")
    assert run(*arguments, "own.png").exit_code == 0
    shutil.rmtree(project / "outputs")
    assert run(*arguments, "exported.png", "--model", "elsewhere/cats").exit_code == 0
    assert (project / "exported.png").read_bytes() == (project / "own.png").read_bytes()


@pytest.mark.parametrize("models", ["small_models", "small_fsq_models"])
def test_an_export_in_half_precision_fills_too(models, tmp_path, monkeypatch, request):
    project = shutil.copytree(request.getfixturevalue(models), tmp_path / "project")
    monkeypatch.chdir(project)
    picture(project / "a.png")
    hole(project / "hole.png")
    assert run("export", "small", "--half").exit_code == 0
    assert (project / "small/README.md").read_text() == "a card"
    arguments = ("inpaint", "a.png", "--mask", "hole.png", "--out", "filled.png")
    assert run(*arguments, "--model", "small").exit_code == 0
    weights = [project / folder / "transformer.safetensors" for folder in ("small", MODEL_FOLDER)]
    assert weights[0].stat().st_size < 0.65 * weights[1].stat().st_size
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    subprocess.run(check, cwd=project / "small", check=True)


def test_an_export_has_onnx_graphs_beside_the_weights(project):
    pytest.importorskip("onnxscript")
    assert run("export", "graphs", "--onnx").exit_code == 0
    names = {path.name for path in (project / "graphs").iterdir()}
    assert names >= {"encode.onnx", "predict.onnx", "draw.onnx", "config.json"}


def test_variants_are_numbered_and_each_another_fill(project):
    pixels = picture(project / "in/a.png")
    where = hole(project / "hole.png")
    arguments = ("inpaint", "in", "--mask", "hole.png", "--out")
    assert run(*arguments, "out", "--variants", "3").exit_code == 0
    names = sorted(path.name for path in (project / "out").iterdir())
    assert names == ["a-1.png", "a-2.png", "a-3.png"]
    fills = [read(project / "out" / name) for name in names]
    assert len({fill.tobytes() for fill in fills}) == 3
    assert all(np.array_equal(fill[~where], pixels[~where]) for fill in fills)
    assert run(*arguments, "one").exit_code == 0
    assert np.array_equal(read(project / "one/a.png"), fills[0])
    assert "0 of 0" in run(*arguments, "out", "--variants", "3", "--skip-existing").output


def test_a_mask_may_be_turned_round_and_widened(project):
    pixels = picture(project / "a.png")
    where = hole(project / "hole.png")
    Image.fromarray(~where).save(project / "black.png")
    arguments = ("inpaint", "a.png", "--out", "out.png", "--mask")

    def changed(*options):
        assert run(*arguments, *options).exit_code == 0
        return (read(project / "out.png") != pixels).any(axis=2)

    assert np.array_equal(changed("hole.png"), where)
    assert np.array_equal(changed("black.png", "--invert-mask"), where)
    assert np.array_equal(changed("hole.png", "--grow", "3"), dilate(where, 3))
    Image.new("1", (80, 60)).save(project / "black.png")
    assert "black is filled, white kept" in str(
        run(*arguments, "black.png", "--invert-mask").exception
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_colour_profile_travels_along(project, dtype):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    values = np.random.default_rng(0).integers(256, size=(60, 80, 3)).astype(dtype)
    (project / "a.png").write_bytes(encode_png(values, profile))
    hole(project / "hole.png")
    assert run("inpaint", "a.png", "--mask", "hole.png", "--out", "out.png").exit_code == 0
    with Image.open(project / "out.png") as filled:
        assert filled.info["icc_profile"] == profile
        filled.load()


def test_an_export_is_whole_or_absent_and_of_read_only_files(project, monkeypatch):
    for path in (project / MODEL_FOLDER).iterdir():
        path.chmod(0o444)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.commands.model.write_sums", lambda _: 1 / 0)
        assert run("export", "free").exit_code
    assert not [path for path in project.iterdir() if path.name.startswith("free")]
    assert run("export", "free").exit_code == 0
    assert all(path.stat().st_mode & 0o200 for path in (project / "free").iterdir())


def test_no_model_is_exported_over_something_else(project):
    (project / "taken").mkdir()
    (project / "taken/mine.txt").write_text("mine")
    assert "taken exists and is not an empty folder" in str(run("export", "taken").exception)
    assert [path.name for path in (project / "taken").iterdir()] == ["mine.txt"]
    missing = run("export", "free", "--model", "nowhere")
    assert "nowhere does not exist" in str(missing.exception)
    assert not (project / "free").exists()


def test_masks_are_drawn_for_each_picture(project):
    picture(project / "in/a.png", 300, 200)
    picture(project / "in/b.png", 64, 64)
    result = run("mask", "in", "--out", "masks", "--area", "0.2", "0.3")
    assert result.exit_code == 0, result.output
    mask = read(project / "masks/a.png")
    assert mask.shape == (200, 300) and set(np.unique(mask)) == {0, 255}
    assert 0.15 < (mask > 0).mean() < 0.35
    assert run("inpaint", "in", "--mask", "masks", "--out", "out").exit_code == 0


def test_masks_corrected_by_hand_are_kept(project):
    for name in "ab":
        picture(project / f"in/{name}.png", 64, 64)
    (project / "masks").mkdir()
    (project / "masks/a.png").write_bytes(b"corrected by hand")
    result = run("mask", "in", "--out", "masks")
    assert (project / "masks/a.png").read_bytes() == b"corrected by hand"
    assert "masks/a.png is there already, and was kept; delete it for a new one" in result.output
    assert "2 masks in masks" in result.output and read(project / "masks/b.png").any()


@pytest.mark.parametrize("kind", ["every_second_line", "super_resolution"])
def test_patterns_of_pixels_are_drawn_at_the_size_of_the_picture(project, kind):
    picture(project / "in/a.png", 70, 45)
    assert run("mask", "in", "--out", "masks", "--kind", kind).exit_code == 0
    mask = read(project / "masks/a.png") > 0
    known = np.zeros((45, 70), bool)
    known[::2, :: 1 if kind == "every_second_line" else 2] = True
    assert np.array_equal(mask, ~known)


def test_one_mask_for_all_keeps_its_hairs_where_it_is_scaled_down(project):
    pixels = picture(project / "in/a.png", 64, 64)
    mask = np.zeros((400, 400), np.uint8)
    mask[200, 50:350] = 255
    Image.fromarray(mask).save(project / "hair.png")
    assert run("inpaint", "in", "--mask", "hair.png", "--out", "out").exit_code == 0
    changed = (read(project / "out/a.png") != pixels).any(axis=2)
    assert changed[32, 8:56].all() and not changed[:32].any() and not changed[33:].any()


def test_dust_is_found_in_each_picture(project):
    (project / "in").mkdir()
    smooth = np.full((200, 300, 3), 90, np.uint8)
    for name, level in (("light", 240), ("dark", 5)):
        dusty = smooth.copy()
        dusty[50:54, 100:104] = level
        Image.fromarray(dusty).save(project / f"in/{name}.png")
    for find, name, other in (("dust", "light", "dark"), ("dark-dust", "dark", "light")):
        result = run("mask", "in", "--find", find, "--out", find)
        assert result.exit_code == 0, result.output
        mask = read(project / find / f"{name}.png")
        assert mask.shape == (200, 300) and (mask[50:54, 100:104] == 255).all()
        assert 16 <= (mask > 0).sum() <= 64 and not read(project / find / f"{other}.png").any()
        assert f"{name}.png: 0.06 % of the picture" in result.output
        assert f"{other}.png: nothing found" in result.output
    refused = run("mask", "in", "--find", "dust", "--seed", "3", "--out", "masks")
    assert "--seed does not go with --find; leave it out" in str(refused.exception)


FAULTS = {
    "no picture": (("nowhere.png", "--mask", "hole.png"), "nowhere.png does not exist"),
    "no mask": (("in/a.png", "--mask", "none.png"), "none.png does not exist"),
    "an empty folder": (("empty", "--mask", "hole.png"), "empty: no picture in it"),
    "a mask too few": (("in", "--mask", "masks"), "masks: no mask for b.png"),
    "a result in JPEG": (("in/a.png", "--mask", "hole.png", "--out", "a.jpg"), "results are PNG"),
    "another size": (("in/a.png", "--mask", "small.png"), "the mask small.png is 8 x 8"),
    "no such schedule": (("in/a.png", "--mask", "hole.png", "--gamma", "sine"), "--gamma: should"),
    "two of a name": (("twice", "--mask", "hole.png"), "2 pictures are called 'a'"),
}


@pytest.mark.parametrize(("arguments", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_get_a_line_and_an_exit_code(project, arguments, message):
    for name in ("in/a.png", "in/b.png", "twice/a.png", "twice/a.bmp"):
        picture(project / name)
    hole(project / "hole.png")
    hole(project / "masks/a.png")
    hole(project / "small.png", 8, 8)
    (project / "empty").mkdir()
    out = () if "--out" in arguments else ("--out", "out")
    result = run("inpaint", *arguments, *out)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert message in str(result.exception)
    assert not (project / "out").exists() and not (project / "a.jpg").exists()


def test_without_trained_models_the_shipped_weights_fill_from_any_folder(project):
    shutil.rmtree(project / "outputs")
    picture(project / "a.png")
    hole(project / "hole.png")
    result = run("inpaint", "a.png", "--mask", "hole.png", "--out", "out.png")
    assert result.exit_code == 0 and "1 of 1 filled by" in result.output


def test_in_a_clone_the_shipped_weights_have_their_short_name(project, monkeypatch):
    assert shipped_weights() == ROOT / "weights"
    monkeypatch.chdir(ROOT)
    assert shipped_weights() == Path("weights")


def test_somebody_elses_folder_called_weights_is_not_taken_for_them(project):
    shutil.rmtree(project / "outputs")
    (project / "weights").mkdir()
    picture(project / "a.png")
    hole(project / "hole.png")
    result = run("inpaint", "a.png", "--mask", "hole.png", "--out", "out.png")
    assert result.exit_code == 0, result.exception


def test_a_single_result_has_the_name_that_it_is_given(project):
    picture(project / "a.png")
    hole(project / "masks/a_mask.png")
    arguments = "inpaint", "a.png", "--mask", "masks", "--mask-suffix", "_mask", "--out"
    assert run(*arguments, "out.png").exit_code == 0
    assert (project / "out.png").is_file()
    assert "results are PNG" in str(run(*arguments, "out.jpg").exception)
    hole(project / "masks/a_mask2.png")
    assert "2 masks for a.png; make --out a folder" in str(run(*arguments, "b.png").exception)


def test_a_picture_whose_name_ends_as_masks_do_is_filled_where_masks_lie_elsewhere(project):
    picture(project / "in/venice_mask.png")
    hole(project / "masks/venice_mask_mask.png")
    arguments = "inpaint", "in", "--mask", "masks", "--mask-suffix", "_mask", "--out", "out"
    assert run(*arguments).exit_code == 0
    assert (project / "out/venice_mask.png").is_file()


def test_folders_in_a_folder_of_pictures_are_named_but_those_of_the_masks(project):
    for name in ("in/a.png", "in/2024/b.png", "in/2025/c.png"):
        picture(project / name)
    hole(project / "in/masks/a.png")
    result = run("inpaint", "in", "--mask", "in/masks", "--out", "out")
    assert result.exit_code == 0 and "1 of 1 filled" in result.output
    assert "in: passed over: 2 folders in it; give each by itself" in result.stderr


def test_a_picture_beside_another_of_its_name_does_not_replace_it(project):
    picture(project / "in/a.png", seed=1)
    picture(project / "in/a.bmp", seed=2)
    hole(project / "hole.png")
    result = run("inpaint", "in/a.bmp", "--mask", "hole.png", "--out", "in")
    assert "in/a.png would be overwritten; name another --out" in str(result.exception)


def test_one_file_under_two_names_is_not_overwritten(project):
    """As where a disk takes names in capitals for the same."""
    picture(project / "in/a.bmp")
    hole(project / "hole.png")
    (project / "out").mkdir()
    os.link(project / "in/a.bmp", project / "out/a.png")
    result = run("inpaint", "in", "--mask", "hole.png", "--out", "out")
    assert "out/a.png would be overwritten" in str(result.exception)


def test_results_that_would_have_one_name_are_refused(project):
    for name in ("in/a.png", "in/a_1.png"):
        picture(project / name)
    for name in ("a_1", "a_2", "a_1_1"):
        hole(project / f"masks/{name}.png")
    arguments = "inpaint", "in", "--mask", "masks", "--mask-suffix", "_", "--out", "out"
    message = str(run(*arguments).exception)
    assert "out/a_1.png: 2 results would have this name; rename pictures or masks" in message


def test_results_that_cannot_be_saved_stop_before_any_fill(project, monkeypatch):
    for name in "ab":
        picture(project / f"in/{name}.png")
    hole(project / "hole.png")
    fills = []
    monkeypatch.setattr("maskgit.filling.Fill.pixels", lambda *_: fills.append(1))
    arguments = "inpaint", "in", "--mask", "hole.png", "--out"
    assert "hole.png is a file; name a folder" in str(run(*arguments, "hole.png").exception)
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
    others = ("mask", "in", "--out", "out"), ("simulate", "verdicts.png")
    for command in ((*arguments, "out"), *others):
        assert "no permission to write into it" in str(run(*command).exception)
    assert not fills


def test_a_full_disk_stops_at_the_first_picture(project, monkeypatch):
    def no_room(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in "ab":
        picture(project / f"in/{name}.png")
    hole(project / "hole.png")
    monkeypatch.setattr("pipeline.plumbing.files.os.fsync", no_room)
    result = run("inpaint", "in", "--mask", "hole.png", "--out", "out")
    assert (
        str(result.exception)
        == "error: out/a.png: the disk is full; make room and run the same command again"
    )
    assert not list((project / "out").iterdir())


def test_options_that_change_nothing_are_named(project):
    picture(project / "a.png")
    hole(project / "hole.png")
    arguments = "inpaint", "a.png", "--mask", "hole.png", "--out", "out"
    said = run(*arguments, "--reading", "mean", "--seed", "3", "--variants", "2").stderr
    assert "without effect on the reading mean: --seed, --variants" in said
    for options in (("--seed", "3"), ("--reading", "mean")):
        assert "without effect" not in run(*arguments, *options).stderr


def test_of_a_mean_in_more_steps_only_the_seed_has_an_effect():
    decoding = Decoding(gamma="cosine", iterations=5, seed=0, reading="mean", mean_steps=3)
    options = {"gamma": "linear", "iterations": None, "seed": 3, "reading": "mean"}
    (line,) = without_effect(decoding, 2, options)
    assert line == "without effect on the reading mean: --gamma"
    assert without_effect(decoding, 2, {"seed": 3}) == []


def test_pictures_are_png_and_folders_have_names_of_their_own(project):
    for arguments in (("grid", "cats", "ours=a"), ("simulate", "verdicts.pgn")):
        message = str(run(*arguments).exception)
        assert message == f"error: {arguments[1]}: name a file that ends in .png"
    for verb in (("grid", "cats.png"), ("advice",)):
        message = str(run(*verb, "ours=a", "ours=b").exception)
        assert message == "error: 'ours' is given 2 times; name each folder differently"


@pytest.mark.parametrize("caption", ["true", "hole", "telea"])
def test_a_caption_that_every_grid_has_is_refused(caption):
    pictures = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(UserError, match=f"a row '{caption}' is there already; choose another"):
        draw_grid(pictures, np.ones((1, 8, 8), bool), {caption: Path("results")})


def test_limits_of_options_are_those_of_the_settings():
    assert (cli.MAX_SEED, cli.MAX_ITERATIONS) == (MAX_SEED, MAX_ITERATIONS)


def test_scores_is_the_hidden_old_name_of_table():
    names = [re.escape(name) for name in ("table", "scores")]
    shown = run("--help").output
    assert [bool(re.search(rf"│ {name} ", shown)) for name in names] == [True, False]
    assert "reports/scores.csv" in run("scores", "--help").output


@pytest.mark.parametrize("verb", ["table", "compare", "grid", "inpaint", "mask", "export"])
def test_help_has_an_example(verb):
    result = run(verb, "--help")
    assert result.exit_code == 0 and f"maskgit {verb}" in result.output


def test_alpha_grey_and_16_bits_come_back_bit_for_bit(project):
    rng = np.random.default_rng(3)
    where = hole(project / "hole.png")
    for name, shape, dtype in (
        ("grey", (60, 80, 1), np.uint8),
        ("grey alpha", (60, 80, 2), np.uint8),
        ("alpha", (60, 80, 4), np.uint8),
        ("deep grey", (60, 80, 1), np.uint16),
        ("deep", (60, 80, 3), np.uint16),
        ("deep alpha", (60, 80, 4), np.uint16),
    ):
        values = rng.integers(np.iinfo(dtype).max, size=shape, dtype=dtype)
        (project / "in.png").write_bytes(encode_png(values))
        result = run("inpaint", "in.png", "--mask", "hole.png", "--out", "out.png")
        assert result.exit_code == 0, result.output
        filled = decode_picture((project / "out.png").read_bytes()).own
        assert filled.dtype == dtype and filled.shape == shape, name
        assert np.array_equal(filled[~where], values[~where]), name
        assert not np.array_equal(filled[where], values[where]), name
        if shape[2] in (2, 4):
            assert (filled[where][:, -1] == np.iinfo(dtype).max).all(), name


def test_one_damaged_picture_leaves_the_masks_of_the_others(project):
    picture(project / "in/a.png", 300, 200)
    picture(project / "in/c.png", 64, 64)
    (project / "in/b.png").write_bytes(b"not a picture")
    result = run("mask", "in", "--out", "masks")
    assert "no mask: in/b.png: not an image" in str(result.exception)
    assert "2 masks in masks" in result.output
    (project / "in/b.png").unlink()
    again = run("mask", "in", "--out", "again")
    assert again.exit_code == 0
    a = [(project / folder / "a.png").read_bytes() for folder in ("masks", "again")]
    assert a[0] == a[1]


def test_a_clean_picture_of_a_folder_is_copied(project):
    (project / "masks").mkdir()
    for name in "ab":
        picture(project / f"in/{name}.png")
        Image.new("1", (80, 60)).save(project / f"masks/{name}.png")
    arguments = ("inpaint", "in", "--mask", "masks", "--out", "out")
    assert "no mask in masks marks anything; white is filled" in str(run(*arguments).exception)
    hole = Image.new("1", (80, 60))
    hole.paste(1, (20, 20, 30, 30))
    hole.save(project / "masks/b.png")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "out/a.png: a copy, since the mask a.png marks nothing" in result.output
    assert "1 of 2 filled by" in result.output and ", 1 copied" in result.output
    assert np.array_equal(read(project / "out/a.png"), read(project / "in/a.png"))


def test_a_mask_that_marks_nothing_is_a_fault(project):
    picture(project / "a.png")
    Image.new("1", (80, 60)).save(project / "hole.png")
    arguments = ("inpaint", "a.png", "--mask", "hole.png", "--out", "out.png")
    assert "the mask hole.png marks nothing; white is filled, black kept" in str(
        run(*arguments).exception
    )
    Image.new("1", (80, 60), 1).save(project / "hole.png")
    assert "marks nothing; black is filled, white kept" in str(
        run(*arguments, "--invert-mask").exception
    )
    assert not (project / "out.png").exists()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "I;16"])
def test_masks_of_every_kind(project, mode):
    pixels = picture(project / "a.png")
    where = hole(project / "hole.png")
    grey = Image.fromarray(np.where(where, 130, 120).astype(np.uint8))  # soft: 128 is a hole
    if mode == "I;16":
        grey = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode == "1":
        grey = Image.fromarray(where)
    elif mode != "L":
        grey = grey.convert(mode)
    grey.save(project / "hole.png")
    assert run("inpaint", "a.png", "--mask", "hole.png", "--out", "out.png").exit_code == 0
    assert np.array_equal((read(project / "out.png") != pixels).any(axis=2), where)


@pytest.mark.parametrize(("said", "spins"), [({}, "10000"), ({"OMP_WAIT_POLICY": "active"}, None)])
def test_idle_threads_sleep_soon_unless_the_user_says_how_they_wait(said, spins, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    code = (
        "import pipeline, os, sys; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    )
    environment = os.environ | said
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [str(spins), "False"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("~/a.png", "/home/anna/a.png"),
        ("--out=~/a=b.png", "--out=/home/anna/a=b.png"),
        ("ours 2=~/filled", "ours 2=/home/anna/filled"),
        ("~/a=~.png", "/home/anna/a=~.png"),
        ("a~.png", "a~.png"),
        ("--gamma=cosine", "--gamma=cosine"),
    ],
)
def test_a_tilde_that_begins_a_path_means_the_home(monkeypatch, word, meant):
    monkeypatch.setenv("HOME", "/home/anna")
    assert home_expanded(word) == meant


def test_every_path_of_a_command_may_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    picture(tmp_path / "photos/a.png")
    result = run("mask", "~/photos", "--out=~/masks")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "masks/a.png").is_file()
