"""The command line: maskgit VERB, or python -m pipeline VERB."""

import sys
from contextlib import redirect_stdout
from os.path import expanduser
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.core import TyperGroup

from maskgit.inpainting.registry import units
from maskgit.scoring.networks import EXTRACTORS
from pipeline.plumbing.errors import UserError, plain_errors, printable
from pipeline.plumbing.files import json_text
from pipeline.plumbing.places import MODEL_FOLDER, REPORTS, WEIGHTS

# As in maskgit.validation and maskgit.inpainting.settings, whose import `--help` need not wait for.
MAX_SEED, MAX_ITERATIONS = 2**63 - 1, 1024

Model = Annotated[
    Path | None,
    typer.Option(help=f"Model folder. Without it: {MODEL_FOLDER}, else the shipped {WEIGHTS}."),
]

# Headings of `maskgit --help`, in its order.
FILL = "Fill pictures"
RESULTS = "Read results"
RECORD = "Look at the record in MLflow"
MEASURE = "Measure"


class HomeGroup(TyperGroup):
    """Commands in whose words `~` is the user's home, also after `=`, where no shell expands it."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(map(home_expanded, args)))


def home_expanded(word: str) -> str:
    """Returns a word with `~` or `~name` expanded, at its start or after its first `=`."""
    if word.startswith("~"):
        return expanduser(word)
    option, equals, value = word.partition("=")
    return option + equals + expanduser(value)


app = typer.Typer(
    cls=HomeGroup, add_completion=False, no_args_is_help=True, rich_markup_mode="markdown"
)


@app.callback()
def maskgit() -> None:
    """Fill holes in pictures with a trained model, and read what the pipeline measured.

    DVC runs the pipeline. "dvc repro" trains and scores; "dvc exp run -S gamma=square" tries
    another schedule.
    """


@app.command(rich_help_panel=FILL)
def inpaint(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Picture, or folder of pictures.")
    ],
    mask: Annotated[
        Path, typer.Option(help="Mask, white = hole, or a folder of masks with the same names.")
    ],
    out: Annotated[Path, typer.Option(help="PNG file, or folder for the results.")],
    gamma: Annotated[
        str | None, typer.Option(help="Mask schedule, such as cosine, linear or square.")
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_ITERATIONS, metavar="N", help=f"How long to decode, in {units()}."
        ),
    ] = None,
    reading: Annotated[
        str | None,
        typer.Option(help="sample: one of the possible fills; mean: nearest to all of them."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_SEED, metavar="N", help="Each seed draws another sample."),
    ] = None,
    variants: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="Fills of each picture.")
    ] = 1,
    grow: Annotated[
        int, typer.Option(min=0, max=1000, metavar="N", help="Widen each hole by N pixels.")
    ] = 0,
    invert_mask: Annotated[
        bool, typer.Option("--invert-mask", help="Black is the hole, not white.")
    ] = False,
    mask_suffix: Annotated[
        str, typer.Option(help="Masks of NAME.png are called NAME + this + digits: _mask.")
    ] = "",
    model: Model = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Keep results that exist.")
    ] = False,
) -> None:
    """Fill the holes of pictures of any size with a trained model.

    A mask is white (any channel 128 of 255 or more) where the hole is. It is as large as its
    picture. One mask for a whole folder is stretched to each picture. In a mask with transparent
    parts, paint on a clear layer is the hole, and so is what was erased from a photo.

    Known pixels come back bit for bit, with their depth (8 or 16 bits), alpha and colour profile.
    Pictures are turned upright, and CMYK becomes RGB. Of a folder, a picture whose mask marks
    nothing is copied. Failures are listed with the reason, and the exit code is then 1.

    Schedule, iterations, reading and seed are those of the model's config.json unless given here.
    The reading mean is one fill, without schedule or iterations. Asking for these asks for the
    reading sample, and so do several variants, unless the model's mean_steps is above 1.

    Example: maskgit inpaint photo.jpg --mask hole.png --out filled.png
    """
    with plain_errors():
        from maskgit.data.masks import rule
        from pipeline.commands.model import wanted_decoding, without_effect
        from pipeline.commands.photos import fill_all, plan, said_of_folders
        from pipeline.models.fill import default_model_folder, load_fill

        folder = model or default_model_folder()
        fill = load_fill(folder)
        options = {"gamma": gamma, "iterations": iterations, "reading": reading, "seed": seed}
        decoding = wanted_decoding(fill, variants, **options)
        planned = plan(source, mask, out, variants, mask_suffix)
        idle = without_effect(decoding, variants, options)
        for line in idle + said_of_folders(source, mask, mask_suffix):
            print(printable(line), file=sys.stderr)
        jobs = [job for job in planned if not (skip_existing and job.is_done())]
        filled, copied, failed = fill_all(jobs, fill, decoding, invert_mask, grow)
        for line in filled + copied:
            print(printable(line))
        count = len(jobs) - len(copied) - len(failed)
        done = f"{count} of {len(jobs)} filled by {printable(str(folder))}"
        done += f", {len(copied)} copied" if copied else ""
        print(done + (f", {len(planned) - len(jobs)} were there already" if skip_existing else ""))
        for line in failed[:-1]:
            print(f"not filled: {printable(line)}", file=sys.stderr)
        if failed:
            raise UserError(f"not filled: {failed[-1]}")
        if len(copied) == len(planned):
            raise UserError(f"no mask in {mask} marks anything; {rule(invert_mask)}")


@app.command(rich_help_panel=FILL)
def export(
    out: Annotated[Path, typer.Argument(help="New or empty folder.")],
    model: Model = None,
    half: Annotated[
        bool, typer.Option("--half", help="Round the weights to half precision.")
    ] = False,
    onnx: Annotated[bool, typer.Option("--onnx", help="Add the networks as ONNX graphs.")] = False,
) -> None:
    """Copy the trained model into a folder: configuration, weights and model card.

    "maskgit inpaint --model OUT" fills holes with it, and so does maskgit.load("OUT") in Python.

    Example: maskgit export ../cats-model
    """
    with plain_errors():
        from pipeline.commands.model import export as copy_model
        from pipeline.models.fill import default_model_folder

        copy_model(model or default_model_folder(), out, half, onnx)
        files = ", ".join(sorted(path.name for path in out.iterdir()))
        print(printable(f"{out}: {files}"))


@app.command(rich_help_panel=FILL)
def demo(
    model: Model = None,
    host: Annotated[
        str, typer.Option(help="Address to serve; 0.0.0.0 lets others in.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Without it: 7860, or the next that is free."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open a page in the browser: drop a photo, brush a hole, fill it and save it.

    Nothing leaves this machine. "make demo" installs what the page needs. Ctrl-C stops it.

    Example: maskgit demo --model cats-model
    """
    with plain_errors():
        from pipeline.models.fill import default_model_folder, load_fill
        from pipeline.plumbing.ports import port_to_serve

        chosen = port_to_serve(host, port, default=7860)
        try:
            from pipeline.page.page import serve
        except ModuleNotFoundError as error:
            raise UserError(f"the page needs {error.name}; 'make demo' installs it") from None
        serve(load_fill(model or default_model_folder()), host, chosen, browser)


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was named on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def leave_out(context: typer.Context, names: list[str], beside: str) -> None:
    """Raises UserError where an option of these names was given, which `beside` does not use."""
    for name in names:
        if is_given(context, name):
            raise UserError(f"--{name} does not go with {beside}; leave it out")


