"""`train.start_from`: somebody's model folder, to go on from with one's own images.

It looks at what a start needs and no more, so that how holes are filled, of which the folder's
config says a lot, is no dependency of a training.
"""

import json
from collections.abc import Sequence

from maskgit.checkpoints import BadCheckpoint, Model, read_checkpoint, restore
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import file_hash, project_root


def start_model(
    path: str, part: str, kinds: Sequence[type[Model]], size: int
) -> tuple[dict, Model]:
    """One part, tokenizer or transformer, and its constructor's arguments. Raises UserError.

    size: of the images, `data.size`.
    """
    folder = project_root() / path
    try:
        trained = json.loads((folder / "config.json").read_text())["trained_on"]["size"]
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
    print(f"{part} of {path}, sha256 {file_hash(folder / f'{part}.safetensors')}")
    return pair[part].config, model
