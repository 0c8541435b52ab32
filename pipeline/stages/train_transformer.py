"""Stage train_transformer: trains the transformer and keeps the best evaluation; or takes one."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from maskgit import ranks
from maskgit.schedules import Gamma, make_gamma
from maskgit.transformer.guidance import GuidedTransformer, unguided
from maskgit.transformer.kinds import Transformer, transformer_kinds
from maskgit.transformer.masking import Example, Holes, fixed_batches
from maskgit.transformer.model import MaskedTransformer
from maskgit.transformer.settings import TransformerSize
from maskgit.transformer.training import TransformerTrainer, evaluate_transformer
from maskgit.transformer.uncertainty import SHARES, uncertainty_curve
from pipeline.models.checkpoints import build, save_model
from pipeline.models.loop import check_shares, train
from pipeline.models.start import start_model, start_trained_on
from pipeline.plumbing.files import fresh_folder, load_array, write_atomically
from pipeline.plumbing.importers import IMPORTERS
from pipeline.plumbing.launch import cuda_graphs, network_stage
from pipeline.plumbing.params import Params, Train, load_params
from pipeline.plumbing.places import MODEL, PREPARED, TOKENS, TRAINED_ON, TRANSFORMER, UNCERTAINTY
from pipeline.plumbing.snapshots import snapshots_of
from pipeline.tracking.stage import stage_run

VALIDATED = 512  # validation images that the loss is measured on, in each evaluation
MEASURED = 128  # those on which the finished transformer's uncertainty is measured


class Inputs(NamedTuple):
    """Outputs of earlier stages: images and tokens for training and validation, holes, codebook."""

    images: np.ndarray  # uint8 (n, H, W, 3)
    tokens: np.ndarray  # uint16 (views, n, N)
    codebook: np.ndarray  # float32 (codes, latent_dim)
    holes: Holes
    val_images: np.ndarray  # uint8 (m, H, W, 3)
    val_tokens: np.ndarray  # uint16 (m, N)

    def examples(self, sees_pixels: bool, gamma: Gamma, seed: int) -> list[Example]:
        """Returns the fixed batches of the validation images."""
        return fixed_batches(self.val_images, self.val_tokens, self.holes, sees_pixels, gamma, seed)

    def measure(self, model: Transformer, seed: int) -> pd.DataFrame:
        """Measures the uncertainty of a transformer, a row for each share of hidden tokens."""
        task = self.val_images[:MEASURED], self.val_tokens[:MEASURED], self.holes
        nats = uncertainty_curve(model, *task, seed)
        return pd.DataFrame({"hidden_share": SHARES, "nats": nats})


def load_inputs() -> Inputs:
    """Loads the outputs of earlier stages. Raises UserError."""
    paths = PREPARED / "train_holes.npy", TOKENS / "touched.npy", TOKENS / "covered.npy"
    return Inputs(
        images=load_array(PREPARED / "train.npy", mmap_mode="r"),
        tokens=load_array(TOKENS / "train.npy", mmap_mode="r"),
        codebook=load_array(TOKENS / "codebook.npy"),
        holes=Holes(*[torch.from_numpy(load_array(path)) for path in paths]),
        val_images=load_array(PREPARED / "val.npy")[:VALIDATED],
        val_tokens=load_array(TOKENS / "val.npy")[0][:VALIDATED],
    )


def new_model(settings: Train, inputs: Inputs) -> tuple[dict, MaskedTransformer]:
    """Returns the constructor's arguments and an untrained transformer for these tokens."""
    codes, latent_dim = inputs.codebook.shape
    grid = math.isqrt(inputs.tokens.shape[2])
    config = settings.part(TransformerSize).model_dump() | {
        "codebook_size": codes,
        "latent_dim": latent_dim,
        "grid": grid,
        "cell": inputs.images.shape[1] // grid if settings.pixels else 0,
    }
    model = build(MaskedTransformer, config)
    model.set_codebook(torch.from_numpy(inputs.codebook))
    return config, model


def started_model(params: Params, size: int) -> tuple[dict, MaskedTransformer]:
    """Returns the constructor's arguments and the transformer of a model folder."""
    config, model = kept_model(params, size, [GuidedTransformer, MaskedTransformer])
    size = ", ".join(f"{name} {config[name]}" for name in ("dim", "heads", "layers"))
    print(f"transformer: goes on from {params.train.start_from}, with its {size}")
    config = config | {"dropout": params.train.dropout}  # it has no weights
    started = build(MaskedTransformer, config)
    started.load_state_dict(unguided(model).state_dict())
    return config, started


