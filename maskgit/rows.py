"""Reads rows of arrays as tensors on a device."""

import numpy as np
import torch
from torch import Tensor


class Rows:
    """An array of which rows are read as tensors on a device.

    A GPU holds the whole array where that takes at most a quarter of its free memory, so that no
    step waits for a copy. Otherwise only the rows that are asked for are read. Of a memory map
    nothing else is then in memory.
    """

    def __init__(self, array: np.ndarray, device: torch.device):
        self.array, self.device = array, device
        self.held = None
        if device.type == "cuda" and _held_bytes(array) < torch.cuda.mem_get_info(device)[0] / 4:
            self.held = _signed(np.array(array)).to(device)

    def __getitem__(self, index: tuple[np.ndarray, ...]) -> Tensor:
        """Returns the rows at `index`, int arrays of equal length; uint16 values become int32."""
        if self.held is None:
            return _signed(self.array[index]).to(self.device)
        return self.held[tuple(to_device(i, self.device) for i in index)]


def _held_bytes(array: np.ndarray) -> int:
    return array.nbytes * (2 if array.dtype == np.uint16 else 1)  # see `_signed`


def _signed(array: np.ndarray) -> Tensor:
    """Returns the array as a tensor, uint16 as int32, since torch supports little of uint16."""
    return torch.from_numpy(array.astype(np.int32) if array.dtype == np.uint16 else array)


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Copies a small array to a device, without waiting for the operations that a CUDA GPU runs.

    Apple's GPUs would read the array later, when its memory may be used again.
    """
    return torch.from_numpy(array).to(device, non_blocking=device.type == "cuda")
