"""Lists the quantizers and how many codes each has. Imports no torch, since settings use it."""

from collections.abc import Callable
from math import prod

# Table 1 of arXiv 2309.15505 from 256 on; the smaller ones continue it downwards.
FSQ_LEVELS = {
    16: (5, 3),
    64: (8, 8),
    256: (8, 6, 5),
    1024: (8, 5, 5, 5),
    4096: (7, 5, 5, 5, 5),
    16384: (8, 8, 8, 6, 5),
}


def fsq_levels(codebook_size: int) -> tuple[int, ...]:
    """Returns the number of levels of each dimension; the codes are all their combinations.

    The product of the levels is close to `codebook_size`, but not the same: 1000 for 1024, 4375
    for 4096. Raises ValueError for a size that is not in the table.
    """
    if codebook_size not in FSQ_LEVELS:
        *sizes, last = FSQ_LEVELS
        raise ValueError(
            f"quantizer fsq takes a codebook_size of {', '.join(map(str, sizes))} or {last}, "
            f"not {codebook_size}"
        )
    return FSQ_LEVELS[codebook_size]


def fsq_codes(codebook_size: int) -> int:
    """Returns the number of codes of `fsq_levels`. Raises ValueError as it does."""
    return prod(fsq_levels(codebook_size))


def as_asked(codebook_size: int) -> int:
    """Returns `codebook_size`: any number of codes is possible."""
    return codebook_size


# The number of codes of a quantizer for the setting `codebook_size`, or ValueError.
CODES: dict[str, Callable[[int], int]] = {"kmeans": as_asked, "fsq": fsq_codes}
