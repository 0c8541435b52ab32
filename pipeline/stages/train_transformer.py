"""Stage train_transformer: images, tokens -> the transformer, the best of all evaluations; or the
original lab's, imported."""

import math
from pathlib import Path

import pandas as pd
import torch

from maskgit.device import keep_freed_memory
from maskgit.schedules import SCHEDULES
from maskgit.transformer.kinds import Transformer
from maskgit.transformer.masking import Example, Holes, fixed_batches
from maskgit.transformer.model import MaskedTransformer
from maskgit.transformer.training import (
    TransformerTrainer,
    TransformerTraining,
    evaluate_transformer,
)
from pipeline.models.checkpoints import build, save_model
from pipeline.models.lab_transformer import import_transformer
from pipeline.models.loop import train
from pipeline.plumbing.errors import plain_errors
from pipeline.plumbing.files import (
    MODEL,
    PREPARED,
    TOKENS,
    TRANSFORMER,
    fresh_folder,
    load_array,
)
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.snapshots import snapshots_of
from pipeline.tracking.stage import stage_run


def save(folder: Path, config: dict, model: Transformer, history: list[dict], loss: float) -> None:
    save_model(folder / MODEL, config, model)
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    print(f"transformer: validation loss {loss:.3f} nats a hidden token")


def import_lab(params: Params, codes: int, tokens: int, validation: list[Example]) -> None:
    """In place of a training; its history is one evaluation."""
    values = {"train": params.train.model_dump(), "seed": params.seed}
    with stage_run("train_transformer", values, TRANSFORMER) as run:
        with fresh_folder(TRANSFORMER) as folder:
            config, model = import_transformer(params.train.checkpoint, codes, tokens, folder)
            metrics = evaluate_transformer(model, validation)
            loss = metrics["val_loss"]
            save(folder, config, model, [{"step": 0} | metrics], loss)
        run.log_metrics({"best_val_loss": loss})
        run.log_artifacts(TRANSFORMER)


def main() -> None:
    params = load_params()
    settings = params.train
    images = load_array(PREPARED / "train.npy", mmap_mode="r")
    tokens = load_array(TOKENS / "train.npy", mmap_mode="r")
    holes = Holes(
        load_array(PREPARED / "train_holes.npy"),
        load_array(TOKENS / "touched.npy"),
        load_array(TOKENS / "covered.npy"),
    )
    codebook = load_array(TOKENS / "codebook.npy")
    gamma = SCHEDULES[settings.gamma]
    sees_pixels = settings.pixels and not settings.checkpoint
    validation = fixed_batches(
        load_array(PREPARED / "val.npy")[:512],
        load_array(TOKENS / "val.npy")[0][:512],
        holes,
        sees_pixels,
        gamma,
        params.seed,
    )
    if settings.checkpoint:
        return import_lab(params, len(codebook), tokens.shape[2], validation)
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
        stage_run("train_transformer", values, TRANSFORMER, key=snapshots.run_key) as run,
    ):
        run.log_dataset(params.data.source, "training")
        torch.manual_seed(params.seed)
        model = build(MaskedTransformer, config)
        model.know_codebook(torch.from_numpy(codebook))
        trainer = TransformerTrainer(model, images, tokens, holes, validation, how, gamma)
        history = train(trainer, snapshots, run, "train transformer")
        best = trainer.best
        with fresh_folder(TRANSFORMER) as folder:
            save(folder, config, best.model, history, best.loss)
        run.log_metrics({"best_val_loss": best.loss})
        run.log_artifacts(TRANSFORMER)


if __name__ == "__main__":
    with plain_errors():
        keep_freed_memory()
        main()
