"""The command line: maskgit VERB, or python -m pipeline VERB."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.plumbing.errors import UserError, plain_errors, printable
from pipeline.plumbing.files import MODEL_FOLDER, REPORTS, WEIGHTS

MAX_SEED = 2**63 - 1  # as in params.yaml

Model = Annotated[
    Path | None,
    typer.Option(
        help=f"a model folder; else {MODEL_FOLDER}, or {WEIGHTS} before anything is trained"
    ),
]

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def maskgit() -> None:
    """Which mask schedule fills holes best, on your images.

    The pipeline itself is run by DVC: dvc repro, dvc exp run -S gamma=square.
    """


@app.command()
def scores(
    table: Annotated[Path, typer.Argument(help="a table of scores")] = REPORTS / "scores.csv",
) -> None:
    """Print the scores with their intervals, what they show, and where to look further.

    Example: maskgit scores
    """
    with plain_errors():
        from pipeline.commands.scores import scores_page

        print(scores_page(table))


@app.command()
def score(
    a: Annotated[Path, typer.Argument(metavar="A", help="a folder of pictures, best as PNG")],
    b: Annotated[Path, typer.Argument(metavar="B", help="the folder to compare it with")],
    extractor: Annotated[str, typer.Option(help="auto, inception, efficientnet_lite0")] = "auto",
    weights: Annotated[
        Path | None, typer.Option(help="the official FID weights, if they are not in the cache")
    ] = None,
) -> None:
    """Score two folders of pictures: distances with 95 % intervals.

    Pictures of the same names are taken for pairs, and then PSNR, SSIM and L1 are printed too. The
    distance is that of 'python -m pytorch_fid A B' for upright 8-bit RGB files (a warning names
    those that it reads differently), and is called fid with the official weights only. It depends
    on the number of pictures: compare only where that is equal.

    Example: maskgit score outputs/inpaint/cosine/8/test_results true_images
    """
    with plain_errors():
        from pipeline.commands.folders import compare_folders, warnings_of
        from pipeline.reporting.extractor import load_extractor
        from pipeline.reporting.text import record_text

        said = warnings_of(a, b)
        chosen = load_extractor(extractor, weights, "--weights")
        for line in said:
            print(f"warning: {printable(line)}")
        print(record_text(compare_folders(a, b, chosen)))


@app.command()
def compare(
    last: Annotated[int | None, typer.Option(min=1, help="only the newest so many")] = None,
) -> None:
    """Print the experiments in MLflow's store, newest first: what differs and how they score.

    A row for each report, as in the table of runs of MLflow's UI. Compare only rows of equal n.

    Example: maskgit compare --last 3
    """
    with plain_errors():
        from pipeline.commands.experiments import comparison, report_runs
        from pipeline.reporting.text import aligned

        print(aligned(comparison(report_runs(last))))


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Start MLflow's UI for this project, on this machine only, and print where the answer stands.

    Ctrl-C stops it.

    Example: maskgit ui
    """
    with plain_errors():
        from pipeline.commands.ui import links, serve

        for name, link in links(port).items():
            print(f"{name}: {link}", flush=True)
        raise typer.Exit(serve(port))


@app.command()
def reconcile() -> None:
    """List the MLflow run behind each stage of dvc.lock, found by the content of what it made.

    First sends what earlier runs could not. A stage whose output was not made by any finished run
    of the store is MISSING, and the exit code is 1.

    Example: maskgit reconcile
    """
    with plain_errors():
        from pipeline.commands.reconcile import HEADER, ledger, send_spools
        from pipeline.reporting.text import aligned

        for line in send_spools():
            print(line)
        rows = ledger()
        print(aligned([HEADER, *(row.columns() for row in rows)], words=True))
        missing = [row.stage for row in rows if row.run is None]
        if missing:
            raise UserError(
                f"{len(missing)} of {len(rows)} stages have no run; "
                f"'dvc repro --force --single-item {missing[0]}' makes one"
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
        from pipeline.commands.grid import save_grid

        shown = save_grid(picture, rows, count)
        print(f"{picture}: {shown} images, {3 + len(rows)} rows")


@app.command()
def inpaint(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="a picture, or a folder of them")],
    mask: Annotated[
        Path, typer.Option(help="white = hole: a mask, or a folder of masks with the same names")
    ],
    out: Annotated[Path, typer.Option(help="a PNG file, or the folder for the results")],
    gamma: Annotated[str | None, typer.Option(help="mask schedule")] = None,
    iterations: Annotated[int | None, typer.Option(min=1, max=1024, help="decoding steps")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MAX_SEED, help="another seed, another fill")
    ] = None,
    variants: Annotated[int, typer.Option(min=1, max=64, help="fills of each picture")] = 1,
    grow: Annotated[int, typer.Option(min=0, max=1000, help="widen holes by so many pixels")] = 0,
    invert_mask: Annotated[bool, typer.Option(help="black is the hole, not white")] = False,
    mask_suffix: Annotated[
        str, typer.Option(help="masks are called NAME + this + digits, for NAME.png: _mask")
    ] = "",
    model: Model = None,
    skip_existing: Annotated[bool, typer.Option(help="leave results alone that exist")] = False,
) -> None:
    """Fill the holes of your own pictures, of any size, with a trained model.

    Known pixels come back bit for bit, with the depth (8 or 16 bits), the grey or colour, the alpha
    and the colour profile of their file, turned upright; CMYK becomes RGB. A mask is white (any
    channel 128 of 255 or more) where the hole is, and as large as its picture; one mask for a whole
    folder is stretched to each. Of a mask with transparent parts, paint on a clear layer is the
    hole, and so is what was erased from a photo. What fails is listed with the reason, and the exit
    code is 1.

    Schedule, iterations, seed and temperatures are those that the model was scored with (its
    config.json), unless given here.

    Example: maskgit inpaint photo.jpg --mask hole.png --out filled.png
    """
    with plain_errors():
        from pipeline.commands.model import wanted_decoding
        from pipeline.commands.photos import fill_all, passed_over, plan
        from pipeline.models.fill import load_fill, model_at_hand

        folder = model or model_at_hand()
        fill = load_fill(folder)
        decoding = wanted_decoding(fill, gamma=gamma, iterations=iterations, seed=seed)
        planned = plan(source, mask, out, variants, mask_suffix)
        for line in passed_over([source, mask]):
            print(printable(line), file=sys.stderr)
        jobs = [job for job in planned if not (skip_existing and job.is_done())]
        filled, failed = fill_all(jobs, fill, decoding, invert_mask, grow)
        for line in filled:
            print(printable(line))
        done = f"{len(jobs) - len(failed)} of {len(jobs)} filled by {printable(str(folder))}"
        print(done + (f", {len(planned) - len(jobs)} were there already" if skip_existing else ""))
        for line in failed[:-1]:
            print(f"not filled: {printable(line)}", file=sys.stderr)
        if failed:
            raise UserError(f"not filled: {failed[-1]}")


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="a new folder, or an empty one")],
    model: Model = None,
    half: Annotated[bool, typer.Option("--half", help="weights in half precision")] = False,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="the networks as ONNX, too; see docs/python.md")
    ] = False,
) -> None:
    """Copy the trained model into a folder of its own: config, weights, model card.

    'maskgit inpaint --model OUT' and 'maskgit.load("OUT")' in Python fill holes with it.

    Example: maskgit export ../cats-model
    """
    with plain_errors():
        from pipeline.commands.model import export as copy_model
        from pipeline.models.fill import model_at_hand

        copy_model(model or model_at_hand(), out, half, onnx)
        print(f"{printable(str(out))}: {', '.join(sorted(path.name for path in out.iterdir()))}")


