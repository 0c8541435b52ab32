"""Divides images into train, validation and test."""

import numpy as np

SPLITS = ("train", "val", "test")


def split_sizes(count: int, validation: float, test: int | float) -> tuple[int, int, int]:
    """How many images train, val and test get. `test` is a number (int) or a share (float).

    Raises ValueError where validation or test would stay empty, or training get under half.
    """
    tests = test if isinstance(test, int) else round(count * test)
    validations = max(1, round(count * validation))
    trains = count - tests - validations
    if tests < 1 or trains < (count + 1) // 2:
        raise ValueError(
            f"{count} images are too few for {validations} to validate, {tests} to test "
            "and at least half to train"
        )
    return trains, validations, tests


def assign_splits(count: int, validation: float, test: int | float, seed: int) -> np.ndarray:
    """The split of each image, drawn at random: array of names (count,)."""
    sizes = split_sizes(count, validation, test)
    order = np.random.default_rng(seed).permutation(count)
    splits = np.empty(count, dtype="<U5")
    splits[order] = np.repeat(SPLITS, sizes)
    return splits
