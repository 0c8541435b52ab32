"""Stage reference: scores baselines and bounds, and extracts the features of the true images.

The baselines are classic fills; `score.others` adds those of other tools. `tokenizer` is the
tokenizer's upper bound: holes filled from the true tokens, which no sampler knows. `true_images` is
the lower bound of distances: as many other true images. Fills share their known pixels with the
true images. With few images their Fréchet distance may therefore be below that bound, which is
mostly bias. The kernel distance has no bias. Only with data.windows it is a little too high, since
windows of one picture are alike; that of `true_images` most.
"""

from time import perf_counter

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit import ranks
from maskgit.inpainting.seam import reconstruct
from maskgit.scoring.baselines import BASELINES, Fill
from maskgit.scoring.intervals import summarise
from maskgit.scoring.score import Evaluation
from maskgit.scoring.scores import compute_scores
from maskgit.tokenizer.kinds import tokenizer_kinds
from pipeline.inputs.others import load_others, notes_table
from pipeline.models.checkpoints import load_model
from pipeline.plumbing.files import load_array, load_task, save_array, write_atomically
from pipeline.plumbing.hashing import write_sums
from pipeline.plumbing.launch import network_stage, shared_folder
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import (
    FILLS,
    IMAGES_CSV,
    MODEL,
    OTHERS_CSV,
    PREPARED,
    REFERENCE,
    TOKENIZER,
)
from pipeline.plumbing.seconds import seconds_of
from pipeline.reporting.extractor import EXTRACTOR, FEATURES, load_extractors, load_lpips
from pipeline.reporting.pictures import save_results
from pipeline.reporting.tables import image_table, pictures_of, table_row
from pipeline.tracking.stage import stage_run


def other_true_images(count: int, crops: int, seed: int) -> np.ndarray | None:
    """Returns `count` random images of the train split; None where it has fewer.

    crops: number of crops of each image, which are at the end of the split and left out.
    """
    train = load_array(PREPARED / "train.npy", mmap_mode="r")
    train = train[: len(train) // (1 + crops)]
    if len(train) < count:
        print(f"true_images: left out, since {len(train)} train images are fewer than {count}")
        return None
    return train[np.sort(np.random.default_rng(seed).choice(len(train), count, replace=False))]


def fill_all(fill: Fill, images: np.ndarray, holes: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the images filled by a baseline, uint8 (N, H, W, 3), and the seconds an image."""
    fill(images[0], holes[0])  # the first call loads libraries, which should not count
    started = perf_counter()
    filled = np.stack([fill(*pair) for pair in zip(images, holes, strict=True)])
    return filled, (perf_counter() - started) / len(images)


def main() -> None:
    params = load_params()
    truth, holes = load_task(params.inpaint.split)
    pictures = pictures_of(len(truth), params.data.windows)
    true_images = other_true_images(len(truth), params.data.crops, params.seed)
    others = load_others(params.score.others, truth, holes)
    with (
        stage_run("reference", params, REFERENCE),
        seconds_of(REFERENCE) as times,
        shared_folder(REFERENCE) as folder,
    ):
        extractors = load_extractors(params.score.extractor, params.score.weights)
        lpips = load_lpips(params.score.lpips)
        tokenizer = load_model(TOKENIZER / MODEL, tokenizer_kinds())
        names = [*params.score.baselines, *others, "tokenizer"]
        found, seconds = {}, {}
        sets = 1 + len(names) + (true_images is not None)
        with tqdm(total=len(truth) * sets * len(extractors), unit="image") as bar:
            bar.set_description("features of the true images")
            judges = [(each(truth, progress=bar.update), each) for each in extractors]

            def scores_of(fill: np.ndarray, **inputs) -> dict[str, np.ndarray]:
                task, inputs = ([fill], truth, holes), {"groups": pictures} | inputs
                given = [Evaluation(*task, *j, progress=bar.update, **inputs) for j in judges]
                return compute_scores(*given)

            for name in names:
                bar.set_description(f"score {name}")
                if name == "tokenizer":
                    filled = reconstruct(tokenizer, truth, holes)
                elif name in others:
                    filled = others[name].images
                else:
                    filled, seconds[name] = fill_all(BASELINES[name], truth, holes)
                found[name] = scores_of(filled, lpips=lpips)
            if true_images is not None:
                bar.set_description("score true_images")
                found["true_images"] = scores_of(true_images, paired=False)
        if ranks.rank():
            return
        times += [(name, None, taken) for name, taken in seconds.items()]
        by_judge = folder / FEATURES.name
        by_judge.mkdir()
        for features, extractor in judges:
            save_array(by_judge / f"{extractor.name}.npy", features)
        write_sums(by_judge)
        kinds = "".join(f"{extractor.name}\n" for extractor in extractors)
        write_atomically(folder / EXTRACTOR.name, kinds.encode())
        for name, fills in others.items():
            save_results(folder / FILLS / name, fills.images)
            if fills.note:
                print(f"warning: score.others.{name}: {fills.note}")
        if others:
            notes_table(others).to_csv(folder / OTHERS_CSV, index=False)
        rows = []
        for name, columns in found.items():
            scores = summarise(columns, pictures)
            rows.append(table_row(name, None, len(truth), scores))
        pd.DataFrame(rows).to_csv(folder / "scores.csv", index=False)
        images = [
            image_table(name, None, holes, columns, pictures=pictures)
            for name, columns in found.items()
        ]
        pd.concat(images).to_csv(folder / IMAGES_CSV, index=False)


if __name__ == "__main__":
    with network_stage():
        main()
