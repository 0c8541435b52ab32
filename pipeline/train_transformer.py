"""Stage train_transformer: tokens -> the transformer, the best of all evaluations."""

import math

import pandas as pd
import torch

from maskgit.masking import fixed_batches
from maskgit.schedules import SCHEDULES
from maskgit.transformer import MaskedTransformer
from maskgit.transformer_training import TransformerTrainer, TransformerTraining
from pipeline.checkpoints import build, save_model
from pipeline.errors import plain_errors
from pipeline.files import MODEL, TOKENS, TRANSFORMER, fresh_folder, load_array
from pipeline.params import load_params
from pipeline.snapshots import snapshots_of
from pipeline.tracking import stage_run
from pipeline.training import train


def main() -> None:
    params = load_params()
    settings = params.train
    tokens = load_array(TOKENS / "train.npy", mmap_mode="r")
    hidden = load_array(TOKENS / "hidden.npy")
    codebook = load_array(TOKENS / "codebook.npy")
    gamma = SCHEDULES[settings.gamma]
    validation = fixed_batches(load_array(TOKENS / "val.npy")[0][:512], hidden, gamma, params.seed)
    config = settings.model_dump(include={"dim", "heads", "layers", "dropout"}) | {
        "codebook_size": len(codebook),
        "latent_dim": codebook.shape[1],
        "grid": math.isqrt(tokens.shape[2]),
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
        torch.manual_seed(params.seed)
        model = build(MaskedTransformer, config)
        model.know_codebook(torch.from_numpy(codebook))
        trainer = TransformerTrainer(model, tokens, validation, how, gamma, hidden)
        history = train(trainer, snapshots, run, "train transformer")
        best = trainer.best
        with fresh_folder(TRANSFORMER) as folder:
            save_model(folder / MODEL, config, best.model)
            pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
        run.log_metrics({"best_val_loss": best.loss})
        run.log_artifacts(TRANSFORMER)
    print(f"transformer: validation loss {best.loss:.3f} nats a hidden token")


if __name__ == "__main__":
    with plain_errors():
        main()
