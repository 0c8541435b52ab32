"""The page in a real browser, headless: brush a hole, fill it, step through it, save it."""

import io
import re
import shutil
import socket
import threading

import numpy as np
import pytest
from PIL import Image

from maskgit import load
from maskgit.data.holes import dilate
from pipeline.page.session import sample_photo
from pipeline.plumbing.places import MODEL_FOLDER

pytest.importorskip("gradio", reason="the page needs gradio: make demo")
sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the browser Chromium")

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
QUIET += ["--disable-component-update", "--no-first-run"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page keeps files."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(small_models, folder):
    from pipeline.page.page import build, options

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", "")  # which the page sets, for the time of its tests
        blocks = build(load(small_models / MODEL_FOLDER), folder, "127.0.0.1")
        _, url, _ = blocks.launch(
            **options("127.0.0.1", free_port()), prevent_thread_lock=True, quiet=True
        )
        yield url
        blocks.close()


def test_the_slider_reaches_the_iterations_of_any_model(small_models):
    import gradio as gr

    from pipeline.page.page import FillColumn

    fill = load(small_models / MODEL_FOLDER)
    many = fill.config.decoding.changed(iterations=40)
    fill.config = fill.config.changed(decoding=many)
    with gr.Blocks():
        assert FillColumn(fill).iterations.maximum == 40


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


DESKTOP, PHONE = (1280, 900), (390, 844)
desktop = pytest.mark.parametrize("page", [DESKTOP], indirect=True)


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(request, chromium, address):
    width, height = request.param
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(120_000)  # milliseconds: without a GPU the editor draws slowly
    page.hosts = set()
    page.on("request", lambda r: r.url.startswith("http") and page.hosts.add(r.url.split("/")[2]))
    page.goto(address)
    yield page
    page.close()


def take_sample(page):
    page.locator("#sample").click()
    page.get_by_text("sample: 256 x 256 pixels").wait_for()


def picture_of_editor(page):
    """What the page shows of the editor, (H, W, 3)."""
    shot = page.locator("#editor").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=int)


def brushed_pixels(page):
    from pipeline.page.page import COLOUR

    return int((np.abs(picture_of_editor(page) - COLOUR).max(axis=2) < 40).sum())


def more_is_brushed(page, before):
    """Waits until more is brushed than `before`, and for a second nothing changes."""
    for _ in range(30):
        brushed = brushed_pixels(page)
        page.wait_for_timeout(1000)
        if before < brushed == brushed_pixels(page):
            return True
    return False


def brush(page, below=0):
    """A stroke over the middle of the picture, or pixels of the window below it."""
    canvas = page.locator("#editor canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # the canvas fits itself to its picture
    before = brushed_pixels(page)
    box = canvas.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + below
    page.mouse.move(middle[0] - 40, middle[1] - 10)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1] + 10, steps=8)
    page.mouse.up()
    assert more_is_brushed(page, before)


def fill(page):
    page.locator("#fill").click()
    page.locator("#save:not([disabled])", has_text="Save cosine, fill 1").wait_for()


def step_to_zero(page):
    """Waits until the picture before the first step is shown in place of the last one."""
    picture = page.locator("#frame img")
    picture.wait_for()
    last = picture.get_attribute("src")
    number = page.locator("#step input[type=number]")
    number.fill("0")
    number.press("Enter")
    page.wait_for_function("last => document.querySelector('#frame img')?.src !== last", arg=last)


def saved(page, tmp_path):
    with page.expect_download() as download:
        page.locator("#save").click()
    download.value.save_as(tmp_path / "saved.png")
    return download.value.suggested_filename, np.asarray(Image.open(tmp_path / "saved.png"))


