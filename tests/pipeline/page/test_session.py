"""What the page works on, without a browser."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from maskgit import load
from maskgit.data.cats.cat import draw_cats
from maskgit.data.image_files import UnusableImage, decode_picture, encode_png, picture_of
from pipeline.page.session import (
    PAGE_SIDE,
    Photo,
    brushed,
    fill_photo_as,
    hole_to_fill,
    in_srgb,
    open_photo,
    painted,
    preview,
    sample_photo,
)
from pipeline.plumbing.places import MODEL_FOLDER


@pytest.fixture(scope="module")
def fill(small_models):
    return load(small_models / MODEL_FOLDER)


def cat():
    return Photo(picture_of(draw_cats(1, 0)[0]), "cat")


def stroke(height=PAGE_SIDE, width=PAGE_SIDE):
    layer = np.zeros((height, width, 4), dtype=np.uint8)
    layer[height // 4 : height // 2, width // 4 : width // 2] = 255
    return layer


def results_of(fill, photo, mask, gammas=("cosine",), variants=1, told=lambda share, title: None):
    return list(fill_photo_as(fill, photo, mask, gammas, variants, 4, 0, told))


def test_a_stroke_on_the_preview_is_a_hole_of_the_photo():
    hole = brushed([stroke(PAGE_SIDE // 2)], (128, 256))
    assert hole.shape == (128, 256)
    assert hole[40, 80] and not hole[10, 10]
    assert hole.mean() == pytest.approx(1 / 16, rel=0.1)
    assert not brushed([], (8, 8)).any()


def test_the_page_shows_colours_by_the_photos_profile():
    """Of a profile with red and green exchanged, red is shown as green."""
    pixels = np.full((8, 8, 3), (200, 30, 30), dtype=np.uint8)
    assert in_srgb(pixels, None) is pixels
    assert in_srgb(pixels, b"no profile") is pixels
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert abs(in_srgb(pixels, own).astype(int) - pixels).max() <= 1
    exchanged = own.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    photo = Photo(replace(picture_of(pixels), profile=exchanged), "red")
    red, green, _ = photo.preview(pixels)[0, 0]
    assert green > 150 and red < 100


@pytest.mark.parametrize("shape", [(64, 64), (300, 400), (2000, 1500)])
def test_no_spot_of_a_painted_hole_is_lost(shape):
    hole = np.zeros(shape, dtype=bool)
    rows, columns = np.random.default_rng(0).integers(3, np.subtract(shape, 3), (9, 2)).T
    hole[rows, columns] = hole[-1, -1] = True
    layer = painted(hole, (255, 0, 0))
    assert layer.shape == (PAGE_SIDE, PAGE_SIDE, 4)
    again = brushed([layer], shape)
    assert again[hole].all() and again.mean() < 20 * hole.mean() + 0.01


@pytest.mark.parametrize("shape", [(64, 64), (3000, 40), (700, 900)])
def test_a_preview_has_the_photos_proportions(shape):
    shown = preview(np.zeros((*shape, 3), dtype=np.uint8))
    assert max(shown.shape[:2]) == PAGE_SIDE
    assert shown.shape[0] / shown.shape[1] == pytest.approx(shape[0] / shape[1], rel=0.1)


def test_known_pixels_depth_and_profile_are_saved_as_they_were(fill, tmp_path):
    deep = np.random.default_rng(0).integers(2**16, size=(80, 96, 3), dtype=np.uint16)
    (tmp_path / "deep.png").write_bytes(encode_png(deep, b"a profile"))
    photo = open_photo(tmp_path / "deep.png")
    mask = hole_to_fill(photo, [stroke()], None, 0, False)
    (result,) = results_of(fill, photo, mask)
    saved = decode_picture(result.save(tmp_path).read_bytes())
    assert saved.own.dtype == np.uint16 and saved.profile == b"a profile"
    assert np.array_equal(saved.own[~mask.hole], deep[~mask.hole])
    assert not np.array_equal(saved.own[mask.hole], deep[mask.hole])


def test_the_steps_of_a_fill_lead_from_the_hole_to_the_result(fill):
    photo = cat()
    mask = hole_to_fill(photo, [stroke()], None, 0, False)
    (result,) = results_of(fill, photo, mask)
    assert result.steps == 4
    frames = [result.shown_after(step, fill) for step in range(5)]
    assert np.array_equal(frames[-1], result.shown())
    grey = [np.mean(np.all(frame == 128, axis=2)) for frame in frames]
    assert grey[0] == pytest.approx(mask.hole.mean(), abs=0.01)
    assert grey == sorted(grey, reverse=True) and grey[-1] == 0
    known = preview(np.repeat(~mask.hole[..., None] * np.uint8(255), 3, axis=2)) == 255
    shown = preview(photo.picture.rgb)
    assert all(np.array_equal(frame[known], shown[known]) for frame in frames)


def test_schedules_and_variants_each_have_a_fill_and_a_share_of_the_progress(fill):
    photo, told = cat(), []
    mask = hole_to_fill(photo, [stroke()], None, 2, False)
    results = results_of(
        fill, photo, mask, ["cosine", "square"], 2, lambda share, title: told.append((share, title))
    )
    titles = [result.title for result in results]
    assert titles == ["cosine, fill 1", "cosine, fill 2", "square, fill 1", "square, fill 2"]
    assert told == list(zip([0.25, 0.5, 0.75, 1.0], titles, strict=True))
    assert len({result.pixels.tobytes() for result in results}) == 4


def test_beside_the_mean_the_other_fills_are_samples(fill):
    photo = cat()
    mask = hole_to_fill(photo, [stroke()], None, 0, False)
    results = results_of(fill, photo, mask, ["mean", "cosine"], 3)
    titles = ["mean, fill 1", *[f"cosine, fill {k}" for k in (1, 2, 3)]]
    assert [result.title for result in results] == titles


def test_a_mask_and_a_brush_add_up_and_black_may_be_the_hole(tmp_path):
    photo = cat()
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[50:60, 50:60] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    both = hole_to_fill(photo, [stroke()], tmp_path / "mask.png", 0, False).hole
    assert both[20, 20] and both[55, 55] and not both[5, 5]
    black = hole_to_fill(photo, [], tmp_path / "mask.png", 0, True).hole
    assert np.array_equal(black, mask == 0)


def test_the_sample_is_a_photo_of_the_shipped_weights():
    photo, hole = sample_photo()
    assert photo.name == "sample" and photo.shape == hole.shape and min(photo.shape) > 128
    again = brushed([painted(hole, (255, 0, 0))], hole.shape)
    assert 0.05 < hole.mean() < 0.25 and (again ^ hole).mean() < 0.01


def test_what_cannot_be_filled_is_said(tmp_path):
    photo = cat()
    with pytest.raises(UnusableImage, match="no hole yet"):
        hole_to_fill(photo, [], None, 3, False)
    with pytest.raises(UnusableImage, match="whole picture"):
        hole_to_fill(photo, [np.full((8, 8, 4), 255, np.uint8)], None, 0, False)
    (tmp_path / "mask.png").write_bytes(b"no mask")
    with pytest.raises(UnusableImage, match="the mask: not an image"):
        hole_to_fill(photo, [], tmp_path / "mask.png", 0, False)
    with pytest.raises(UnusableImage, match="not an image"):
        open_photo(tmp_path / "mask.png")
