"""DVC sees what changed behind a path that a parameter names."""

import hashlib
import os
import shutil
import subprocess
from itertools import pairwise

import pandas as pd
import pytest
import yaml
from PIL import Image

from maskgit.data.cats.cat import draw_cats
from maskgit.scoring.published import Published
from pipeline.inputs import listing
from pipeline.plumbing.errors import UserError
from pipeline.stages import sources
from tests.clone import ROOT, Clone
from tests.wing import needs_lab


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a folder of two files as its source."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    for name in ("params.yaml", "presets.yaml"):
        shutil.copy(ROOT / name, name)
    (folder / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        write(folder / "photos" / name, b"first")
    return folder


def write(path, content, seconds=100):
    """A file that was written some seconds ago."""
    path.write_bytes(content)
    when = path.stat().st_mtime - seconds
    os.utime(path, (when, when))


def recorded(key="data.source", **values):
    """The table of one parameter, after the stage ran with these values of it."""
    section, name = key.split(".")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params[section][name] = values.get("value", "photos")
    with open("params.yaml", "w") as file:
        yaml.safe_dump(params, file)
    sources.main()
    return pd.read_csv(f"data/sources/{key}.csv")


def test_a_record_has_name_size_and_hash_of_every_file(project):
    table = recorded()
    assert list(table["file"]) == ["photos/a.jpg", "photos/b.jpg"]
    assert table["bytes"].eq(5).all() and table["sha256"].nunique() == 1


def test_what_cannot_be_read_and_odd_names_are_recorded(project, monkeypatch):
    try:
        write(project / "photos" / os.fsdecode(b"caf\xe9.jpg"), b"first")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    read = listing.file_hash

    def shut(path):
        if path.name == "a.jpg":
            raise PermissionError(13, "Permission denied", path)
        return read(path)

    monkeypatch.setattr(listing, "file_hash", shut)
    table = recorded()
    assert list(table["file"]) == ["photos/a.jpg", "photos/b.jpg", "photos/caf\\xe9.jpg"]
    assert list(table["sha256"].isna()) == [True, False, False]


def test_new_removed_renamed_and_edited_images_change_the_record(project):
    records = [recorded()]
    write(project / "photos/c.jpg", b"third")
    records.append(recorded())
    (project / "photos/a.jpg").unlink()
    records.append(recorded())
    (project / "photos/b.jpg").rename(project / "photos/d.jpg")
    records.append(recorded())
    write(project / "photos/d.jpg", b"later", seconds=50)  # as many bytes
    records.append(recorded())
    for before, after in pairwise(records):
        assert not before.equals(after)


def test_what_systems_leave_in_a_folder_changes_nothing(project):
    before = recorded()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".a.jpg.swp"):
        write(project / "photos" / name, b"junk")
    assert recorded().equals(before)


def test_a_file_is_read_again_only_when_its_size_or_time_is_new(project, monkeypatch):
    read = []
    monkeypatch.setattr(listing, "file_hash", lambda path: read.append(path.name) or "0" * 64)
    recorded()
    assert read == ["a.jpg", "b.jpg"]
    write(project / "photos/b.jpg", b"second")
    recorded()
    assert read == ["a.jpg", "b.jpg", "b.jpg"]


def test_a_file_that_was_written_a_moment_ago_is_read_again(project):
    write(project / "photos/a.jpg", b"other", seconds=0)
    before, when = recorded(), (project / "photos/a.jpg").stat().st_mtime_ns
    write(project / "photos/a.jpg", b"again", seconds=0)
    os.utime(project / "photos/a.jpg", ns=(when, when))  # within the same tick of the clock
    assert not recorded().equals(before)


@needs_lab
def test_a_checkpoint_s_description_beside_it_counts(project):
    write(project / "VQGAN.pt", b"weights")
    write(project / "VQGAN.yml", b"sizes: 1")
    before = recorded("vqgan.checkpoint", value="VQGAN.pt")
    assert list(before["file"]) == ["VQGAN.pt", "VQGAN.yml"]
    write(project / "VQGAN.yml", b"sizes: 2", seconds=50)
    assert not recorded("vqgan.checkpoint", value="VQGAN.pt").equals(before)


def test_the_masks_of_the_labs_layout_count(project):
    (project / "cat_face/train").mkdir(parents=True)
    (project / "mask64").mkdir()
    write(project / "cat_face/train/1.jpg", b"cat")
    before = recorded(value="cat_face")
    write(project / "mask64/1.png", b"mask")
    assert not recorded(value="cat_face").equals(before)