def test_brush_fill_step_and_save(page, address, tmp_path):
    take_sample(page)
    brush(page, below=60)
    fill(page)
    assert re.fullmatch(
        r"cosine, fill 1: \d+\.\d % of the picture; \d+\.\d s", page.locator("#said").inner_text()
    )
    name, filled = saved(page, tmp_path)
    photo, hole = sample_photo()
    changed = (filled != photo.picture.rgb).any(axis=2)
    assert name == "sample-cosine-1.png"
    assert changed[hole].mean() > 0.9  # brushed already
    stroke = changed & ~dilate(hole, 2)
    assert 20 < stroke.sum() < stroke.size / 8  # and every known pixel as it was
    rows, columns = np.nonzero(stroke)
    assert 160 < rows.mean() < 224 and 64 < columns.mean() < 192

    page.get_by_role("tab", name="Step by step").click()
    step_to_zero(page)
    assert page.hosts == {address.split("/")[2]}  # nothing from elsewhere
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_broken_file_is_explained_and_the_next_one_works(page, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Image.new("RGB", (100, 100), "teal").save(tmp_path / "photo.png")
    upload = page.locator("input[type=file]").first
    upload.set_input_files(tmp_path / "broken.png")
    page.get_by_text("Damaged image.").or_(page.get_by_text("Not an image.")).wait_for()
    page.locator("#fill").click()
    page.get_by_text("There is no photo yet").wait_for()
    page.get_by_label("Remove this file").or_(page.get_by_label("Clear")).first.click()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "photo.png")
    page.get_by_text("photo: 100 x 100 pixels").wait_for()


GREEN = np.array([0, 160, 0])


def seen(page):
    """Where the page shows a green photo, in pixels of the window: left, top, right, bottom.

    Nothing covers a part of it.
    """
    editor = page.locator("#editor")
    editor.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    green = np.abs(picture_of_editor(page) - GREEN).max(axis=2) < 40
    rows, columns = (np.flatnonzero(green.any(axis=axis)).tolist() for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    assert green[top:bottom, left:right].mean() > 0.99
    box = editor.bounding_box()
    return box["x"] + left, box["y"] + top, box["x"] + right, box["y"] + bottom


@pytest.mark.parametrize("size", [(600, 100), (100, 600)], ids=["wide", "tall"])
def test_the_tools_leave_a_photo_free_and_a_stroke_reaches_its_edge(page, tmp_path, size):
    photo = np.broadcast_to(GREEN.astype(np.uint8), (*size[::-1], 3))
    Image.fromarray(photo).save(tmp_path / "photo.png")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "photo.png")
    page.get_by_text(f"photo: {size[0]} x {size[1]} pixels").wait_for()
    left, top, right, bottom = seen(page)
    before = brushed_pixels(page)
    assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.1)
    page.mouse.move(left + 1, top + 1)
    page.mouse.down()
    page.mouse.move(left + 8, top + 8, steps=4)
    page.mouse.up()
    assert more_is_brushed(page, before)
    fill(page)
    _, filled = saved(page, tmp_path)
    changed = (filled != photo).any(axis=2)
    assert changed[:8, :8].mean() > 0.9 and not changed[60:, 60:].any()


@desktop
def test_dust_is_brushed_in_its_place_and_a_stroke_adds_to_it(page, tmp_path):
    photo = np.full((200, 300, 3), 90, dtype=np.uint8)
    photo[20:24, 30:34], photo[170:174, 260:264] = 240, 10
    Image.fromarray(photo).save(tmp_path / "scan.png")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "scan.png")
    page.get_by_text("scan: 300 x 200 pixels").wait_for()
    page.locator("#holes button").first.click()
    for kind in ("light", "dark"):
        before = brushed_pixels(page)
        page.locator(f"#{kind}-dust").click()
        page.get_by_text(f"looks like {kind} dust").wait_for()
        assert more_is_brushed(page, before)
    brush(page)
    fill(page)
    share = float(re.search(r"(\d+\.\d) %", page.locator("#said").inner_text())[1])
    _, filled = saved(page, tmp_path)
    changed = (filled != photo).any(axis=2)
    assert changed[20:24, 30:34].all() and changed[170:174, 260:264].all()
    assert 0.5 < share < 15 and changed[80:120, 100:200].any()
    changed[10:34, 20:44] = changed[160:184, 250:274] = changed[70:130, 100:200] = False
    assert not changed.any()


@desktop
def test_no_tool_of_the_editor_takes_the_photo_away(page):
    take_sample(page)
    brush(page)
    tools = page.locator("#editor")
    assert tools.get_by_role("button", name="Undo").is_visible()
    assert not tools.get_by_role("button", name="Clear canvas").is_visible()


@pytest.fixture
def visit(small_models, tmp_path):
    """A page without its controls, a visitor, and the sample, which is open."""
    import gradio as gr

    from pipeline.page.page import Page

    page, request = Page(load(small_models / MODEL_FOLDER), tmp_path), gr.Request(session_hash="v")
    photo, editor, *_ = page.take_sample(request)
    return page, request, photo, editor


