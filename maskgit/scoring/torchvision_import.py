"""Importing torchvision where its compiled operators cannot be loaded."""

from importlib import import_module

import torch

# As torchvision's own C++ code declares them.
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# An operator lives only as long as the Library object that declared it.
_declarations: list[torch.library.Library] = []


def import_torchvision() -> None:
    """Make `import torchvision` work, also beside a torch that its binary was not built for.

    A torchvision wheel built for CUDA cannot load its compiled operators next to a CPU-only torch.
    It tolerates that, except for two detection operators (non-maximum suppression): it attaches
    shape rules to them while being imported and dies with "operator torchvision::nms does not
    exist". Declaring the two, without any code behind them, lets the import through. Models and
    transforms then work as ever; calling `torchvision.ops.nms` still fails, as it must.

    Where torchvision imports as it is, nothing is touched.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: torchvision fails to import for any other reason.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in _SCHEMAS:
            library.define(schema)
        _declarations.append(library)
        import_module("torchvision")