@app.command()
def demo(
    model: Model = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 to let others in")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    browser: Annotated[bool, typer.Option(help="open it in the browser")] = True,
) -> None:
    """Show a page in the browser: drop a photo, brush a hole, fill it, watch how, save it.

    Nothing leaves this machine. 'make demo' installs what it needs and runs it; Ctrl-C stops it.

    Example: maskgit demo --model cats-model
    """
    with plain_errors():
        from pipeline.models.fill import load_fill, model_at_hand

        try:
            from pipeline.page.page import serve
        except ModuleNotFoundError as error:
            raise UserError(f"the page needs {error.name}; 'make demo' installs it") from None
        serve(load_fill(model or model_at_hand()), host, port, browser)


@app.command()
def mask(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="a picture, or a folder of them")],
    out: Annotated[Path, typer.Option(help="the folder for the masks")],
    kind: Annotated[str, typer.Option(help="of data.holes in params.yaml")] = "mixture",
    area: Annotated[
        tuple[float, float], typer.Option(help="share of the picture, drawn between these two")
    ] = (0.1, 0.25),
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED)] = 0,
) -> None:
    """Draw a mask with a hole (white) for each picture, as large as the picture.

    Example: maskgit mask photos --out masks
    """
    with plain_errors():
        from pipeline.commands.photos import draw_masks, passed_over, save_png

        for line in passed_over([source]):
            print(printable(line), file=sys.stderr)
        count = 0
        for target, drawn in draw_masks(source, out, kind, area, seed):
            save_png(drawn, target)
            count += 1
        print(f"{count} masks in {printable(str(out))}")


@app.command()
def simulate(
    picture: Annotated[Path, typer.Argument(help="the PNG file to write")],
) -> None:
    """Hold distances and verdicts against samplers of known quality: how often are they right?

    Prints a table and draws it. Nothing need be trained before; it takes a few minutes.

    Example: maskgit simulate verdicts.png
    """
    with plain_errors():
        from pipeline.commands.simulation import simulation

        print(simulation(picture))


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
    and a training step cost as the work grows, and photos, the trained model on a photo of 12
    megapixels. But for that, random weights and drawn images: nothing need be trained before.
    laptop takes about 5 minutes on two cores, lab about 10.

    Example: maskgit bench --only train,inpaint
    """
    with plain_errors():
        if size not in ("laptop", "lab"):
            raise UserError("--size: should be laptop or lab")
        from maskgit.device import keep_freed_memory
        from pipeline.bench.growth import run_growth
        from pipeline.bench.photos import run_photos
        from pipeline.bench.run import run_bench
        from pipeline.bench.steps import STEPS
        from pipeline.models.fill import model_at_hand

        steps = only.split(",") if only else list(STEPS)
        extra = ("growth", "photos")
        unknown = [step for step in steps if step not in (*STEPS, *extra)]
        if unknown:
            allowed = ", ".join([*STEPS, *extra])
            raise UserError(f"--only: {unknown[0]!r} should be of {allowed}")
        keep_freed_memory()  # as the trainings do
        races = [step for step in steps if step not in extra]
        if races:
            run_bench(size, races, repeats)
        if "growth" in steps:
            run_growth(repeats or 3)
        if "photos" in steps:
            run_photos(model_at_hand())


if __name__ == "__main__":
    app()
