"""Stage reference: what every schedule is measured against, computed once.

The features of the true images, the scores of the classic fills, and those of the tokenizer's own
reconstruction pasted into the hole: what a perfect transformer would reach.
"""

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit.baselines import BASELINES
from maskgit.compositing import reconstruct
from maskgit.scoring import score
from maskgit.vqgan import VQGAN
from pipeline.checkpoints import load_model
from pipeline.errors import plain_errors
from pipeline.extractors import load_extractor
from pipeline.files import MODEL, REFERENCE, TOKENIZER, fresh_folder, load_task, save_array
from pipeline.params import load_params
from pipeline.tracking import stage_run


def main() -> None:
    params = load_params()
    truth, holes = load_task(params.inpaint.split)
    values = {"score": params.score.model_dump(), "split": params.inpaint.split}
    with stage_run("reference", values, REFERENCE) as run, fresh_folder(REFERENCE) as folder:
        extractor = load_extractor(params.score)
        tokenizer = load_model(TOKENIZER / MODEL, VQGAN)
        names = [*params.score.baselines, "tokenizer"]
        rows = []
        with tqdm(total=len(truth) * (1 + len(names)), unit="image") as bar:
            bar.set_description("features of the true images")
            features = extractor(truth, progress=bar.update)
            save_array(folder / "features.npy", features)
            for name in names:
                bar.set_description(f"score {name}")
                if name == "tokenizer":
                    filled = reconstruct(tokenizer, truth, holes)
                else:
                    pairs = zip(truth, holes, strict=True)
                    filled = np.stack([BASELINES[name](*pair) for pair in pairs])
                scores = score(filled, truth, holes, features, extractor, bar.update)
                rows.append({"schedule": name, "iterations": None} | scores)
                run.log_metrics({f"{name}.{key}": value for key, value in scores.items()})
        pd.DataFrame(rows).to_csv(folder / "scores.csv", index=False)


if __name__ == "__main__":
    with plain_errors():
        main()