@app.command(rich_help_panel=FILL)
def mask(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Picture, or folder of pictures.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the masks.")],
    find: Annotated[
        Literal["dust", "dark-dust"] | None,
        typer.Option(help="What the masks are to mark: light or dark dust; else they are random."),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="Kind of hole, such as box, strokes or thin.")
    ] = "mixture",
    area: Annotated[
        tuple[float, float],
        typer.Option(help="Least and largest share of the picture: --area 0.1 0.25."),
    ] = (0.1, 0.25),
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, metavar="N", help="Each seed draws other holes.")
    ] = 0,
) -> None:
    """Make a mask for each picture, as large as the picture: a random hole (white), or its dust.

    With --find dust a mask marks light specks, hairs and scratches, as on scans of film. Look at it
    before you fill: it misses much, and takes some detail for dust. Masks that are there already
    are kept. Pictures that cannot be read are listed, and the exit code is then 1.

    Example: maskgit mask scans --find dust --out masks
    """
    with plain_errors():
        from pipeline.commands.masks import dust, random_hole, save_masks
        from pipeline.commands.photos import passed_over

        if find:
            leave_out(context, ["kind", "area", "seed"], "--find")
        draw = dust(find == "dark-dust") if find else random_hole(kind, area, seed)
        for line in passed_over([source]):
            print(printable(line), file=sys.stderr)
        made, kept, failed = save_masks(source, out, draw)
        for line in [*kept, *(made if find else [])]:
            print(printable(line))
        count = len(made) + len(kept)
        print(f"{count} {'mask' if count == 1 else 'masks'} in {printable(str(out))}")
        for line in failed[:-1]:
            print(f"no mask: {printable(line)}", file=sys.stderr)
        if failed:
            raise UserError(f"no mask: {failed[-1]}")


@app.command(rich_help_panel=RESULTS)
def table(
    table: Annotated[Path, typer.Argument(help="Table of scores.")] = REPORTS / "scores.csv",
) -> None:
    """Print the scores of the last report with intervals, their differences and the answer.

    Example: maskgit table
    """
    with plain_errors():
        from pipeline.commands.scores import scores_page

        print(scores_page(table))


