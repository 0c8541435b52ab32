"""Stage train_vqgan: train images -> the tokenizer."""

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from maskgit.optim import to_float, to_uint8
from maskgit.perceptual import PerceptualLoss
from maskgit.tokenizer_training import TokenizerTraining, train_tokenizer
from maskgit.vqgan import VQGAN
from pipeline.checkpoints import best_device, build, save_model
from pipeline.errors import plain_errors
from pipeline.files import MODEL, PREPARED, TOKENIZER, fresh_folder
from pipeline.params import load_params
from pipeline.pictures import grid, save_picture
from pipeline.tracking import log_progress, stage_run

SHOWN = 40  # validation images in the reconstruction picture


def main() -> None:
    params = load_params()
    vqgan = params.vqgan
    images = np.load(PREPARED / "train.npy", mmap_mode="r")
    validation = np.load(PREPARED / "val.npy")[:512]
    config = vqgan.model_dump(
        include={"channels", "encoder_blocks", "decoder_blocks", "latent_dim", "codebook_size"}
    )
    how = TokenizerTraining(
        **vqgan.model_dump(
            include={
                "steps",
                "batch_size",
                "learning_rate",
                "warmup",
                "commitment_weight",
                "perceptual_weight",
                "adversarial_weight",
            }
        ),
        discriminator_start=round(vqgan.discriminator_start * vqgan.steps),
        evaluate_every=max(1, vqgan.steps // vqgan.evaluations),
        seed=params.seed,
    )
    values = {"vqgan": vqgan.model_dump(), "seed": params.seed}
    with stage_run("train_vqgan", values, TOKENIZER) as run:
        torch.manual_seed(params.seed)
        model = build(VQGAN, config)
        perceptual = PerceptualLoss().to(best_device()) if vqgan.perceptual_weight else None
        history = []
        training = train_tokenizer(model, images, validation, how, perceptual)
        with tqdm(training, "train tokenizer", how.steps, unit="step") as bar:
            for step, metrics in bar:
                log_progress(run, bar, history, step, metrics, how.steps)

        model.eval()
        with fresh_folder(TOKENIZER) as folder:
            save_model(folder / MODEL, config, model)
            pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
            truth = validation[:SHOWN]
            rebuilt = to_uint8(model.decode(model.encode(to_float(truth, best_device()))))
            save_picture(folder / "reconstructions.png", grid(truth, 10), grid(rebuilt, 10))
        run.log_artifacts(TOKENIZER)
    last = history[-1]
    print(
        f"tokenizer: {last['val_psnr']:.2f} dB, {last['codebook_usage']:.0%} of the codes in use, "
        f"perplexity {last['codebook_perplexity']:.0f}"
    )


if __name__ == "__main__":
    with plain_errors():
        main()
