"""The page in the browser: open a photo, brush a hole, fill it, watch the steps, save it."""

import os
import tempfile
from collections.abc import Sequence
from functools import partial, wraps
from pathlib import Path
from shutil import rmtree

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read at the import

import gradio as gr
import numpy as np

from maskgit.data.dust import find_dust
from maskgit.data.image_files import TOO_LARGE
from maskgit.filling import Fill
from pipeline.inputs.untrusted import EXTENSIONS, MAX_FILE_MB
from pipeline.page.session import (
    PAGE_SIDE,
    Photo,
    Result,
    brushed,
    fill_photo_as,
    hole_to_fill,
    open_photo,
    own_way,
    painted,
    preview,
    sample_photo,
    ways_of,
)
from pipeline.plumbing.errors import disk_is_full, out_of_memory

COLOUR = 255, 61, 139  # of the brush, a colour that few photos have
HEX = "#{:02x}{:02x}{:02x}".format(*COLOUR)
KINDS = list(EXTENSIONS)
MAX_WAYS = 3  # of filling, side by side
KEPT = 24 * 3600  # seconds that files stay while a page is open
# Gradio lays the editor's tools over its canvas, where they hide what is to be brushed. Its bin
# would take the photo away with what is brushed.
STYLE = """
#editor [aria-label="Clear canvas"] { display: none; }
#editor .toolbar-wrap { left: 6px; }
#editor :is(.pixi-target, .pixi-target-crop) {
  top: 32px; left: 42px; width: calc(100% - 42px); height: calc(100% - 32px);
}
"""
THEME = gr.themes.Default(  # fonts of the reader's system: nothing comes from the network
    primary_hue="pink", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)

NO_PHOTO = "No photo yet."
NOTHING_OPEN = "there is no photo yet: drop one, or take the sample"
CREDIT = "a photograph of TensorFlow's flower_photos, CC BY 2.0, damaged for a try"
INTRODUCTION = """# Fill a hole
Drop a photo, or take the sample. Brush over what should go. **Fill.** Everything outside the hole
stays as it is, bit for bit; nothing leaves this machine.
"""


def plainly(action):
    """Returns an action whose faults the page shows as a sentence.

    Faults are files and settings that do not fit, a full disk, and full memory.
    """

    @wraps(action)
    def safe(*values, **named):
        try:
            return action(*values, **named)
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            if out_of_memory(error):
                words = f"the photo is {TOO_LARGE}; fill a smaller copy"
            elif isinstance(error, ValueError | OSError):
                words = "the disk is full" if disk_is_full(error) else str(error)
            else:
                raise
            raise gr.Error(words[:1].upper() + words[1:] + ".", print_exception=False) from None

    return safe


def editor_of(photo: Photo, layers: Sequence[np.ndarray]) -> dict:
    """Returns the editor's value: the photo, and what is brushed."""
    shown = preview(photo.picture.rgb)
    return {"background": shown, "layers": list(layers), "composite": None}


def layers_of(editor: dict | None) -> list[np.ndarray]:
    """Returns what is brushed in the editor's value."""
    return (editor or {}).get("layers") or []


