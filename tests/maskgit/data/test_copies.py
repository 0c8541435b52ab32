import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from maskgit.data.copies import find_copies

CATS = Path(__file__).parents[2] / "shared/data/cat-faces-64.zip"


def scene(seed: int) -> np.ndarray:
    """A picture (64, 64, 3) of thirty random ellipses."""
    rng = np.random.default_rng(seed)
    image = np.full((64, 64, 3), rng.integers(256, size=3), np.uint8)
    for _ in range(30):
        centre, axes = rng.integers(64, size=2).tolist(), rng.integers(3, 16, size=2).tolist()
        colour = rng.integers(256, size=3).tolist()
        cv2.ellipse(image, centre, axes, int(rng.integers(180)), 0, 360, colour, -1, cv2.LINE_AA)
    return image


def find(*images: np.ndarray, **options):
    return find_copies(np.stack(images), [f"file {i}" for i in range(len(images))], **options)


def jpeg(image: np.ndarray, quality: int = 80) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


CHANGES = {
    "jpeg 80": jpeg,
    "jpeg 30": lambda image: jpeg(image, 30),
    "brighter": lambda image: np.clip(image.astype(int) + 5, 0, 255).astype(np.uint8),
    "less contrast": lambda image: (image * 0.7 + 30).astype(np.uint8),
    "grey": lambda image: np.array(Image.fromarray(image).convert("L").convert("RGB")),
    "resized": lambda image: cv2.resize(cv2.resize(image, (40, 40)), (64, 64)),
    "shifted": lambda image: np.roll(image, (1, 2), (0, 1)),
    "blurred": lambda image: np.array(Image.fromarray(image).filter(ImageFilter.GaussianBlur(0.7))),
    "mirrored": lambda image: image[:, ::-1],
    "mirrored jpeg": lambda image: jpeg(np.ascontiguousarray(image[:, ::-1])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_pictures_are_near_copies(change):
    scenes = [scene(seed) for seed in range(40)]
    original, exact = find(*scenes, *map(CHANGES[change], scenes))
    np.testing.assert_array_equal(original, np.tile(np.arange(40), 2))
    assert not exact.any()


def test_different_pictures_are_no_copies():
    original, _ = find(*map(scene, range(400)))
    np.testing.assert_array_equal(original, np.arange(400))


def test_exact_by_digest_or_by_pixels():
    a, b = scene(0), scene(1)
    images = np.stack([a, b, a, b, jpeg(a)])
    original, exact = find_copies(images, ["a", "b", "a again", "b", "a as jpeg"])
    assert original.tolist() == [0, 1, 0, 1, 0]
    assert exact.tolist() == [False, False, True, True, False]
    assert original.dtype == np.int64
    assert exact.dtype == bool


def test_an_exact_copy_of_a_near_copy_repeats_the_same_original():
    a = scene(0)
    original, exact = find(scene(1), a, jpeg(a), jpeg(a))
    assert original.tolist() == [0, 1, 1, 1]
    assert exact.tolist() == [False, False, False, True]


def test_threshold_above_one_finds_exact_copies_only():
    a = scene(0)
    assert find(a, jpeg(a), a, threshold=1.1).original.tolist() == [0, 1, 0]


def test_pictures_without_detail_are_exact_copies_only():
    flat = [np.full((64, 64, 3), grey, np.uint8) for grey in (0, 90, 91, 90)]
    checks = np.repeat((np.indices((64, 64)).sum(axis=0) % 2 * 255)[..., None], 3, axis=2)
    with np.errstate(all="raise"):
        original, exact = find(*flat, checks.astype(np.uint8), scene(0))
    assert original.tolist() == [0, 1, 2, 1, 4, 5]
    assert exact.tolist() == [False, False, False, True, False, False]


def test_any_size_of_picture():
    scenes = [cv2.resize(scene(seed), (200, 120)) for seed in range(5)]
    mirrored = [image[:, ::-1] for image in scenes]
    assert find(*scenes, *mirrored).original.tolist() == list(range(5)) * 2


def test_no_pictures():
    original, exact = find_copies(np.zeros((0, 64, 64, 3), np.uint8), [])
    assert len(original) == len(exact) == 0


def test_as_many_digests_as_images():
    with pytest.raises(ValueError, match="1 images but 2 digests"):
        find_copies(scene(0)[None], ["a", "b"])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", *CHANGES])), max_size=12))
def test_originals_come_first_and_are_their_own(picks):
    images = [CHANGES[change](scene(seed)) if change else scene(seed) for seed, change in picks]
    digests = [f"{seed} {change}" for seed, change in picks]
    batch = np.stack(images) if images else np.zeros((0, 64, 64, 3), np.uint8)
    original, exact = find_copies(batch, digests)
    assert (original <= np.arange(len(picks))).all()
    assert (original[original] == original).all()
    assert (original[exact] < np.flatnonzero(exact)).all()
    for i, digest in enumerate(digests):
        earlier = digests.index(digest)
        assert exact[i] or earlier == i
        assert original[i] == original[earlier]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=10))
def test_exact_copies_for_any_digests(picks):
    flat = np.array([grey for grey, _ in picks], np.uint8)
    images = np.broadcast_to(flat[:, None, None, None], (len(picks), 8, 8, 3))
    original, exact = find_copies(images, [str(digest) for _, digest in picks])
    assert (original[original] == original).all()
    for i, (grey, digest) in enumerate(picks):
        assert exact[i] == any(grey == g or digest == d for g, d in picks[:i])


@pytest.mark.skipif(not CATS.exists(), reason="the cat faces are not on this machine")
def test_cat_faces():
    from pipeline.inputs.dataset import read_source

    faces = list(read_source(CATS, 64, "crop", 64))
    digests = [face.sha256 for face in faces]
    original, exact = find_copies(np.stack([face.pixels for face in faces]), digests)
    assert len(faces) == 14_505
    assert exact.sum() == len(digests) - len(set(digests)) == 5_950
    near = ~exact & (original != np.arange(len(faces)))
    assert 80 <= near.sum() <= 105  # 93 where it was measured; other JPEG decoders may differ
