"""Divides images into train, validation and test split, each by its own hash.

If images were shuffled, one added image would move nearly all others, and earlier training images
would be tested. Here the split of an image depends on its own bytes.
"""

from hashlib import sha256

import numpy as np

SPLITS = ("train", "val", "test")


def assign_splits(
    digests: np.ndarray, validation: float, test: int | float, seed: int
) -> np.ndarray:
    """Returns the split of each image, by two numbers from a hash of the seed and its digest.

    Where `test` is a share, one added image moves no other, except the only
    validated one, which it may replace. Where `test` is a number, an added test
    image replaces another. The order of the images does not matter.

    Args:
        digests: uint8 (N, 32); sha256 of the files' bytes, all different.
        validation: share, 0 to 1, of the images that are not tested; at least one is taken.
        test: a number of images (int), or a share (float, 0 to 1), which is kept on average.
        seed: of the hash.

    Returns:
        array of names (N,), each one of SPLITS.

    Raises:
        ValueError: no image would be tested or validated, or under half would train.
    """
    hashes = bytearray()
    for digest in digests:
        hashes += sha256(f"{seed} {digest.tobytes().hex()}".encode()).digest()[:16]
    drawn = np.frombuffer(hashes, ">u8").reshape(-1, 2) / 2**64  # uniform, 0 to 1
    tested = np.zeros(len(digests), bool)
    if isinstance(test, int):
        tested[np.argsort(drawn[:, 0])[:test]] = True
    else:
        tested = drawn[:, 0] < test
    rest = np.where(tested, 2, drawn[:, 1])
    validated = rest <= max(validation, rest.min(initial=1))
    splits = np.array(SPLITS, object)[np.select([tested, validated], [2, 1], 0)]

    trains, validations, tests = ((splits == name).sum() for name in SPLITS)
    enough = tests == test if isinstance(test, int) else tests > 0
    if not enough or not validations or 2 * trains < len(digests):
        raise ValueError(
            f"{len(digests)} images are too few for {max(1, validations)} to validate, "
            f"{test if isinstance(test, int) else max(1, tests)} to test and at least half to train"
        )
    return splits