def test_masks_and_fills_that_parameters_name_count(project):
    for key, name in (("data.holes", "masks"), ("score.others", "fills")):
        (project / name).mkdir()
        write(project / name / "1.png", b"first")
        value = ["box", "./masks"] if key == "data.holes" else {"lama": "fills"}
        before = recorded(key, value=value)
        assert list(before["file"]) == [f"{name}/1.png"]
        write(project / name / "1.png", b"later", seconds=50)
        assert not recorded(key, value=value).equals(before)
    assert recorded("data.holes", value="box").empty
    assert recorded("score.others", value={}).empty


def test_a_path_that_is_missing_stops_with_its_mend(project):
    with pytest.raises(UserError, match=r"data.source: gone does not exist.*dvc freeze sources"):
        recorded(value="gone")


def test_hashes_are_kept_when_the_stage_stops(project):
    with pytest.raises(KeyboardInterrupt), listing.hashes() as known:
        known.listing([project / "photos/a.jpg"], project)
        raise KeyboardInterrupt
    with listing.hashes() as known:
        assert list(known.known) == [str(project / "photos/a.jpg")]


@pytest.mark.parametrize("key", ["score.weights", "score.lpips"])
def test_weights_that_are_not_the_published_ones_stop_before_any_work(project, key):
    write(project / "weights.pth", b"others")
    with pytest.raises(UserError, match=rf"{key}: .*weights.pth is not the official .*sha256"):
        recorded(key, value="weights.pth")


def test_published_weights_are_recorded(project, monkeypatch):
    write(project / "weights.pth", b"published")
    published = Published("weights.pth", hashlib.sha256(b"published").hexdigest()[:8])
    monkeypatch.setitem(sources.PUBLISHED, "score.weights", published)
    assert list(recorded("score.weights", value="weights.pth")["file"]) == ["weights.pth"]


def test_drawn_images_have_an_empty_record(project):
    assert recorded(value="synthetic").empty


def test_an_experiment_that_dvc_would_lose_stops_before_any_work(project, tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", "."], check=True)
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for message in ("first", "second"):
        subprocess.run(["git", *identity, "commit", "-qm", message, "--allow-empty"], check=True)
    origin, clone = project.as_uri(), tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth", "1", origin, clone], check=True)
    monkeypatch.setenv("DVC_ROOT", str(clone))
    with pytest.raises(UserError, match="git fetch --unshallow"):
        sources.check_history()
    subprocess.run(["git", "fetch", "-q", "--unshallow"], cwd=clone, check=True)
    sources.check_history()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A clone whose images are files, prepared; no other stage has run."""
    clone = Clone(tmp_path_factory.mktemp("prepared"))
    photos = clone.folder / "data/raw/photos"
    photos.mkdir(parents=True)
    for i, cat in enumerate(draw_cats(40, 1, 32)):
        Image.fromarray(cat).save(photos / f"{i}.png")
    params = yaml.safe_load((clone.folder / "params.yaml").read_text())
    params["data"] |= {"source": "data/raw/photos", "size": 32, "test": 8, "validation": 0.1}
    (clone.folder / "params.yaml").write_text(yaml.safe_dump(params))
    clone.run("dvc", "repro", "prepare")
    return clone


@pytest.fixture
def clone(prepared, tmp_path):
    return prepared.copy(tmp_path / "copy")


def would_run(clone):
    return clone.stages_run(clone.run("dvc", "repro", "--dry", "prepare"))


def test_a_new_image_makes_dvc_prepare_again(clone):
    clone.run("dvc", "repro", "sources")
    assert "prepare" not in would_run(clone)
    (new,) = draw_cats(1, 2, 32)
    Image.fromarray(new).save(clone.folder / "data/raw/photos/new.png")
    clone.run("dvc", "repro", "sources")
    assert "prepare" in would_run(clone)


def test_git_does_not_track_ones_own_images(clone):
    clone.run("git", "add", "-A")
    assert "data/raw" not in clone.run("git", "status", "--porcelain")


def test_without_git_dvc_runs_all_the_same(clone):
    shutil.rmtree(clone.folder / ".git")
    (clone.folder / ".venv/bin").mkdir(parents=True)
    (clone.folder / ".venv/bin/.installed").touch()
    clone.run("make", "--old-file=.venv/bin/.installed", ".dvc/config.local")
    assert clone.stages_run(clone.run("dvc", "repro", "prepare")) == {"sources"}


def test_what_systems_and_editors_leave_beside_code_trains_nothing_again(clone):
    clone.run("dvc", "commit", "-f", "prepare")
    for name in (".DS_Store", "Thumbs.db", "copies.py~", ".copies.py.swp"):
        (clone.folder / "maskgit/data" / name).write_text("junk")
    assert "prepare" not in would_run(clone)