app.command("scores", hidden=True)(table)  # its name until version 0.1


@app.command(rich_help_panel=RESULTS)
def score(
    a: Annotated[Path, typer.Argument(metavar="A", help="Folder of pictures, best as PNG.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Folder to compare with.")],
    extractor: Annotated[str, typer.Option(help=f"One of {', '.join(EXTRACTORS)}.")] = "auto",
    weights: Annotated[
        Path | None, typer.Option(help="Official FID weights, if they are not in torch's cache.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; all else goes to stderr.")
    ] = False,
) -> None:
    """Print the distances between two folders of pictures, with 95 % intervals.

    Pictures with the same names count as pairs. Pairs also get PSNR, SSIM and L1. The Fréchet
    distance is that of "python -m pytorch_fid A B" for upright 8-bit RGB files; a warning names
    files that pytorch-fid reads differently. It is called fid with the official weights only. It
    depends on the number of pictures: compare equal numbers only.

    Example: maskgit score outputs/inpaint/cosine/8/test_results true_images
    """
    with plain_errors():
        from pipeline.commands.folders import compare_folders, warnings_of
        from pipeline.reporting.extractor import load_extractor
        from pipeline.reporting.text import record_text

        if weights and extractor not in ("auto", "inception"):
            raise UserError(
                f"--weights are of Inception; leave it out with --extractor {extractor}"
            )
        with redirect_stdout(sys.stderr if as_json else sys.stdout):
            said = warnings_of(a, b)
            chosen = load_extractor(extractor, weights, "--weights")
            for line in said:
                print(f"warning: {printable(line)}")
            record = compare_folders(a, b, chosen)
        print(json_text(record).rstrip() if as_json else record_text(record))


@app.command(rich_help_panel=RESULTS)
def task(
    out: Annotated[Path, typer.Argument(help="New or empty folder.")],
) -> None:
    """Write the test images and their holes as PNG files, for other tools to fill.

    OUT/images has the images with grey holes, OUT/masks the holes in white, by the same names.
    OUT/manifest.csv lists the files with width, height and sha256. What a tool makes of them gets
    a row in the tables: name its folder in score.others of params.yaml.

    Example: maskgit task cats-task
    """
    with plain_errors():
        from pipeline.commands.task import write_task

        count = write_task(out)
        print(f"{printable(str(out))}: {count} images, {count} masks, manifest.csv")


@app.command(rich_help_panel=RESULTS)
def grid(
    picture: Annotated[Path, typer.Argument(help="PNG file to write.")],
    rows: Annotated[list[str], typer.Argument(help="CAPTION=FOLDER, a test_results folder.")],
    count: Annotated[int, typer.Option(help="Images in a row.", min=1)] = 8,
) -> None:
    """Draw a picture grid: true images, holes, Telea's fill, and one row for each folder.

    Example: maskgit grid cats.png "ours 2=outputs/inpaint/cosine/2/test_results"
    """
    with plain_errors():
        from pipeline.commands.grid import save_grid

        shown = save_grid(picture, rows, count)
        print(f"{picture}: {shown} images, {3 + len(rows)} rows")


@app.command(rich_help_panel=RESULTS)
def advice(
    studies: Annotated[list[str], typer.Argument(help="NAME=FOLDER, a copy of reports/study.")],
) -> None:
    """Print which decoder, schedule and iterations to use, by the studies of several data sets.

    "dvc repro study/dvc.yaml" writes such a folder. Each setting is compared with MaskGIT's own
    decoder under cosine with 8 iterations. All intervals of a study hold at once with 95 %.

    Example: maskgit advice cats=cats/reports/study flowers=flowers/reports/study
    """
    with plain_errors():
        from pipeline.commands.grid import named_folders
        from pipeline.reporting.advice import advice_text, read_study

        folders = named_folders(studies, "a study is given as NAME=FOLDER")
        print(advice_text({name: read_study(folder) for name, folder in folders.items()}))


@app.command(rich_help_panel=RECORD)
def compare(
    last: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Print only the N newest.")
    ] = None,
) -> None:
    """Print the experiments in MLflow's store, newest first: what differs, and the scores.

    Each report is one row. Compare only rows of equal n.

    Example: maskgit compare --last 3
    """
    with plain_errors():
        from pipeline.commands.experiments import comparison, report_runs
        from pipeline.reporting.text import aligned

        print(aligned(comparison(report_runs(last))))


