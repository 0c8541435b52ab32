"""The page in the browser: open a photo, brush a hole, fill it, watch the steps, save it."""

import os
import tempfile
from collections.abc import Callable, Sequence
from functools import wraps
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
    sample_photo,
    ways_of,
)
from pipeline.plumbing.errors import disk_is_full, out_of_memory
from pipeline.plumbing.params import MEAN

COLOUR = 255, 61, 139  # of the brush, a colour that few photos have
HEX = "#{:02x}{:02x}{:02x}".format(*COLOUR)
KINDS = list(EXTENSIONS)
MAX_WAYS = 3  # of filling, side by side
KEPT = 24 * 3600  # seconds that files stay while a page is open
SWEPT = 3600  # seconds between two looks for older ones
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
stays as it is, bit for bit; {where}.
"""
STAYS_HERE = "nothing leaves this machine"
GOES_TO_SERVER = "your photo goes to the machine that serves this page, and no further"
LOOPBACK = "127.0.0.1", "localhost", "::1"


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
    shown = photo.preview(photo.picture.rgb)
    return {"background": shown, "layers": list(layers), "composite": None}


def layers_of(editor: dict | None) -> list[np.ndarray]:
    """Returns what is brushed in the editor's value."""
    return (editor or {}).get("layers") or []


class Page:
    """The actions of the page's controls; each visitor's session has its photo and results.

    An action that takes long may end after its visitor opened another photo. Then it changes
    nothing.
    """

    def __init__(self, fill: Fill, folder: Path):
        self.fill = fill
        self.folder = folder  # for the files that visitors download
        self.downloads: dict[str | None, Path] = {}  # a session's folder with its chosen fill
        self.opened: dict[str | None, Photo] = {}  # a session's photo
        self.stopped: set[str | None] = set()  # sessions whose fill is to be stopped

    def open(self, path: str, request: gr.Request):
        """Opens a file as the photo."""
        return self.start(open_photo(Path(path)), np.zeros((1, 1), dtype=bool), request)

    def take_sample(self, request: gr.Request):
        """Opens the photo that comes with the project; it is not that of the box for files."""
        return *self.start(*sample_photo(), request), None

    def start(self, photo: Photo, hole: np.ndarray, request: gr.Request):
        """Returns the controls for a new photo, without a mask; hole: what is brushed already.

        There is always a layer. Without one Gradio's Undo would take the photo away.
        """
        height, width = photo.shape
        self.opened[request.session_hash] = photo
        editor = editor_of(photo, [painted(hole, COLOUR)])
        about = [f"{photo.name}: {width} x {height} pixels", *photo.picture.notes]
        return photo, editor, None, "; ".join(about)

    def close(self, request: gr.Request):
        """Returns the controls without a photo."""
        self.opened.pop(request.session_hash, None)
        return None, None, None, NO_PHOTO

    def shows(self, photo: Photo | None, request: gr.Request) -> bool:
        """Returns whether this is the photo that a session has open."""
        return self.opened.get(request.session_hash) is photo

    def add_light_dust(self, photo: Photo | None, editor: dict | None, request: gr.Request):
        """Returns the editor with the photo's light dust brushed as well."""
        return self.add_dust(photo, editor, False, request)

    def add_dark_dust(self, photo: Photo | None, editor: dict | None, request: gr.Request):
        """Returns the editor with the photo's dark dust brushed as well."""
        return self.add_dust(photo, editor, True, request)

    def add_dust(self, photo: Photo | None, editor: dict | None, dark: bool, request: gr.Request):
        """Returns the editor with the photo's dust brushed as well."""
        if photo is None:
            raise ValueError(NOTHING_OPEN)
        dust, kind = find_dust(photo.picture.rgb, dark), "dark dust" if dark else "light dust"
        hole = brushed(layers_of(editor), photo.shape) | dust
        if not self.shows(photo, request):
            return gr.skip()
        share = f"{100 * dust.mean():.1f} % of the photo looks like {kind}."
        gr.Info(share if dust.any() else f"No {kind} was found.")
        return editor_of(photo, [painted(hole, COLOUR)])

    def run(
        self,
        photo: Photo | None,
        editor: dict | None,
        mask: str | None,
        grow: float,
        invert: bool,
        ways: list[str],
        iterations: float,
        variants: float,
        seed: float | None,
        progress: Callable[[float, str], object],
        request: gr.Request,
    ) -> list[Result]:
        """Returns the fills. Raises ValueError where the visitor stops them, or opens a photo."""
        self.stopped.discard(request.session_hash)
        if photo is None:
            raise ValueError(NOTHING_OPEN)
        if not ways:
            raise ValueError("choose at least one way to fill")
        if seed is None:
            raise ValueError("the seed is empty: enter a whole number, 0 or more")
        layers = layers_of(editor)
        marks = hole_to_fill(photo, layers, Path(mask) if mask else None, int(grow), invert)
        task = photo, marks, ways, int(variants), int(iterations), int(seed)

        def go_on(share: float, title: str) -> None:
            if not self.shows(photo, request):
                raise ValueError("the fill has ended, since its photo was closed")
            if request.session_hash in self.stopped:
                raise ValueError("the fill was stopped")
            progress(share, title)

        return list(fill_photo_as(self.fill, *task, go_on))

    def stop(self, request: gr.Request) -> None:
        """Stops the fill of a session."""
        self.stopped.add(request.session_hash)

    def show(self, results: list[Result], request: gr.Request):
        """Returns the fills, the number of the chosen one, the gallery, and details of that one.

        What a fill made is then no longer kept beside them.
        """
        pictures = [(r.shown(), r.title) for r in results]
        gallery = gr.Gallery(pictures, selected_index=0)
        details = self.choose(results, 0, request)
        if not self.shows(results[0].photo, request):
            return self.clear(request)
        return None, results, 0, gallery, *details

    def choose(self, results: list[Result], number: int, request: gr.Request):
        """Returns one result for the controls: what is said, before and after, its steps, its file.

        The file takes the place of the session's last one.
        """
        if number >= len(results) or not self.shows(results[number].photo, request):
            return gr.skip()
        result = results[number]
        photo = result.photo
        before, after = photo.preview(photo.picture.rgb), result.shown()
        # a new path each time, since a browser may keep what an address gave it
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        file = result.save(folder)
        self.forget(request)
        self.downloads[request.session_hash] = folder
        save = gr.DownloadButton(f"Save {result.title}", value=str(file), interactive=True)
        steps = gr.Slider(maximum=result.steps, value=result.steps)
        return result.said, (before, after), steps, after, save

    def leave(self, request: gr.Request):
        """Ends a session: its fill, if one runs, and what is kept of it."""
        self.close(request)
        self.stopped.discard(request.session_hash)
        self.forget(request)

    def forget(self, request: gr.Request):
        """Removes the file of a session, which is as large as its photo."""
        folder = self.downloads.pop(request.session_hash, None)
        if folder is not None:
            rmtree(folder)

    def clear(self, request: gr.Request):
        """Returns the controls without results, and removes the session's file."""
        self.forget(request)
        save = gr.DownloadButton("Save", value=None, interactive=False)
        return None, [], 0, None, "", None, gr.Slider(maximum=1, value=0), None, save

    def watch(self, results: list[Result], number: int, step: float | None, request: gr.Request):
        """Returns the picture of a result after a step; no change while no number is entered."""
        if step is None or number >= len(results):
            return gr.skip()
        shown = results[number].shown_after(max(0, int(step)), self.fill)
        return shown if self.shows(results[number].photo, request) else gr.skip()

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
        with gr.Row():
            self.go = gr.Button("Fill", variant="primary", scale=3, elem_id="fill")
            self.stop = gr.Button("Stop", elem_id="stop")
        with gr.Accordion("More: schedules, iterations, seed", open=False, elem_id="more"):
            label = f"Mask schedules and readings, up to {MAX_WAYS} side by side"
            self.ways = gr.CheckboxGroup(ways_of(fill), value=[own_way(tuned)], label=label)
            most = max(32, tuned.iterations)
            of = {"info": "of samples; `mean` has none"} if MEAN in fill.readings else {}
            self.iterations = gr.Slider(1, most, tuned.iterations, step=1, label="Iterations", **of)
            self.seed = gr.Number(tuned.seed, label="Seed", precision=0, minimum=0, **of)
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