def kept_model(
    params: Params, size: int, kinds: Sequence[type[Transformer]]
) -> tuple[dict, Transformer]:
    """Returns the same, as the folder has it: with its guide, if there is one."""
    return start_model(params.train.start_from, "transformer", kinds, size, params.drafts)


def best_evaluation(history: list[dict]) -> dict:
    """Returns the row of the lowest validation loss, the first of equal ones."""
    return min((row for row in history if "val_loss" in row), key=lambda row: row["val_loss"])


def save(
    folder: Path,
    config: dict,
    model: Transformer,
    history: list[dict],
    uncertainty: pd.DataFrame,
) -> None:
    """Writes the transformer, its history and its uncertainty."""
    save_model(folder / MODEL, config, model)
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    uncertainty.to_csv(folder / UNCERTAINTY, index=False)
    best = best_evaluation(history)
    print(
        f"transformer: validation loss {best['val_loss']:.3f} nats a hidden token; "
        f"{best['val_top1']:.1%} are the likeliest, {best['val_top5']:.1%} among the first five"
    )


def import_model(params: Params, inputs: Inputs) -> None:
    """Takes a trained transformer in place of a training; its history is one evaluation."""
    if ranks.rank():
        return
    train, seed = params.train, params.seed
    with stage_run("train_transformer", params, TRANSFORMER), fresh_folder(TRANSFORMER) as folder:
        if params.keeps_transformer:
            config, model = kept_model(params, inputs.images.shape[1], transformer_kinds())
            about = start_trained_on(train.start_from).model_dump_json(indent=2)
            write_atomically(folder / TRAINED_ON, f"{about}\n".encode())
            if not isinstance(model, GuidedTransformer):
                print("transformer: it has no guide; inpaint.guidance is not used")
        else:
            config, model = IMPORTERS["train"].load()(
                train.checkpoint, len(inputs.codebook), inputs.val_tokens.shape[1], folder
            )
        examples = inputs.examples(model.sees_pixels, make_gamma(train.gamma), seed)
        metrics = evaluate_transformer(model, examples)
        uncertainty = inputs.measure(model, seed)
        save(folder, config, model, [{"step": 0} | metrics], uncertainty)


def with_guide(config: dict, trainer: TransformerTrainer, best_step: int) -> Transformer:
    """Returns the best transformer with its guide, if the guide is of an earlier step."""
    best = trainer.best.model
    if best_step > trainer.guide_step:
        return build(GuidedTransformer, config).copy_weights(best, trainer.guide)
    print(
        f"transformer: the best weights are of step {best_step}, too early for a guide; "
        "inpaint.guidance is not used"
    )
    return best


def main() -> None:
    params, inputs = load_params(), load_inputs()
    settings, seed = params.train, params.seed
    if settings.checkpoint or params.keeps_transformer:
        return import_model(params, inputs)
    check_shares(settings.batch_size)
    gamma = make_gamma(settings.gamma)
    values = {"train": settings.model_dump(), "drafts": params.drafts, "seed": seed}
    with (
        snapshots_of("train_transformer", values) as snapshots,
        stage_run("train_transformer", params, TRANSFORMER, key=snapshots.run_key) as run,
    ):
        torch.manual_seed(seed)
        if settings.start_from:
            config, model = started_model(params, inputs.images.shape[1])
        else:
            config, model = new_model(settings, inputs)
        examples = inputs.examples(model.sees_pixels, gamma, seed)
        data = inputs.images, inputs.tokens, inputs.holes, examples
        how = settings, gamma, seed, cuda_graphs(), params.drafts
        trainer = TransformerTrainer(model, *data, *how)
        history = train(trainer, snapshots, run, "train transformer")
        if ranks.rank():
            return
        with fresh_folder(TRANSFORMER) as folder:
            uncertainty = inputs.measure(trainer.best.model, seed)
            model = with_guide(config, trainer, best_evaluation(history)["step"])
            save(folder, config, model, history, uncertainty)


if __name__ == "__main__":
    with network_stage():
        main()
