"""Stage inpaint_feed_forward (feed_forward/dvc.yaml): fills holes by the feed-forward network."""

from maskgit.parallel import parallel_map
from tqdm import tqdm

from maskgit import ranks
from maskgit.device import best_device
from maskgit.feed_forward.filling import fill_holes
from maskgit.feed_forward.unet import UNet
from pipeline.models.checkpoints import load_model
from pipeline.plumbing.files import FEED_FORWARD, FEED_FORWARD_FILLS, load_task
from pipeline.plumbing.launch import network_stage, shared_folder
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import MODEL
from pipeline.reporting.pictures import save_images
from pipeline.tracking.stage import stage_run

BATCH = 64  # images filled together; no result depends on it


def main() -> None:
    params = load_params()
    images, holes = load_task(params.inpaint.split)
    with (
        stage_run("inpaint_feed_forward", params, FEED_FORWARD_FILLS),
        shared_folder(FEED_FORWARD_FILLS) as folder,
    ):
        model = load_model(FEED_FORWARD / MODEL, [UNet])

        def fill(first: int) -> int:
            batch = [part[first : first + BATCH] for part in (images, holes)]
            save_images(folder, fill_holes(model, *batch), first)
            return len(batch[0])

        starts = ranks.shard(range(0, len(images), BATCH))
        with (
            tqdm(desc="inpaint feed_forward", total=len(images), unit="image") as bar,
            parallel_map(fill, starts, best_device()) as filled,
        ):
            for count in filled:
                bar.update(count)


if __name__ == "__main__":
    with network_stage():
        main()