@app.command(rich_help_panel=RECORD)
def ui(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Without it: 5000, or the next that is free."),
    ] = None,
) -> None:
    """Start MLflow's UI for this project and print the links to its reports.

    Only this machine can open it. Ctrl-C stops it. Where MLFLOW_TRACKING_URI names a server,
    nothing is started, and the links lead there.

    Example: maskgit ui
    """
    with plain_errors():
        from pipeline.commands.ui import links, running_server, serve
        from pipeline.plumbing.ports import port_to_serve

        running = running_server()
        chosen = None if running else port_to_serve("127.0.0.1", port, default=5000)
        for name, link in links(running or f"http://127.0.0.1:{chosen}").items():
            print(f"{name}: {link}", flush=True)
        if chosen:
            raise typer.Exit(serve(chosen))


@app.command(rich_help_panel=RECORD)
def reconcile() -> None:
    """Send the records that MLflow has not received, and list the run behind each stage.

    A run is found by the hash of the files it made. A stage of dvc.lock without a finished run is
    MISSING, and the exit code is then 1.

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


@app.command(rich_help_panel=MEASURE)
def bench(
    context: typer.Context,
    size: Annotated[str, typer.Option(help="Preset of the models: laptop or lab.")] = ("laptop"),
    only: Annotated[str, typer.Option(help="Steps to time, separated by commas.")] = "",
    repeats: Annotated[int | None, typer.Option(min=1, help="Timed runs of each way.")] = None,
    presets: Annotated[
        str | None, typer.Option(help="Presets to measure instead, separated by commas.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device of --presets: cuda, mps or cpu; best if not given.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Photographs to repair instead: a folder or zip.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Masks of film damage for --photos: a folder or zip.")
    ] = None,
    model: Model = None,
) -> None:
    """Time the original lab's code and this project's, and write reports/bench.csv.

    With --presets it measures what presets cost on a device instead: training steps, images a
    second, memory and minutes. It then writes reports/bench_presets.csv. "tiny" takes a minute on a
    processor; presets for a GPU take many minutes and gigabytes there.

    With --photos it damages photographs and repairs them with the trained model, or that of
    --model, and with classic methods. It writes tables and pictures into reports/repairs/.

    Steps: train, inpaint, score, prepare, load, train_vqgan. Two more run only if named. "growth"
    measures memory and training steps as the work grows. "photos" fills a photo of 12 megapixels
    with the trained model, or that of --model; all others use random weights. "laptop" takes about
    5 minutes on two cores, "lab" about 10.

    Example: maskgit bench --device cuda --presets base,gpu128
    """
    with plain_errors():
        races, repairs = ["size", "only", "repeats"], ["photos", "masks", "model"]
        if presets is not None:
            from maskgit.device import keep_freed_memory
            from pipeline.bench.presets import preset_names, run_presets

            leave_out(context, [*races, *repairs], "--presets")
            keep_freed_memory()
            run_presets(device, preset_names(presets))
            return
        if device:
            raise UserError("--device belongs to --presets")
        steps = [step.strip() for step in only.split(",")] if only else []
        if masks and not photos:
            raise UserError("--masks belongs to --photos")
        if model and not photos and "photos" not in steps:
            raise UserError("--model belongs to --photos and to --only photos")
        if photos:
            leave_out(context, races, "--photos")
            from pipeline.bench.repairs import run_repairs
            from pipeline.models.fill import default_model_folder

            run_repairs(model or default_model_folder(), photos, masks)
            return
        if size not in ("laptop", "lab"):
            raise UserError("--size: should be laptop or lab")
        from maskgit.device import keep_freed_memory
        from pipeline.bench.growth import run_growth
        from pipeline.bench.photos import run_photos
        from pipeline.bench.run import run_bench
        from pipeline.bench.steps import STEPS
        from pipeline.models.fill import default_model_folder

        steps = steps or list(STEPS)
        extra = ("growth", "photos")
        unknown = [step for step in steps if step not in (*STEPS, *extra)]
        if unknown:
            allowed = ", ".join([*STEPS, *extra])
            raise UserError(f"--only: {unknown[0]!r} should be of {allowed}")
        races = [step for step in steps if step not in extra]
        if not races:
            leave_out(context, ["size"], f"--only {only}")
            if "growth" not in steps:
                leave_out(context, ["repeats"], f"--only {only}")
        keep_freed_memory()  # as the trainings do
        if races:
            run_bench(size, races, repeats)
        if "growth" in steps:
            run_growth(repeats or 3)
        if "photos" in steps:
            run_photos(model or default_model_folder())


@app.command(rich_help_panel=MEASURE)
def simulate(
    picture: Annotated[Path, typer.Argument(help="PNG file to write.")],
) -> None:
    """Check distances and verdicts on samplers of known quality, and draw the result.

    It takes a few minutes and needs no trained model.

    Example: maskgit simulate verdicts.png
    """
    with plain_errors():
        from pipeline.commands.simulation import simulation

        print(simulation(picture))


if __name__ == "__main__":
    app()
