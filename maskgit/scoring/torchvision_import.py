"""Imports torchvision, even where its compiled operators cannot be loaded."""

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
    """Makes `import torchvision` work, also with a torch for which its binary was not built.

    A torchvision wheel built for CUDA cannot load its compiled operators next to a CPU-only torch.
    The import still works, except for two detection operators (non-maximum suppression):
    torchvision registers shape rules for them and fails with "operator torchvision::nms does not
    exist". Declaring the two operators, without implementations, makes the import work. Models and
    transforms then work; calling `torchvision.ops.nms` still fails.

    Nothing is declared where torchvision can be imported without.

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
