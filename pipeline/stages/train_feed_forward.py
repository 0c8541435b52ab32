"""Stage train_feed_forward (feed_forward/dvc.yaml): trains a network to compare the sampler with.

It sees the images, views and holes that the transformer is trained on, and has the losses of the
decoder of mean codes.
"""

import torch

from maskgit import ranks
from maskgit.feed_forward.filling import only_known_pixels
from maskgit.feed_forward.settings import UNetConfig
from maskgit.feed_forward.unet import UNet
from maskgit.training.drawing import DrawingTrainer
from pipeline.models.checkpoints import build
from pipeline.models.drawing import load_drawing_data, save_drawing
from pipeline.models.loop import check_shares, train
from pipeline.models.perceptual import perceptual_network
from pipeline.plumbing.copies import check_results_are_kept
from pipeline.plumbing.files import fresh_folder
from pipeline.plumbing.launch import network_stage
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import FEED_FORWARD
from pipeline.plumbing.snapshots import snapshots_of
from pipeline.tracking.stage import stage_run


def main() -> None:
    check_results_are_kept()
    params = load_params()
    settings, views, seed = params.feed_forward, params.encode.views, params.seed
    data = load_drawing_data(views)
    check_shares(settings.batch_size)
    values = {"feed_forward": settings.model_dump(), "views": views}
    values |= {"drafts": params.drafts, "seed": seed}
    with (
        snapshots_of("train_feed_forward", values) as snapshots,
        stage_run("train_feed_forward", params, FEED_FORWARD, key=snapshots.run_key) as run,
    ):
        torch.manual_seed(seed)
        config = settings.part(UNetConfig).model_dump()
        model = build(UNet, config)
        network = model, only_known_pixels, model.hidden_convolutions()
        perceptual = perceptual_network(settings)
        trainer = DrawingTrainer(*network, *data, settings, perceptual, seed, params.drafts)
        history = train(trainer, snapshots, run, "train feed_forward")
        if ranks.rank():
            return
        with fresh_folder(FEED_FORWARD) as folder:
            save_drawing(folder, "feed_forward", config, trainer, history)


if __name__ == "__main__":
    with network_stage():
        main()
