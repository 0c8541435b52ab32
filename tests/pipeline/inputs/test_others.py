"""Fills of other tools: what they are given, and what is said of what they bring back."""

import shutil
from hashlib import sha256

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskgit.data.cats.cat import draw_cats
from maskgit.data.holes import draw_holes
from pipeline.commands import task as command
from pipeline.commands.task import write_task
from pipeline.inputs.others import GREY, load_others, task_names
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import load_params
from tests.clone import ROOT

COUNT = 6


@pytest.fixture(scope="module")
def task():
    return draw_cats(COUNT, 3, 48), draw_holes(COUNT, ["mixture"], (0.1, 0.25), 48, seed=3)


@pytest.fixture
def project(tmp_path, task, monkeypatch):
    """A project whose test images are the task, with the task written to `task`."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    params = load_params(ROOT)
    monkeypatch.setattr(command, "load_params", lambda: params)
    monkeypatch.setattr(command, "load_task", {"test": task}.get)
    assert write_task(tmp_path / "task") == COUNT
    return tmp_path


def navier_stokes(folder, images="task/images", masks="task/masks", ending=".png", **how):
    """Fills a task as another tool would: from its files alone."""
    folder.mkdir()
    for path in sorted((folder.parent / images).iterdir()):
        image = np.asarray(Image.open(path))
        mask = np.asarray(Image.open(folder.parent / masks / path.name))
        filled = cv2.inpaint(image, mask, 3, cv2.INPAINT_NS)
        Image.fromarray(filled).save((folder / path.name).with_suffix(ending), **how)


@pytest.fixture
def fills(project):
    navier_stokes(project / "fills")
    return project / "fills"


def load(task, folder="fills"):
    return load_others({"ns": folder}, *task)["ns"]


def test_a_task_has_images_with_grey_holes_and_masks_of_the_same_names(project, task):
    names = [f"{name}.png" for name in task_names(*task)]
    for i, name in enumerate(names):
        image = np.asarray(Image.open(project / "task/images" / name))
        mask = np.asarray(Image.open(project / "task/masks" / name))
        true, hole = task[0][i], task[1][i]
        assert (mask[hole] == 255).all() and (mask[~hole] == 0).all()
        assert (image[hole] == GREY).all() and np.array_equal(image[~hole], true[~hole])
    for folder in ("images", "masks"):
        assert sorted(path.name for path in (project / "task" / folder).iterdir()) == names


def test_the_manifest_lists_every_file_with_size_and_hash(project):
    manifest = pd.read_csv(project / "task/manifest.csv").set_index("file")
    files = [path for path in (project / "task").glob("*/*")]
    assert len(manifest) == len(files) == 2 * COUNT
    for path in files:
        row = manifest.loc[path.relative_to(project / "task").as_posix()]
        assert row["sha256"] == sha256(path.read_bytes()).hexdigest()
        assert (row["width"], row["height"]) == Image.open(path).size


def test_a_task_is_not_written_over_other_files(project):
    with pytest.raises(UserError, match="task exists and is not an empty folder"):
        write_task(project / "task")


def test_the_names_change_with_picture_and_hole(task):
    images, holes = task
    names = task_names(images, holes)
    assert all(a != b for a, b in zip(names, task_names(images, holes[::-1]), strict=True))
    assert all(a != b for a, b in zip(names, task_names(images[::-1], holes), strict=True))


def test_a_tool_that_keeps_known_pixels_is_taken_as_it_is(fills, task):
    found = load(task)
    for filled, name in zip(found.images, task_names(*task), strict=True):
        assert np.array_equal(filled, np.asarray(Image.open(fills / f"{name}.png")))
    assert found.note == ""


def test_known_pixels_that_a_tool_changed_are_reported_and_become_the_true_ones(project, task):
    images, holes = task
    navier_stokes(project / "jpeg", ending=".jpg", quality=70)
    found = load(task, "jpeg")
    assert np.array_equal(found.images[~holes], images[~holes])
    for k, name in enumerate(task_names(*task)):
        own = np.asarray(Image.open(project / f"jpeg/{name}.jpg")).astype(int)
        difference = np.abs(own - images[k])[~holes[k]]
        assert found.largest[k] == difference.max() > 0
        assert found.change[k] == pytest.approx(difference.mean())
        assert np.array_equal(found.images[k][holes[k]], own[holes[k]])
    assert found.note.startswith(f"changed known pixels in {COUNT} of {COUNT} pictures, by ")


def test_one_changed_pixel_is_reported(fills, task):
    path = fills / f"{task_names(*task)[2]}.png"
    pixels = np.array(Image.open(path))
    y, x = np.argwhere(~task[1][2])[0]
    pixels[y, x] ^= 1
    Image.fromarray(pixels).save(path)
    assert load(task).note.startswith(f"changed known pixels in 1 of {COUNT} pictures, by ")


def fault(task, folder="fills"):
    with pytest.raises(UserError) as caught:
        load(task, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named_with_the_mend(fills, task):
    names = task_names(*task)
    (fills / f"{names[3]}.png").unlink()
    message = fault(task)
    assert message.startswith(f"score.others.ns: fills/{names[3]}.png is missing")
    assert f"one of 1 of {COUNT}" in message and "maskgit task" in message


def test_a_superfluous_file_is_named_with_the_mend(fills, task):
    (fills / "log.txt").write_text("done")
    assert fault(task).startswith("score.others.ns: fills/log.txt is no picture of this task")
    (fills / "log.txt").unlink()
    name = task_names(*task)[0]
    shutil.copy(fills / f"{name}.png", fills / f"{name}.jpg")
    assert fault(task).endswith(f"fills/{name} is there with two endings; remove one")


def test_what_systems_leave_in_a_folder_is_no_fault(fills, task):
    (fills / ".DS_Store").write_text("junk")
    (fills / "Thumbs.db").write_text("junk")
    assert len(load(task).images) == COUNT


def test_another_size_is_named_with_both(fills, task):
    path = fills / f"{task_names(*task)[1]}.png"
    Image.open(path).resize((512, 256)).save(path)
    message = fault(task)
    assert f"{path.name} is 512 x 256, the task's picture 48 x 48; have the tool keep" in message


def test_a_damaged_picture_is_named(fills, task):
    path = fills / f"{task_names(*task)[1]}.png"
    path.write_bytes(path.read_bytes()[:60])
    assert f"fills/{path.name}: truncated file; have the tool write it again" in fault(task)


def test_fills_of_the_known_part_are_refused(project, task):
    shutil.copytree(project / "task/masks", project / "inverted")
    for path in (project / "inverted").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    navier_stokes(project / "fills", masks="inverted")
    assert "give the tool masks in which the hole is white" in fault(task)


def test_fills_of_another_task_are_refused(fills, task):
    images, holes = task
    assert "is no picture of this task" in fault((images, holes[::-1].copy()))


def test_a_folder_that_is_none_is_refused(project, task):
    assert "task/manifest.csv is not a folder" in fault(task, "task/manifest.csv")