class Page:
    """The actions of the page's controls; each visitor's session has its photo and results."""

    def __init__(self, fill: Fill, folder: Path):
        self.fill = fill
        self.folder = folder  # for the files that visitors download
        self.downloads: dict[str | None, Path] = {}  # a session's folder with its chosen fill

    def open(self, path: str | None):
        """Opens a file as the photo; without a path there is no photo."""
        if path is None:
            return None, None, None, NO_PHOTO
        return self.start(open_photo(Path(path)))

    def take_sample(self):
        """Opens the photo that comes with the project."""
        photo, hole = sample_photo()
        return self.start(photo, [painted(hole, COLOUR)])

    def start(self, photo: Photo, layers: Sequence[np.ndarray] = ()):
        """Returns the controls for a new photo, without a mask; layers: what is brushed already."""
        height, width = photo.shape
        editor = editor_of(photo, layers)
        about = [f"{photo.name}: {width} x {height} pixels", *photo.picture.notes]
        return photo, editor, None, "; ".join(about)

    def add_dust(self, photo: Photo | None, editor: dict | None, dark: bool = False):
        """Returns the editor with the photo's light or dark dust brushed as well."""
        if photo is None:
            raise ValueError(NOTHING_OPEN)
        dust, kind = find_dust(photo.picture.rgb, dark), "dark dust" if dark else "light dust"
        share = f"{100 * dust.mean():.1f} % of the photo looks like {kind}."
        gr.Info(share if dust.any() else f"No {kind} was found.")
        hole = brushed(layers_of(editor), photo.shape) | dust
        return editor_of(photo, [painted(hole, COLOUR)])

    def run(self, photo, editor, mask, grow, invert, ways, iterations, variants, seed, progress):
        """Returns the fills."""
        if photo is None:
            raise ValueError(NOTHING_OPEN)
        if not ways:
            raise ValueError("choose at least one way to fill")
        if seed is None:
            raise ValueError("the seed is empty: enter a whole number, 0 or more")
        layers = layers_of(editor)
        marks = hole_to_fill(photo, layers, Path(mask) if mask else None, int(grow), invert)
        task = photo, marks, ways, int(variants), int(iterations), int(seed)
        return list(fill_photo_as(self.fill, *task, progress))

    def show(self, photo: Photo | None, results: list[Result], request: gr.Request):
        """Returns the fills, the number of the chosen one, the gallery, and details of that one.

        Where another photo is open by now, they are cleared.
        """
        if results[0].photo is not photo:
            return self.clear(request)
        pictures = [(r.shown(), r.title) for r in results]
        gallery = gr.Gallery(pictures, selected_index=0)
        return results, 0, gallery, *self.choose(results, 0, request)

    def choose(self, results: list[Result], number: int, request: gr.Request):
        """Returns one result for the controls: what is said, before and after, its steps, its file.

        The file takes the place of the session's last one.
        """
        result = results[number]
        before, after = preview(result.photo.picture.rgb), result.shown()
        # a new path each time, since a browser may keep what an address gave it
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        file = result.save(folder)
        self.forget(request)
        self.downloads[request.session_hash] = folder
        save = gr.DownloadButton(f"Save {result.title}", value=str(file), interactive=True)
        steps = gr.Slider(maximum=result.steps, value=result.steps)
        return result.said, (before, after), steps, after, save

    def forget(self, request: gr.Request):
        """Removes the file of a session, which is as large as its photo."""
        folder = self.downloads.pop(request.session_hash, None)
        if folder is not None:
            rmtree(folder)

    def clear(self, request: gr.Request):
        """Returns the controls without results, and removes the session's file."""
        self.forget(request)
        save = gr.DownloadButton("Save", value=None, interactive=False)
        return [], 0, None, "", None, gr.Slider(maximum=1, value=0), None, save

    def watch(self, results: list[Result], number: int, step: float | None):
        """Returns the picture of a result after a step; no change while no number is entered."""
        if step is None:
            return gr.skip()
        return results[number].shown_after(max(0, int(step)), self.fill) if results else None

    def at_most(self, ways: list[str]):
        """Returns the ways that were chosen last, at most MAX_WAYS."""
        return ways[-MAX_WAYS:]


class PhotoColumn:
    """The left column of the page: the photo, and the hole in it."""

    def __init__(self):
        self.file = gr.File(label="Photo", file_types=KINDS, height=140)
        self.sample = gr.Button("Take the sample", elem_id="sample")
        self.about = gr.Markdown(NO_PHOTO)
        self.editor = gr.ImageEditor(
            label="Brush what should go",
            type="numpy",
            format="png",
            sources=(),
            transforms=(),
            layers=False,
            canvas_size=(PAGE_SIDE, PAGE_SIDE),
            height=560,
            brush=gr.Brush(default_size=36, colors=[HEX], color_mode="fixed"),
            eraser=gr.Eraser(default_size=36),
            elem_id="editor",
        )
        with gr.Accordion("Dust, a mask from a file, or a wider hole", open=False, elem_id="holes"):
            with gr.Row():
                self.light_dust = gr.Button("Brush over light dust", elem_id="light-dust")
                self.dark_dust = gr.Button("Brush over dark dust", elem_id="dark-dust")
            self.mask = gr.File(label="Mask, white = hole", file_types=KINDS, height=140)
            self.invert = gr.Checkbox(label="In this mask black is the hole")
            self.grow = gr.Slider(0, 50, 0, step=1, label="Grow the hole, in the photo's pixels")


