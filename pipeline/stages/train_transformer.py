"""Stage train_transformer: images, tokens -> the transformer, the best of all evaluations; or the
original lab's, imported."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from maskgit import ranks
from maskgit.schedules import SCHEDULES
from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.kinds import Transformer
from maskgit.transformer.masking import Example, Holes, fixed_batches
from maskgit.transformer.model import MaskedTransformer
from maskgit.transformer.training import (
    TransformerTrainer,
    TransformerTraining,
    evaluate_transformer,
)
from maskgit.transformer.uncertainty import SHARES, uncertainty_curve
from pipeline.models.checkpoints import build, save_model
from pipeline.models.lab_transformer import import_transformer
from pipeline.models.loop import check_shares, train
from pipeline.models.start import start_model
from pipeline.plumbing.files import (
    MODEL,
    PREPARED,
    TOKENS,
    TRANSFORMER,
    UNCERTAINTY,
    fresh_folder,
    load_array,
)
from pipeline.plumbing.launch import network_stage
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.snapshots import snapshots_of
from pipeline.tracking.stage import stage_run

VALIDATED = 512  # validation images that the loss is measured on, in each evaluation
MEASURED = 128  # those on which the finished transformer's uncertainty is measured


class Validation(NamedTuple):
    """Images, uint8 (n, H, W, 3), their tokens (n, N), and holes for them."""

    images: np.ndarray
    tokens: np.ndarray
    holes: Holes

    def measure(self, model: Transformer, seed: int) -> pd.DataFrame:
        task = self.images[:MEASURED], self.tokens[:MEASURED], self.holes
        nats = uncertainty_curve(model, *task, seed)
        return pd.DataFrame({"hidden_share": SHARES, "nats": nats})


def save(
    folder: Path,
    config: dict,
    model: Transformer,
    history: list[dict],
    loss: float,
    uncertainty: pd.DataFrame,
) -> None:
    save_model(folder / MODEL, config, model)
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    uncertainty.to_csv(folder / UNCERTAINTY, index=False)
    print(f"transformer: validation loss {loss:.3f} nats a hidden token")


def import_lab(params: Params, codes: int, validation: Validation, examples: list[Example]) -> None:
    """In place of a training; its history is one evaluation."""
    if ranks.rank():
        return
    with stage_run("train_transformer", params, TRANSFORMER) as run:
        with fresh_folder(TRANSFORMER) as folder:
            config, model = import_transformer(
                params.train.checkpoint, codes, validation.tokens.shape[1], folder
            )
            metrics = evaluate_transformer(model, examples)
            loss = metrics["val_loss"]
            uncertainty = validation.measure(model, params.seed)
            save(folder, config, model, [{"step": 0} | metrics], loss, uncertainty)
        run.log_metrics({"best_val_loss": loss})


def main() -> None:
    params = load_params()
    settings = params.train
    images = load_array(PREPARED / "train.npy", mmap_mode="r")
    tokens = load_array(TOKENS / "train.npy", mmap_mode="r")
    paths = PREPARED / "train_holes.npy", TOKENS / "touched.npy", TOKENS / "covered.npy"
    holes = Holes(*[torch.from_numpy(load_array(path)) for path in paths])
    codebook = load_array(TOKENS / "codebook.npy")
    gamma = SCHEDULES[settings.gamma]
    sees_pixels = settings.pixels and not settings.checkpoint
    validation = Validation(
        load_array(PREPARED / "val.npy")[:VALIDATED],
        load_array(TOKENS / "val.npy")[0][:VALIDATED],
        holes,
    )
    examples = fixed_batches(*validation, sees_pixels, gamma, params.seed)
    if settings.checkpoint:
        return import_lab(params, len(codebook), validation, examples)
    check_shares(settings.batch_size)
    config = settings.model_dump(include={"dim", "heads", "layers", "dropout"}) | {
        "codebook_size": len(codebook),
        "latent_dim": codebook.shape[1],
        "grid": math.isqrt(tokens.shape[2]),
        "cell": images.shape[1] // math.isqrt(tokens.shape[2]) if sees_pixels else 0,
    }
    how = TransformerTraining(
        **settings.model_dump(
            include={
                "steps",
                "batch_size",
                "learning_rate",
                "warmup",
                "weight_decay",
                "label_smoothing",
                "gradient_clip",
                "ema_decay",
                "hole_share",
            }
        ),
        evaluate_every=max(1, settings.steps // settings.evaluations),
        seed=params.seed,
    )
    values = {"train": settings.model_dump(), "seed": params.seed}
    with (
        snapshots_of("train_transformer", values) as snapshots,
        stage_run("train_transformer", params, TRANSFORMER, key=snapshots.run_key) as run,
    ):
        torch.manual_seed(params.seed)
        if settings.start_from:
            kinds = GuidedTransformer, MaskedTransformer
            task = settings.start_from, "transformer", kinds, images.shape[1]
            config, model = start_model(*task)
            model = model.trained if isinstance(model, GuidedTransformer) else model
        else:
            model = build(MaskedTransformer, config)
            model.know_codebook(torch.from_numpy(codebook))
        trainer = TransformerTrainer(model, images, tokens, holes, examples, how, gamma)
        history = train(trainer, snapshots, run, "train transformer")
        if ranks.rank():
            return
        best = trainer.best
        with fresh_folder(TRANSFORMER) as folder:
            uncertainty = validation.measure(best.model, params.seed)
            model = build(GuidedTransformer, config).take(best.model, trainer.guide)
            save(folder, config, model, history, best.loss, uncertainty)
        run.log_metrics({"best_val_loss": best.loss})


if __name__ == "__main__":
    with network_stage():
        main()
