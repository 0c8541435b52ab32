"""Loads the model folder of `train.start_from`, from which a training starts.

It reads only what a training needs of the folder's config, so that the settings of decoding are no
dependency of the training stages.
"""

import json
from collections.abc import Sequence

from maskgit.checkpoints import BadCheckpoint, Model, read_checkpoint, restore
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.hashing import file_hash
from pipeline.plumbing.places import project_root


def start_model(
    path: str, part: str, kinds: Sequence[type[Model]], size: int, drafts: float
) -> tuple[dict, Model]:
    """Returns the constructor's arguments and the network of one part of a model folder.

    part: tokenizer or transformer. size: of the images, `data.size`. drafts: the share of examples
    with a draft that it is to be trained on. Raises UserError.
    """
    folder = project_root() / path
    try:
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))["trained_on"]
        trained, knows_drafts = about["size"], about.get("drafts", 0) > 0
        pair = {
            name: read_checkpoint(folder / f"{name}.safetensors")
            for name in ("tokenizer", "transformer")
        }
        model = restore(pair[part], kinds)
        if pair["tokenizer"].partner != pair["transformer"].weights_hash():
            raise UserError(f"train.start_from: the two models of {path} do not belong together")
    except BadCheckpoint as error:
        raise UserError(f"train.start_from: {path}/{part}.safetensors {error}") from None
    except (OSError, ValueError, LookupError, TypeError):
        raise UserError(f"train.start_from: {path} is not a model folder") from None
    if trained != size:
        raise UserError(
            f"train.start_from: {path} is for images of {trained} pixels; set data.size={trained}, "
            f"now {size}"
        )
    if drafts and not knows_drafts:
        raise UserError(f"train.start_from: {path} was trained without drafts; set drafts=0")
    print(f"{part} of {path}, sha256 {file_hash(folder / f'{part}.safetensors')}")
    return pair[part].config, model
