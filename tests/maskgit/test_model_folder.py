"""A model folder: what belongs together is kept together, and what does not fit is refused."""

import json
import shutil

import numpy as np
import pytest
import torch

from maskgit import load
from maskgit.checkpoints import read_checkpoint
from maskgit.model_folder import BadModel, folder_files, read_model_folder
from maskgit.tokenizer.registry import TOKENIZERS
from pipeline.plumbing.hashing import write_sums
from pipeline.plumbing.places import MODEL_FOLDER


@pytest.fixture
def folder(small_models, tmp_path):
    return shutil.copytree(small_models / MODEL_FOLDER, tmp_path / "model")


def change_config(folder, **change):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_what_was_written_is_read(folder):
    config, tokenizer, transformer, drawer = read_model_folder(folder)
    again = folder_files(config, tokenizer, transformer, drawer, (folder / "README.md").read_text())
    assert again == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert tokenizer.partner == transformer.weights_hash()
    assert transformer.partner == tokenizer.weights_hash()
    assert drawer.partner == transformer.weights_hash()


def test_the_hash_is_of_the_weights_alone(folder):
    part = read_checkpoint(folder / "tokenizer.safetensors")
    name = next(iter(part.state))
    before = part.weights_hash()
    part.config["anything"] = 1
    assert part.weights_hash() == before
    part.state[name] = torch.nextafter(part.state[name].float(), torch.tensor(9.0))
    assert part.weights_hash() != before


def test_a_transformer_of_another_tokenizer_is_refused(folder):
    part = read_checkpoint(folder / "tokenizer.safetensors")
    name = next(iter(part.state))
    part.state[name] = part.state[name] + 1
    (folder / "tokenizer.safetensors").write_bytes(part.to_bytes())
    with pytest.raises(BadModel, match="do not belong together"):
        load(folder)


def test_weights_of_any_dtype_have_a_hash(folder):
    """A file of anybody's may hold what numpy does not know."""
    part = read_checkpoint(folder / "tokenizer.safetensors")
    name = next(iter(part.state))
    part.state[name] = part.state[name].to(torch.bfloat16)
    part.state["a scalar"] = torch.tensor(1.0)
    (folder / "tokenizer.safetensors").write_bytes(part.to_bytes())
    assert len(read_checkpoint(folder / "tokenizer.safetensors").weights_hash()) == 64
    with pytest.raises(BadModel, match=r"tokenizer\.safetensors does not fit: .*bfloat16"):
        load(folder)


FAULTS = {
    "no folder": (shutil.rmtree, "model does not exist"),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json does not exist"),
    "no transformer": (
        lambda f: (f / "transformer.safetensors").unlink(),
        "transformer.safetensors does not exist",
    ),
    "a broken config": (lambda f: (f / "config.json").write_text("{"), "config.json is damaged"),
    "a config of something else": (
        lambda f: (f / "config.json").write_text("{}"),
        "config.json: 'decoding' is missing",
    ),
    "a later format": (lambda f: change_config(f, format=2), "config.json: format: "),
    "other networks": (lambda f: change_config(f, networks={}), "describes other networks"),
    "an unknown key": (
        lambda f: change_config(f, more=2),
        "config.json: 'more' is not a parameter",
    ),
    "cut off": (
        lambda f: (f / "tokenizer.safetensors").write_bytes(b"x" * 99),
        "tokenizer.safetensors cannot be read",
    ),
    "parts exchanged": (
        lambda f: (f / "tokenizer.safetensors").write_bytes(
            (f / "transformer.safetensors").read_bytes()
        ),
        f"tokenizer.safetensors is not a {' or '.join(TOKENIZERS)} checkpoint",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_one_line(folder, spoil, message):
    spoil(folder)
    with pytest.raises(BadModel) as caught:
        load(folder)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["tokenizer", "transformer", "mean_decoder"])
def test_weights_that_differ_from_the_checksums_beside_them_are_refused(folder, part):
    write_sums(folder)
    load(folder)
    changed = read_checkpoint(folder / f"{part}.safetensors")
    name = next(iter(changed.state))
    changed.state[name] = changed.state[name] + 1
    (folder / f"{part}.safetensors").write_bytes(changed.to_bytes())
    with pytest.raises(BadModel, match=rf"{part}\.safetensors is damaged: its checksum differs"):
        load(folder)


def test_what_half_precision_cannot_hold_stays_as_it_is(folder):
    part = read_checkpoint(folder / "tokenizer.safetensors")
    part.state["codebook.count"][0] = 70_000  # tokens of one code in a step
    half = part.half().state
    assert half["codebook.count"][0] == 70_000
    assert half["decoder.from_codes.weight"].dtype == torch.float16


def test_half_precision_is_half_the_size_and_fills_almost_alike(folder, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    config, *pair = read_model_folder(folder)
    for name, content in folder_files(config, *[part.half() for part in pair], "").items():
        (small / name).write_bytes(content)
    for name in ("tokenizer.safetensors", "transformer.safetensors"):
        ratio = (small / name).stat().st_size / (folder / name).stat().st_size
        assert 0.45 < ratio < 0.65
    picture = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    hole = np.zeros((64, 64), bool)
    hole[20:40, 20:40] = True
    whole, half = (load(each)(picture, hole, reading="mean") for each in (folder, small))
    assert np.array_equal(whole[~hole], half[~hole])
    assert 0 < np.abs(whole[hole].astype(int) - half[hole]).mean() < 2
