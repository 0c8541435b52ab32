"""Divides images into train, validation and test, each by its own hash.

Where images are shuffled, one that is added to a hundred thousand moves nearly all others, and what
was trained on before is tested on. Here the split of an image hangs on its own bytes.
"""

from hashlib import sha256

import numpy as np

SPLITS = ("train", "val", "test")


def assign_splits(
    digests: np.ndarray, validation: float, test: int | float, seed: int
) -> np.ndarray:
    """The split of each image, by two numbers drawn from a hash of the seed and its digest.

    Where `test` is a share, one added image moves no other. Where it is a number, an added image
    that is tested takes the place of one other. The order of the images does not matter.

    Args:
        digests: uint8 (N, 32); sha256 of the files' bytes, all different.
        validation: share, 0 to 1, of the images that are not tested; one at least is taken (and
            gives way to the first that is drawn).
        test: a number of images (int), or a share (float, 0 to 1), which is kept on average.
        seed: another one gives other splits.

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
