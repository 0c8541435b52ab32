"""The network of LPIPS as papers report it, a perceptual distance of whole pictures.

Zhang et al. 2018, arXiv 1801.03924, version 0.1 on AlexNet. Package lpips has the channel weights
learned from human judgements, but not the ImageNet weights of AlexNet.
"""

import os
import warnings
from pathlib import Path

import torch
from torch import nn

from maskgit.scoring import published
from maskgit.scoring.torchvision_import import import_torchvision


def lpips_network(alexnet: str | os.PathLike) -> nn.Module:
    """Returns the network that maps two batches of images to their LPIPS, (B, 1, 1, 1).

    Images are float (B, 3, H, W) in [-1, 1], H and W at least 31, as AlexNet needs. Nothing is
    downloaded.

    Args:
        alexnet: path of torchvision's ImageNet weights, `published.ALEXNET`.

    Raises:
        FileNotFoundError: there is no file at `alexnet`.
        ValueError: it is not that file.
    """
    published.ALEXNET.check(Path(alexnet))
    import_torchvision()
    from lpips import LPIPS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchvision's, about arguments that lpips gives it
        network = LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
    weights = torch.load(alexnet, weights_only=True)
    for name, values in network.net.state_dict().items():  # slice2.3.bias is features.3.bias
        values.copy_(weights[f"features.{name.partition('.')[2]}"])
    return network.requires_grad_(False)
