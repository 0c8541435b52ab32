"""Converts pixels: grey levels uint8 (N, H, W, 3) to floats in [-1, 1] (N, 3, H, W), and back."""

import numpy as np
import torch
from torch import Tensor


def to_float(images: np.ndarray, device: torch.device) -> Tensor:
    """Converts images uint8 (N, H, W, 3) to float (N, 3, H, W) in [-1, 1], stored channels last."""
    return pixels_to_float(torch.from_numpy(np.ascontiguousarray(images)).to(device))


def pixels_to_float(images: Tensor) -> Tensor:
    """Converts as `to_float` does, a tensor on its own device."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> np.ndarray:
    """Converts images float (N, 3, H, W) in [-1, 1] to uint8 (N, H, W, 3), rounded."""
    pixels = images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
