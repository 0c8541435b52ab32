import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from maskgit.data.views import FARTHEST, view_maps


@given(count=st.integers(1, 12), size=st.sampled_from([16, 64]), seed=st.integers(0, 2**32))
def test_views_are_the_picture_itself_its_mirror_and_both_shifted(count, size, seed):
    image = np.random.default_rng(seed).integers(256, size=(size, size, 3), dtype=np.uint8)
    views = [image[rows][:, columns] for rows, columns in view_maps(count, size)]
    assert len(views) == count
    assert np.array_equal(views[0], image)
    for plain, mirrored in zip(views[::2], views[1::2], strict=False):
        assert np.array_equal(mirrored, plain[:, ::-1])
    inner = slice(far := round(FARTHEST * size), size - far)
    middle = image[inner, inner].tobytes()
    for view in views[::2]:
        moved = [
            np.roll(view, (down, right), (0, 1))[inner, inner].tobytes()
            for down in range(-far, far + 1)
            for right in range(-far, far + 1)
        ]
        assert middle in moved


def test_no_two_views_of_eight_are_the_same():
    assert len({view.tobytes() for view in view_maps(8, 64)}) == 8