class FillColumn:
    """The right column of the page: the settings, the fills, and one of them to look at."""

    def __init__(self, fill: Fill):
        tuned = fill.config.decoding
        self.variants = gr.Slider(1, 4, 1, step=1, label="How many fills")
        self.go = gr.Button("Fill", variant="primary", elem_id="fill")
        with gr.Accordion("More: schedules, iterations, seed", open=False, elem_id="more"):
            label = f"Mask schedules and readings, up to {MAX_WAYS} side by side"
            self.ways = gr.CheckboxGroup(ways_of(fill), value=[own_way(tuned)], label=label)
            most = max(32, tuned.iterations)
            self.iterations = gr.Slider(1, most, tuned.iterations, step=1, label="Iterations")
            self.seed = gr.Number(tuned.seed, label="Seed", precision=0, minimum=0)
        self.gallery = gr.Gallery(
            label="Fills; choose one",
            columns=MAX_WAYS,
            fit_columns=False,
            height="auto",
            object_fit="contain",
            allow_preview=False,
            format="png",
            buttons=[],
            interactive=False,
            elem_id="gallery",
        )
        self.said = gr.Markdown(elem_id="said")
        plain = {"show_label": False, "format": "png", "buttons": ["fullscreen"]}
        with gr.Tab("Before and after"):
            self.slider = gr.ImageSlider(**plain, interactive=False)
        with gr.Tab("Step by step"):
            self.step = gr.Slider(0, 1, 0, step=1, label="After so many steps", elem_id="step")
            self.stepped = gr.Image(**plain, interactive=False, height=460, elem_id="frame")
        self.save = gr.DownloadButton("Save", interactive=False, elem_id="save")


def build(fill: Fill, folder: Path) -> gr.Blocks:
    """Builds the page for one model; folder: for the files that visitors bring and download."""
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # else Gradio keeps copies of all of them elsewhere
    page, known = Page(fill, folder), fill.config.trained_on
    with gr.Blocks(title="Fill a hole", delete_cache=(KEPT, KEPT)) as blocks:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column():
                left = PhotoColumn()
            with gr.Column():
                right = FillColumn(fill)
        gr.Markdown(
            f"The model has seen {known.words}, and fills whatever you bring with what it knows "
            f"of them. The sample: {CREDIT}."
        )
        wire(page, left, right)
        blocks.unload(page.forget)
    return blocks


def wire(page: Page, left: PhotoColumn, right: FillColumn) -> None:
    """Connects the controls with the actions of the page."""

    def run(*values, progress=gr.Progress()):  # noqa: B008
        return page.run(*values, lambda share, title: progress(share, desc=title))

    def selected(event: gr.SelectData):
        return event.index

    photo, results, chosen = gr.State(), gr.State([]), gr.State(0)
    filled = gr.State()  # what a fill made, until it is shown
    opened = [photo, left.editor, left.mask, left.about]
    details = [right.said, right.slider, right.step, right.stepped, right.save]
    hidden = {"api_visibility": "private"}
    task = [photo, left.editor, left.mask, left.grow, left.invert]
    how = [right.ways, right.iterations, right.variants, right.seed]
    for event in (
        left.file.change(plainly(page.open), left.file, opened, **hidden),
        left.sample.click(plainly(page.take_sample), None, opened, **hidden),
    ):
        event.then(page.clear, None, [results, chosen, right.gallery, *details], **hidden)
    for button, dark in ((left.light_dust, False), (left.dark_dust, True)):
        brush_dust = plainly(partial(page.add_dust, dark=dark))
        button.click(brush_dust, [photo, left.editor], left.editor, **hidden)
    right.ways.input(page.at_most, right.ways, right.ways, **hidden)
    right.go.click(plainly(run), [*task, *how], filled, **hidden).success(
        plainly(page.show), [photo, filled], [results, chosen, right.gallery, *details], **hidden
    )
    # Each click counts, and what is shown and saved is of the last one.
    right.gallery.select(selected, None, chosen, trigger_mode="multiple", **hidden).then(
        plainly(page.choose), [results, chosen], details, trigger_mode="always_last", **hidden
    )
    right.step.input(
        plainly(page.watch),
        [results, chosen, right.step],
        right.stepped,
        preprocess=False,  # Gradio fails at a box that is empty while a number is typed
        trigger_mode="always_last",
        show_progress="hidden",
        **hidden,
    )


def options(host: str, port: int) -> dict:
    """Returns the options with which Gradio serves the page."""
    return {
        "server_name": host,
        "server_port": port,
        "max_file_size": f"{MAX_FILE_MB}mb",
        "theme": THEME,
        "css": STYLE,
        "footer_links": [],
        "ssr_mode": False,
        "share": False,
    }


def serve(fill: Fill, host: str, port: int, inbrowser: bool) -> None:
    """Serves the page until it is stopped."""
    with tempfile.TemporaryDirectory(prefix="maskgit-page-") as name:
        folder = Path(name)
        build(fill, folder).launch(**options(host, port), inbrowser=inbrowser)
