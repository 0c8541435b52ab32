"""The command line: maskgit VERB, or python -m pipeline VERB."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UserError, plain_errors
from pipeline.files import REPORTS

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def maskgit() -> None:
    """Which mask schedule fills holes best, on your images.

    The pipeline itself is run by DVC: dvc repro, dvc exp run -S gamma=square.
    """


def aligned(rows: list[list[str]]) -> str:
    """Columns of equal width, text to the left of the first, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def rounded(cell: str) -> str:
    return f"{float(cell):.3f}" if "." in cell else cell


@app.command()
def scores(
    table: Annotated[Path, typer.Argument(help="a table of scores")] = REPORTS / "scores.csv",
) -> None:
    """Print the table of scores and where to look further.

    Example: maskgit scores
    """
    with plain_errors():
        if not table.is_file():
            raise UserError(f"{table} does not exist; run 'dvc repro' to make it")
        with table.open(newline="") as file:
            rows = [[rounded(cell) for cell in row] for row in csv.reader(file)]
        print(aligned(rows))
        print(
            "\nA distance falls as the images get better; PSNR, SSIM rise (and favour blur).\n"
            f"Pictures and plots: {REPORTS / 'summary'}/\n"
            "Every run:          mlflow ui --backend-store-uri sqlite:///mlflow.db"
        )


@app.command()
def grid(
    picture: Annotated[Path, typer.Argument(help="the PNG file to write")],
    rows: Annotated[list[str], typer.Argument(help="CAPTION=FOLDER, a folder test_results each")],
    count: Annotated[int, typer.Option(help="images in a row", min=1)] = 8,
) -> None:
    """Draw true images, holes, Telea's fill, and a row for each folder of results.

    Example: maskgit grid cats.png "ours 2=outputs/inpaint/cosine/2/test_results"
    """
    with plain_errors():
        wrong = [row for row in rows if "=" not in row]
        if wrong:
            raise UserError(f"{wrong[0]!r}: a row is given as CAPTION=FOLDER")
        # here, since they take a second to load, and other verbs do without
        from pipeline.files import load_task
        from pipeline.grids import draw_grid
        from pipeline.params import load_params
        from pipeline.pictures import save_picture

        images, holes = load_task(load_params().inpaint.split)
        folders = dict(row.split("=", 1) for row in rows)
        results = {caption: Path(folder) for caption, folder in folders.items()}
        save_picture(picture, draw_grid(images[:count], holes[:count], results))
        print(f"{picture}: {min(count, len(images))} images, {3 + len(rows)} rows")


@app.command()
def inpaint(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="a picture, or a folder of them")],
    mask: Annotated[
        Path, typer.Option(help="white = hole: a mask, or a folder of masks with the same names")
    ],
    out: Annotated[Path, typer.Option(help="a PNG file, or the folder for the results")],
    gamma: Annotated[str, typer.Option(help="mask schedule")] = "cosine",
    iterations: Annotated[int, typer.Option(min=1, help="decoding steps")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="another seed, another fill")] = 0,
    skip_existing: Annotated[bool, typer.Option(help="leave results alone that exist")] = False,
) -> None:
    """Fill the holes of your own pictures, of any size, with the models that were trained here.

    Known pixels come back bit for bit, as 8-bit RGB. A mask is white (128 or more) where the hole
    is, and as large as its picture; one mask for a whole folder is stretched to each.

    Example: maskgit inpaint photo.jpg --mask hole.png --out filled.png
    """
    with plain_errors():
        from tqdm import tqdm

        from maskgit.images import UnusableImage
        from maskgit.inpainting import Inpainter
        from maskgit.photos import fill_photo
        from maskgit.schedules import SCHEDULES
        from maskgit.transformer import MaskedTransformer
        from maskgit.vqgan import VQGAN
        from pipeline.checkpoints import load_model
        from pipeline.files import MODEL, TOKENIZER, TRANSFORMER
        from pipeline.params import load_params
        from pipeline.photos import load_job, plan, save_png

        if gamma not in SCHEDULES:
            raise UserError(f"--gamma: should be one of {', '.join(SCHEDULES)}")
        jobs = plan(source, mask, out)
        if skip_existing:
            jobs = [job for job in jobs if not job.result.exists()]
        settings = load_params().inpaint
        inpainter = Inpainter(
            load_model(TOKENIZER / MODEL, VQGAN),
            load_model(TRANSFORMER / MODEL, MaskedTransformer),
            temperature=settings.temperature,
            choice_temperature=settings.choice_temperature,
            seamless=settings.seamless,
        )
        failed = []
        for job in tqdm(jobs, "inpaint", unit="picture"):
            try:
                image, hole = load_job(job)
                filled = fill_photo(inpainter, image, hole, SCHEDULES[gamma], iterations, seed)
                save_png(filled, job.result)
            except (UnusableImage, OSError) as error:
                failed.append(f"{job.picture}: {error}")
        print(f"{len(jobs) - len(failed)} of {len(jobs)} filled")
        if failed:
            raise UserError("not filled:\n  " + "\n  ".join(failed))


@app.command()
def mask(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="a picture, or a folder of them")],
    out: Annotated[Path, typer.Option(help="the folder for the masks")],
    kind: Annotated[str, typer.Option(help="box, strokes, or mixture")] = "mixture",
    area: Annotated[
        tuple[float, float], typer.Option(help="share of the picture, drawn between these two")
    ] = (0.1, 0.25),
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Draw a mask with a hole (white) for each picture, as large as the picture.

    Example: maskgit mask photos --out masks
    """
    with plain_errors():
        from maskgit.holes import HOLES
        from pipeline.photos import draw_masks, pictures_in, save_png

        if kind not in HOLES:
            raise UserError(f"--kind: should be one of {', '.join(HOLES)}")
        if not 0 < area[0] <= area[1] < 1:
            raise UserError("--area: should be two shares between 0 and 1, the smaller first")
        pictures = pictures_in(source)
        for picture, drawn in draw_masks(pictures, kind, area, seed):
            save_png(drawn, out / f"{picture.stem}.png")
        print(f"{len(pictures)} masks in {out}")


@app.command()
def bench(
    size: Annotated[str, typer.Option(help="laptop or lab: models as large as in that preset")] = (
        "laptop"
    ),
    only: Annotated[str, typer.Option(help="steps, with commas between them")] = "",
    repeats: Annotated[int | None, typer.Option(min=1, help="timed runs of each way")] = None,
) -> None:
    """Time the original lab's way and ours, side by side, and write reports/bench.csv.

    Steps: train, inpaint, score, prepare, load, train_vqgan. Only if named: growth, what memory
    and a training step cost as the work grows. Random weights, drawn images: nothing need be
    trained before. laptop takes about 5 minutes on two cores, lab about 10.

    Example: maskgit bench --only train,inpaint
    """
    with plain_errors():
        if size not in ("laptop", "lab"):
            raise UserError("--size: should be laptop or lab")
        from pipeline.bench.growth import run_growth
        from pipeline.bench.run import run_bench
        from pipeline.bench.steps import STEPS

        steps = only.split(",") if only else list(STEPS)
        unknown = [step for step in steps if step not in (*STEPS, "growth")]
        if unknown:
            raise UserError(f"--only: {unknown[0]!r} should be of {', '.join(STEPS)}, growth")
        races = [step for step in steps if step != "growth"]
        if races:
            run_bench(size, races, repeats)
        if "growth" in steps:
            run_growth(repeats or 3)


if __name__ == "__main__":
    app()
