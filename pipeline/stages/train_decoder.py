"""Stage train_decoder: teaches a decoder to draw the mean codes that the transformer predicts.

It sees the images, views and holes that the transformer is trained on. It has a copy of the
transformer's last blocks, which learn with it. Tokenizer and transformer stay as they are. With a
transformer that is kept, a trained decoder can be kept, too.
"""

import torch

from maskgit import ranks
from maskgit.mean.codes import MeanInputs
from maskgit.mean.decoder import MeanDecoder, copied_layers
from maskgit.mean.settings import MeanDecoderConfig, MeanDecoderSize, taught_config
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.training.drawing import DrawingTrainer
from maskgit.transformer.kinds import Transformer, transformer_kinds
from pipeline.models.checkpoints import build, load_model, read_model, save_model
from pipeline.models.drawing import load_drawing_data, save_drawing
from pipeline.models.loop import check_shares, train
from pipeline.models.perceptual import perceptual_network
from pipeline.models.start import start_mean_decoder, start_trained_on
from pipeline.plumbing.files import fresh_folder
from pipeline.plumbing.launch import network_stage
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.places import MEAN_DECODER, MODEL, TOKENIZER, TRANSFORMER
from pipeline.plumbing.snapshots import snapshots_of
from pipeline.tracking.stage import stage_run


def leave_out(params: Params) -> None:
    """Takes the decoder of `train.start_from` with its transformer; or writes an empty folder."""
    if ranks.rank():
        return
    start, kept = params.train.start_from, None
    if params.keeps_mean:
        kept = start_mean_decoder(start, [MeanDecoder])
    with stage_run("train_decoder", params, MEAN_DECODER), fresh_folder(MEAN_DECODER) as folder:
        if kept is not None:
            save_model(folder / MODEL, *kept)
        elif params.keeps_mean:
            print(f"mean_decoder: {start} has none")
        else:
            print("mean_decoder: none; mean_decoder.steps is 0 or the tokenizer is imported")


def new_model(
    params: Params, tokenizer_config: dict, tokenizer: VQGAN, transformer: Transformer
) -> tuple[dict, MeanDecoder]:
    """Returns the constructor's arguments and the decoder that is to be taught.

    It goes on from the decoder of the folder of `train.start_from`, if there is one.
    """
    size, start = params.mean_decoder.part(MeanDecoderSize), params.train.start_from
    taught = start_mean_decoder(start, [MeanDecoder]) if start else None
    if taught is not None:
        blocks = MeanDecoderConfig(**taught[0]).more_blocks
        size = size.changed(more_blocks=max(size.more_blocks, blocks))
    config = taught_config(tokenizer_config, size, copied_layers(transformer))
    model = build(MeanDecoder, config).copy_weights(tokenizer, transformer)
    return config, model if taught is None else model.go_on_from(taught[1])


def main() -> None:
    params, checkpoint = load_params(), read_model(TOKENIZER / MODEL)
    if not params.mean_decoder.steps or checkpoint.kind != VQGAN.__name__:
        return leave_out(params)
    settings, views, seed = params.mean_decoder, params.encode.views, params.seed
    drafts = params.drafts
    if params.keeps_transformer:  # which says whether a fill begins with a draft
        drafts = start_trained_on(params.train.start_from).drafts
    data = load_drawing_data(views)
    check_shares(settings.batch_size)
    values = {"mean_decoder": settings.model_dump(), "views": views}
    values |= {"drafts": drafts, "seed": seed, "start_from": params.train.start_from}
    with (
        snapshots_of("train_decoder", values) as snapshots,
        stage_run("train_decoder", params, MEAN_DECODER, key=snapshots.run_key) as run,
    ):
        torch.manual_seed(seed)
        tokenizer = load_model(TOKENIZER / MODEL, [VQGAN])
        transformer = load_model(TRANSFORMER / MODEL, transformer_kinds())
        config, model = new_model(params, checkpoint.config, tokenizer, transformer)
        mean_inputs = MeanInputs(tokenizer, transformer, model.layers)
        network = model, mean_inputs, model.hidden_matrices()
        perceptual = perceptual_network(settings)
        trainer = DrawingTrainer(*network, *data, settings, perceptual, seed, drafts)
        history = train(trainer, snapshots, run, "train mean decoder")
        if ranks.rank():
            return
        with fresh_folder(MEAN_DECODER) as folder:
            save_drawing(folder, "mean_decoder", config, trainer, history)


if __name__ == "__main__":
    with network_stage():
        main()
