"""Stage train_transformer: tokens -> the transformer, the best of all evaluations."""

import math

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from maskgit.masking import fixed_batches
from maskgit.schedules import SCHEDULES
from maskgit.transformer import MaskedTransformer
from maskgit.transformer_training import TransformerTraining, train_transformer
from pipeline.checkpoints import build, save_model
from pipeline.errors import plain_errors
from pipeline.files import MODEL, TOKENS, TRANSFORMER, fresh_folder
from pipeline.params import load_params
from pipeline.tracking import log_progress, stage_run


def main() -> None:
    params = load_params()
    train = params.train
    tokens = np.load(TOKENS / "train.npy", mmap_mode="r")
    hidden = np.load(TOKENS / "hidden.npy")
    codebook = np.load(TOKENS / "codebook.npy")
    gamma = SCHEDULES[train.gamma]
    validation = fixed_batches(np.load(TOKENS / "val.npy")[0][:512], hidden, gamma, params.seed)
    config = train.model_dump(include={"dim", "heads", "layers", "dropout"}) | {
        "codebook_size": len(codebook),
        "latent_dim": codebook.shape[1],
        "grid": math.isqrt(tokens.shape[2]),
    }
    how = TransformerTraining(
        **train.model_dump(
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
        evaluate_every=max(1, train.steps // train.evaluations),
        seed=params.seed,
    )
    values = {"train": train.model_dump(), "seed": params.seed}
    with (
        stage_run("train_transformer", values, TRANSFORMER) as run,
        fresh_folder(TRANSFORMER) as folder,
    ):
        torch.manual_seed(params.seed)
        model = build(MaskedTransformer, config)
        model.know_codebook(torch.from_numpy(codebook))
        history, best = [], math.inf
        training = train_transformer(model, tokens, validation, how, gamma, hidden)
        with tqdm(training, "train transformer", how.steps, unit="step") as bar:
            for step, metrics, average in bar:
                log_progress(run, bar, history, step, metrics, how.steps)
                if metrics.get("val_loss", math.inf) < best:
                    best = metrics["val_loss"]
                    save_model(folder / MODEL, config, average)
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
        run.log_metrics({"best_val_loss": best})
        run.log_artifacts(folder)
    print(f"transformer: validation loss {best:.3f} nats a hidden token")


if __name__ == "__main__":
    with plain_errors():
        main()
