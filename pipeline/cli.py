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


if __name__ == "__main__":
    app()
