"""Stage inpaint_feed_forward (feed_forward/dvc.yaml): fills holes by the feed-forward network.

The pictures have the names of `maskgit task`, so that `score.others` takes them.
"""

from PIL import Image
from tqdm import tqdm

from maskgit import ranks
from maskgit.device import best_device
from maskgit.feed_forward.filling import fill_holes
from maskgit.feed_forward.unet import UNet
from maskgit.parallel import parallel_map
from pipeline.inputs.others import task_names
from pipeline.models.checkpoints import load_model
from pipeline.plumbing.files import load_task
from pipeline.plumbing.launch import network_stage, shared_folder
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import FEED_FORWARD, FEED_FORWARD_FILLS, MODEL
from pipeline.tracking.stage import stage_run

BATCH = 64  # images filled together; no result depends on it


def main() -> None:
    params = load_params()
    images, holes = load_task(params.inpaint.split)
    names = task_names(images, holes)
    with (
        stage_run("inpaint_feed_forward", params, FEED_FORWARD_FILLS),
        shared_folder(FEED_FORWARD_FILLS) as folder,
    ):
        model = load_model(FEED_FORWARD / MODEL, [UNet])
        (folder / "images").mkdir(exist_ok=True)

        def fill(first: int) -> int:
            batch = slice(first, first + BATCH)
            filled = fill_holes(model, images[batch], holes[batch])
            for name, image in zip(names[batch], filled, strict=True):
                Image.fromarray(image).save(folder / "images" / f"{name}.png")
            return len(filled)

        starts = ranks.shard(range(0, len(images), BATCH))
        with (
            tqdm(desc="inpaint feed_forward", total=len(images), unit="image") as bar,
            parallel_map(fill, starts, best_device()) as filled,
        ):
            for count in filled:
                bar.update(count)
    if not ranks.rank():
        row = f"++score.others.feed_forward={FEED_FORWARD_FILLS}/images"
        print(f"to give these fills a row in the tables: dvc exp run -S {row}")


if __name__ == "__main__":
    with network_stage():
        main()
