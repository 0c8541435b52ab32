"""Loads the model folder of `train.start_from`, from which a training starts.

It reads only what a training needs of the folder's config, so that the settings of decoding are no
dependency of the training stages. Faults are a UserError of one line.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from maskgit.checkpoints import BadCheckpoint, Checkpoint, Model, read_checkpoint, restore
from maskgit.checksums import agrees_with_sums
from maskgit.trained_on import TrainedOn
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.hashing import file_hash
from pipeline.plumbing.places import project_root


def start_trained_on(path: str) -> TrainedOn:
    """Returns what the models of a model folder were trained on."""
    with _is_model_folder(path):
        return TrainedOn.model_validate(_config(path)["trained_on"])


def start_model(
    path: str, part: str, kinds: Sequence[type[Model]], size: int, drafts: float
) -> tuple[dict, Model]:
    """Returns the constructor's arguments and the network of one part of a model folder.

    part: tokenizer or transformer. size: of the images, `data.size`. drafts: the share of examples
    with a draft that it is to be trained on.
    """
    about = start_trained_on(path)
    if about.size != size:
        raise UserError(
            f"train.start_from: {path} is for images of {about.size} pixels; set "
            f"data.size={about.size}, now {size}"
        )
    if drafts and not about.drafts:
        raise UserError(f"train.start_from: {path} was trained without drafts; set drafts=0")
    pair = {name: _read(path, name) for name in ("tokenizer", "transformer")}
    partners = pair["transformer"].partner, pair["tokenizer"].partner
    if tuple(each.weights_hash() for each in pair.values()) != partners:
        raise UserError(f"train.start_from: the two models of {path} do not belong together")
    return pair[part].config, _restore(path, part, pair[part], kinds)


def start_mean_decoder(path: str, kinds: Sequence[type[Model]]) -> tuple[dict, Model] | None:
    """Returns the arguments and the network of a folder's decoder of mean codes, if it has one."""
    with _is_model_folder(path):
        if "mean_decoder" not in _config(path)["networks"]:
            return None
    drawer, transformer = _read(path, "mean_decoder"), _read(path, "transformer")
    if drawer.partner != transformer.weights_hash():
        raise UserError(
            f"train.start_from: the decoder of mean codes of {path} does not belong to its "
            "transformer"
        )
    return drawer.config, _restore(path, "mean_decoder", drawer, kinds)


def _config(path: str) -> dict:
    return json.loads((project_root() / path / "config.json").read_text(encoding="utf-8"))


@contextmanager
def _is_model_folder(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise UserError(f"train.start_from: {path} is not a model folder") from None


def _file(path: str, part: str) -> Path:
    return project_root() / path / f"{part}.safetensors"


def _read(path: str, part: str) -> Checkpoint:
    file = _file(path, part)
    try:
        checkpoint = read_checkpoint(file)
    except BadCheckpoint as error:
        raise UserError(f"train.start_from: {path}/{part}.safetensors {error}") from None
    if not agrees_with_sums(file):
        raise UserError(
            f"train.start_from: {path}/{part}.safetensors is damaged: its checksum differs"
        )
    return checkpoint


def _restore(path: str, part: str, checkpoint: Checkpoint, kinds: Sequence[type[Model]]) -> Model:
    try:
        model = restore(checkpoint, kinds)
    except BadCheckpoint as error:
        raise UserError(f"train.start_from: {path}/{part}.safetensors {error}") from None
    print(f"{part} of {path}, sha256 {file_hash(_file(path, part))}")
    return model
