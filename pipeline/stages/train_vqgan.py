"""Stage train_vqgan: trains the tokenizer, or imports one."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from maskgit import ranks
from maskgit.tokenizer.kinds import Tokenizer, decode_each, encode_each, tokenizer_kinds
from maskgit.tokenizer.settings import TokenizerConfig
from maskgit.tokenizer.training import TokenizerTrainer, evaluate_tokenizer
from maskgit.tokenizer.vqgan import VQGAN
from pipeline.models.checkpoints import build, save_model
from pipeline.models.loop import check_shares, train
from pipeline.models.perceptual import perceptual_network
from pipeline.models.start import start_model
from pipeline.plumbing.files import fresh_folder, load_array
from pipeline.plumbing.importers import IMPORTERS
from pipeline.plumbing.launch import cuda_graphs, network_stage
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.places import MODEL, PREPARED, TOKENIZER
from pipeline.plumbing.snapshots import snapshots_of
from pipeline.reporting.pictures import grid, save_picture
from pipeline.tracking.stage import stage_run

VALIDATED = 512  # validation images that an evaluation reconstructs
RECONSTRUCTIONS = 40  # validation images in the picture of reconstructions


def save(
    folder: Path, config: dict, model: Tokenizer, history: list[dict], validation: np.ndarray
) -> None:
    """Writes the tokenizer, its history and a picture of reconstructions."""
    save_model(folder / MODEL, config, model)
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    truth = validation[:RECONSTRUCTIONS]
    rebuilt = decode_each(model, encode_each(model, truth))
    save_picture(folder / "reconstructions.png", grid(truth, 10), grid(rebuilt, 10))
    last = history[-1]
    print(
        f"tokenizer: {last['val_psnr']:.2f} dB, {last['codebook_usage']:.0%} of the codes in use, "
        f"perplexity {last['codebook_perplexity']:.0f}"
    )


def import_model(params: Params, validation: np.ndarray) -> None:
    """Imports a tokenizer in place of a training; its history is one evaluation."""
    if ranks.rank():
        return
    vqgan, size, start = params.vqgan, validation.shape[1], params.train.start_from
    with stage_run("train_vqgan", params, TOKENIZER) as run, fresh_folder(TOKENIZER) as folder:
        if start:
            config, model = start_model(start, "tokenizer", tokenizer_kinds(), size, params.drafts)
        else:
            config, model = IMPORTERS["vqgan"].load()(vqgan.checkpoint, size, folder)
        metrics = evaluate_tokenizer(model, validation, vqgan.batch_size)
        run.log_metrics(metrics)
        save(folder, config, model, [{"step": 0} | metrics], validation)


def main() -> None:
    params = load_params()
    vqgan, seed = params.vqgan, params.seed
    images = load_array(PREPARED / "train.npy", mmap_mode="r")
    validation = load_array(PREPARED / "val.npy")[:VALIDATED]
    if vqgan.checkpoint or params.train.start_from:
        return import_model(params, validation)
    check_shares(vqgan.batch_size)
    values = {"vqgan": vqgan.model_dump(), "drafts": params.drafts, "seed": seed}
    with (
        snapshots_of("train_vqgan", values) as snapshots,
        stage_run("train_vqgan", params, TOKENIZER, key=snapshots.run_key) as run,
    ):
        torch.manual_seed(seed)
        config = vqgan.part(TokenizerConfig).model_dump()
        model = build(VQGAN, config)
        perceptual = perceptual_network(vqgan)
        how = vqgan, perceptual, seed, cuda_graphs(), params.drafts
        trainer = TokenizerTrainer(model, images, validation, *how)
        history = train(trainer, snapshots, run, "train tokenizer")
        if ranks.rank():
            return
        model.eval()
        with fresh_folder(TOKENIZER) as folder:
            save(folder, config, model, history, validation)


if __name__ == "__main__":
    with network_stage():
        main()