def build(fill: Fill, folder: Path, host: str) -> gr.Blocks:
    """Builds the page for one model; folder: for the files that visitors bring and download.

    host: the address that serves it.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # else Gradio keeps copies of all of them elsewhere
    page, known = Page(fill, folder), fill.config.trained_on
    with gr.Blocks(title="Fill a hole", delete_cache=(SWEPT, KEPT)) as blocks:
        where = STAYS_HERE if host in LOOPBACK else GOES_TO_SERVER
        gr.Markdown(INTRODUCTION.format(where=where))
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
        blocks.unload(page.leave)
    return blocks


def wire(page: Page, left: PhotoColumn, right: FillColumn) -> None:
    """Connects the controls with the actions of the page."""

    def run(request: gr.Request, *values, progress=gr.Progress()):  # noqa: B008
        return page.run(*values, lambda share, title: progress(share, desc=title), request)

    def selected(event: gr.SelectData):
        return event.index

    photo, results, chosen = gr.State(), gr.State([]), gr.State(0)
    filled = gr.State()  # what a fill made, until it is shown
    opened = [photo, left.editor, left.mask, left.about]
    details = [right.said, right.slider, right.step, right.stepped, right.save]
    shown = [filled, results, chosen, right.gallery, *details]
    hidden = {"api_visibility": "private"}
    task = [photo, left.editor, left.mask, left.grow, left.invert]
    how = [right.ways, right.iterations, right.variants, right.seed]
    for event in (
        left.file.upload(plainly(page.open), left.file, opened, **hidden),
        left.file.clear(page.close, None, opened, **hidden),
        left.sample.click(plainly(page.take_sample), None, [*opened, left.file], **hidden),
    ):
        event.success(page.clear, None, shown, **hidden)
    for button, add in (
        (left.light_dust, page.add_light_dust),
        (left.dark_dust, page.add_dark_dust),
    ):
        button.click(plainly(add), [photo, left.editor], left.editor, **hidden)
    right.ways.input(page.at_most, right.ways, right.ways, **hidden)
    progress = {"show_progress_on": right.gallery}
    right.go.click(plainly(run), [*task, *how], filled, **progress, **hidden).success(
        plainly(page.show), filled, shown, **hidden
    )
    right.stop.click(page.stop, **hidden)
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
        build(fill, folder, host).launch(**options(host, port), inbrowser=inbrowser)
