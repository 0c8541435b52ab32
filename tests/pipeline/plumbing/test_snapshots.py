"""A snapshot is used for its own training, whole, or not at all."""

import errno
import hashlib
import io
import os

import pytest
import torch

from pipeline.plumbing import files, snapshots
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.snapshots import KEPT, Snapshots, fingerprint, snapshots_of

CONTENT = {
    "trainer": {"done": 7, "weights": torch.arange(3.0)},
    "history": [{"a": 0.1}],
    "run": "r",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one training stage `t` that depends on one file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "dvc.yaml").write_text("stages: {t: {deps: [data.txt]}}")
    (tmp_path / "data.txt").write_text("cats")
    return tmp_path


def interrupted(values):
    """A training that saved a snapshot and was stopped."""
    with pytest.raises(KeyboardInterrupt), snapshots_of("t", values) as kept:
        kept.save(CONTENT)
        raise KeyboardInterrupt
    return kept.path


def found(values):
    with pytest.raises(KeyboardInterrupt), snapshots_of("t", values) as kept:
        raise KeyboardInterrupt
    return kept.found


def test_a_snapshot_comes_back_whole_until_the_stage_has_finished(project):
    interrupted({"steps": 9})
    with snapshots_of("t", {"steps": 9}) as kept:
        assert kept.run_key == "r" and kept.found["history"] == CONTENT["history"]
        assert torch.equal(kept.found["trainer"]["weights"], torch.arange(3.0))
    assert found({"steps": 9}) is None


def test_other_parameters_data_or_code_start_from_the_beginning(project):
    interrupted({"steps": 9})
    assert found({"steps": 10}) is None
    (project / "data.txt").write_text("dogs")
    assert found({"steps": 9}) is None
    (project / "data.txt").write_text("cats")
    assert found({"steps": 9}) is not None


def test_a_snapshot_under_anothers_name_is_set_aside(project, capsys):
    path = interrupted({"steps": 9})
    path.rename(snapshots.folder() / f"t-{fingerprint('t', {'steps': 10})[:16]}.pt")
    assert found({"steps": 10}) is None
    assert "of other parameters" in capsys.readouterr().out
    assert len(list(snapshots.folder().glob("*.refused"))) == 1


def sealed(data):
    """The checksum that a forger would put in front, too."""
    return hashlib.sha256(data).digest() + data


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def pickled(thing):
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda data: b"", "checksum"),
        (lambda data: data[:-100], "checksum"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "checksum"),
        (lambda data: sealed(b"PK no zip"), "something else"),
        (lambda data: sealed(pickled([1, 2])), "something else"),
        (lambda data: sealed(pickled({"fingerprint": Malicious()})), "something else"),
    ],
)
def test_a_damaged_or_hostile_snapshot_is_set_aside(project, capsys, damage, line):
    path = interrupted({})
    path.write_bytes(damage(path.read_bytes()))
    assert found({}) is None
    (said,) = capsys.readouterr().out.splitlines()
    assert line in said and path.name in said
    assert path.with_suffix(".refused").is_file() and not path.exists()
    assert not (project / "pwned").exists()


def test_snapshots_nobody_comes_back_for_do_not_pile_up(project):
    for steps in range(2 * KEPT):
        path = interrupted({"steps": steps})
        os.utime(path, (steps, steps))
    assert found({"steps": 2 * KEPT - 1}) is not None
    assert len(list(snapshots.folder().glob("*.pt"))) <= KEPT


def test_finished_trainings_do_not_push_out_one_that_was_stopped(project):
    stopped = interrupted({"steps": 0})
    for steps in range(1, 2 * KEPT):
        with snapshots_of("t", {"steps": steps}):
            pass
    assert stopped.is_file() and found({"steps": 0}) is not None


def test_a_training_that_runs_keeps_its_snapshot_whatever_others_do(project):
    with pytest.raises(KeyboardInterrupt), snapshots_of("t", {"steps": 0}) as kept:
        kept.save(CONTENT)
        os.utime(kept.path, (0, 0))
        for steps in range(1, KEPT + 3):
            os.utime(interrupted({"steps": steps}), (steps, steps))
        raise KeyboardInterrupt
    names = {path.name for path in snapshots.folder().glob("*.pt")}
    assert kept.path.name in names and len(names) == KEPT + 1


def test_a_time_that_is_no_number_is_refused_in_one_line(project, monkeypatch):
    monkeypatch.setenv("MASKGIT_SNAPSHOT_SECONDS", "1m")
    with (
        pytest.raises(UserError, match="MASKGIT_SNAPSHOT_SECONDS has to be a number of seconds"),
        snapshots_of("t", {}),
    ):
        pass


def test_two_trainings_of_the_same_kind_do_not_share_a_snapshot(project, capsys):
    with snapshots_of("t", {}) as first, snapshots_of("t", {}) as second:
        first.save(CONTENT)
        second.save({"other": 1})
        assert second.found is None
        assert "another process" in capsys.readouterr().out
        assert Snapshots(first.path, first.fingerprint).found["run"] == "r"


def test_a_full_disk_costs_the_snapshot_not_the_training(project, monkeypatch, capsys):
    def no_room(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with snapshots_of("t", {}) as kept:
        monkeypatch.setattr(files.os, "fsync", no_room)
        kept.save(CONTENT)
        assert "the disk is full" in capsys.readouterr().out
        assert not list(snapshots.folder().glob("*.pt*"))


def test_snapshots_take_a_small_share_of_the_time(project, monkeypatch):
    now = iter([0.0, 100.0, 104.0, 104.0 + 79.0, 104.0 + 81.0])
    monkeypatch.setattr(snapshots.time, "monotonic", lambda: next(now))
    kept = Snapshots(None, "")
    kept.path = project / "s.pt"
    kept.save(CONTENT)  # takes four seconds
    assert not kept.due()
    assert kept.due()