def test_what_ends_after_another_photo_was_opened_changes_nothing(visit):
    import gradio as gr

    page, request, first, editor = visit
    (result,) = run(page, request, first, editor, lambda *_: None)
    assert page.show([result], request)[1] == [result]
    page.take_sample(request)
    assert page.show([result], request)[1] == []
    for late in (
        page.choose([result], 0, request),
        page.choose([], 0, request),
        page.watch([result], 0, 1, request),
        page.add_light_dust(first, editor, request),
    ):
        assert late == gr.skip()


def run(page, request, photo, editor, at_progress):
    how = ["cosine"], 4, 1, 0
    return page.run(photo, editor, None, 0, False, *how, at_progress, request)


def test_a_fill_ends_where_its_visitor_stops_it_leaves_or_opens_another_photo(visit):
    page, request, photo, editor = visit
    for end, words in (
        (page.stop, "was stopped"),
        (page.take_sample, "photo was closed"),
        (page.leave, "photo was closed"),
    ):
        page.opened[request.session_hash] = photo
        with pytest.raises(ValueError, match=words):
            run(page, request, photo, editor, lambda *_, end=end: end(request))
    page.opened[request.session_hash] = photo
    assert len(run(page, request, photo, editor, lambda *_: None)) == 1


@desktop
def test_a_running_fill_shows_its_progress_and_can_be_stopped(page, monkeypatch):
    from maskgit.filling import Fill

    go_on, pixels = threading.Event(), Fill.pixels

    def slow(self, image, hole, decoding, variant, progress, *more):
        progress(0.5)
        assert go_on.wait(60)
        progress(0.6)
        return pixels(self, image, hole, decoding, variant, progress, *more)

    monkeypatch.setattr(Fill, "pixels", slow)
    take_sample(page)
    page.locator("#fill").click()
    page.locator("#gallery", has_text="50.0%").wait_for()
    page.locator("#stop").click()
    page.wait_for_timeout(1000)
    go_on.set()
    page.get_by_text("The fill was stopped.").wait_for()
    fill(page)


@desktop
def test_undo_leaves_the_photo(page, tmp_path):
    photo = np.broadcast_to(GREEN.astype(np.uint8), (300, 300, 3))
    Image.fromarray(photo).save(tmp_path / "photo.png")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "photo.png")
    page.get_by_text("photo: 300 x 300 pixels").wait_for()
    brush(page)
    undo = page.locator("#editor").get_by_role("button", name="Undo")
    for _ in range(3):
        if undo.is_enabled():
            undo.click()
            page.wait_for_timeout(500)
    seen(page)


@desktop
def test_an_emptied_number_box_says_what_to_enter(page, capfd):
    take_sample(page)
    brush(page)
    page.locator("#more button").first.click()
    seed = page.get_by_label("Seed")
    for _ in range(2):  # after one the message once failed to come; why is not known
        seed.fill("")
        page.wait_for_timeout(500)
    page.locator("#fill").click()
    page.get_by_text("The seed is empty: enter a whole number, 0 or more.").wait_for()
    seed.fill("0")
    fill(page)
    page.get_by_role("tab", name="Step by step").click()
    shown = page.locator("#frame img").get_attribute("src")
    for typed in ("", "99"):
        page.locator("#step input[type=number]").fill(typed)
        page.wait_for_timeout(500)
        assert page.locator("#frame img").get_attribute("src") == shown
    step_to_zero(page)
    assert "Traceback" not in capfd.readouterr().err


@desktop
def test_of_the_chosen_fills_one_file_is_kept_while_the_page_is_open(page, folder):
    def kept():
        return [path.name for path in folder.rglob("sample-*.png")]

    take_sample(page)
    brush(page)
    page.get_by_label("number input for How many fills").fill("2")
    fill(page)
    page.locator("#gallery button").nth(1).click()
    page.locator("#save:not([disabled])", has_text="Save cosine, fill 2").wait_for()
    assert kept() == ["sample-cosine-2.png"]
    page.goto("about:blank")
    for _ in range(100):
        if not kept():
            return
        page.wait_for_timeout(100)
    raise AssertionError(kept())
