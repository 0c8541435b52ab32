"""A model's networks as ONNX graphs, for programs without torch.

ONNX has no sparse solver to blend with, and a loop unrolled would fix schedule, decoder and steps
for good. So the graphs are the networks alone, three of them; what comes between takes a page of
numpy (docs/onnx_fill.py).
"""

import io
from copy import deepcopy

import torch
from torch import Tensor, nn

from maskgit.inpainting.inpainter import Inpainter


class Encode(nn.Module):
    """Images (1, 3, H, W) in [-1, 1], the hole grey (0) -> tokens int64 (1, h, w)."""

    inputs, output = ("images",), "tokens"

    def __init__(self, inpainter: Inpainter):
        super().__init__()
        self.tokenizer = inpainter.tokenizer

    def forward(self, images: Tensor) -> Tensor:
        return self.tokenizer.encode(images)


class Predict(nn.Module):
    """Tokens int64 (1, h * w), the codebook's size where hidden, and known pixels (1, 4, H, W), see
    `known_pixels` -> logits (1, h * w, codebook size)."""

    inputs, output = ("tokens", "known"), "logits"

    def __init__(self, inpainter: Inpainter):
        super().__init__()
        self.transformer, self.guidance = inpainter.transformer, inpainter.guidance

    def forward(self, tokens: Tensor, known: Tensor) -> Tensor:
        pixel_embedding = self.transformer.embed_known_pixels(known, **self.guidance)
        return self.transformer(tokens, pixel_embedding, **self.guidance)


class Draw(nn.Module):
    """Tokens int64 (1, h, w), the codebook's size for none, and known pixels (1, 4, H, W) ->
    images (1, 3, H, W) in [-1, 1]."""

    inputs, output = ("tokens", "known"), "images"

    def __init__(self, inpainter: Inpainter):
        super().__init__()
        self.tokenizer = inpainter.tokenizer

    def forward(self, tokens: Tensor, known: Tensor) -> Tensor:
        return self.tokenizer.decode(tokens, known)


GRAPHS = {"encode": Encode, "predict": Predict, "draw": Draw}


def onnx_files(inpainter: Inpainter) -> dict[str, bytes]:
    """`encode.onnx`, `predict.onnx` and `draw.onnx`, in float32, for one picture at a time.

    Raises ValueError for a model whose transformer sees no pixels.
    """
    transformer, tokenizer = inpainter.transformer, inpainter.tokenizer
    if not transformer.sees_pixels:
        raise ValueError("only a model that sees the known pixels can be exported to ONNX")
    grid = transformer.grid
    size = grid * tokenizer.cell
    samples = {
        "encode": (torch.zeros(1, 3, size, size),),
        "predict": (torch.zeros(1, grid * grid, dtype=torch.int64), torch.zeros(1, 4, size, size)),
        "draw": (torch.zeros(1, grid, grid, dtype=torch.int64), torch.zeros(1, 4, size, size)),
    }
    files = {}
    for name, graph in GRAPHS.items():
        file = io.BytesIO()
        program = torch.onnx.export(
            deepcopy(graph(inpainter)).eval().cpu(),  # the samples are there
            samples[name],
            input_names=graph.inputs,
            output_names=[graph.output],
            dynamo=True,
            verbose=False,
        )
        program.save(file)
        files[f"{name}.onnx"] = file.getvalue()
    return files
