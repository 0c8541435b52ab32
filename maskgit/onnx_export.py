"""Exports a model's networks as ONNX graphs, for programs without torch.

The graphs hold the networks alone. ONNX has no sparse solver for blending, and an unrolled
loop would fix schedule, decoder and number of steps. What comes between the graphs takes a page of
numpy (docs/onnx_fill.py).
"""

import io
from copy import deepcopy

import torch
from torch import Tensor, nn

from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.mean import MeanInpainter
from maskgit.mean.codes import logits_and_stream


class Encode(nn.Module):
    """Encodes images (1, 3, H, W) in [-1, 1], grey (0) in the hole, to tokens int64 (1, h, w)."""

    inputs, output = ("images",), "tokens"

    def __init__(self, inpainter: Inpainter):
        super().__init__()
        self.tokenizer = inpainter.tokenizer

    def forward(self, images: Tensor) -> Tensor:
        return self.tokenizer.encode(images)


class Predict(nn.Module):
    """Predicts logits (1, h * w, codebook size) from tokens and known pixels.

    Tokens are int64 (1, h * w), the codebook's size where hidden. Known pixels are (1, 4, H, W),
    see `known_pixels`.
    """

    inputs, output = ("tokens", "known"), "logits"

    def __init__(self, inpainter: Inpainter):
        super().__init__()
        self.transformer, self.guidance = inpainter.transformer, inpainter.guidance

    def forward(self, tokens: Tensor, known: Tensor) -> Tensor:
        pixel_embedding = self.transformer.embed_known_pixels(known, **self.guidance)
        return self.transformer(tokens, pixel_embedding, **self.guidance)


class Draw(nn.Module):
    """Decodes tokens and known pixels to images (1, 3, H, W) in [-1, 1].

    Tokens are int64 (1, h, w), the codebook's size where there is none. Known pixels are
    (1, 4, H, W), see `known_pixels`.
    """

    inputs, output = ("tokens", "known"), "images"

    def __init__(self, inpainter: Inpainter):
        super().__init__()
        self.tokenizer = inpainter.tokenizer

    def forward(self, tokens: Tensor, known: Tensor) -> Tensor:
        return self.tokenizer.decode(tokens, known)


class DrawMean(nn.Module):
    """Draws images (1, 3, H, W) in [-1, 1] by the mean reading, from tokens to pixels.

    Tokens are int64 (1, h * w), the codebook's size where hidden or unknown; `hidden` is bool
    (1, h * w). Known pixels are (1, 4, H, W), see `known_pixels`.
    """

    inputs, output = ("tokens", "hidden", "known"), "images"

    def __init__(self, inpainter: MeanInpainter):
        super().__init__()
        self.transformer, self.drawer = inpainter.transformer, inpainter.drawer
        self.register_buffer("vectors", inpainter.vectors)

    def forward(self, tokens: Tensor, hidden: Tensor, known: Tensor) -> Tensor:
        transformer, grid = self.transformer, self.transformer.grid
        seen = tokens, transformer.embed_known_pixels(known)
        logits, *stream = logits_and_stream(transformer, self.drawer.layers, *seen)
        means = logits.softmax(dim=2) @ self.vectors[:-1]
        codes = torch.where(hidden[..., None], means, self.vectors[tokens])
        codes = codes.transpose(1, 2).unflatten(2, (grid, grid))
        return self.drawer(codes, known, *stream).clamp(-1, 1)


def onnx_files(readings: dict[str, Inpainter]) -> dict[str, bytes]:
    """Returns `encode.onnx`, `predict.onnx` and `draw.onnx`, in float32, for one picture at a time.

    With the mean reading also `draw_mean.onnx`. readings: of `Fill`. Raises ValueError for a model
    whose transformer sees no pixels, or whose tokenizer is the original lab's.
    """
    inpainter = readings["sample"]
    transformer, tokenizer = inpainter.transformer, inpainter.tokenizer
    if not transformer.sees_pixels:
        raise ValueError("only a model that sees the known pixels can be exported to ONNX")
    if tokenizer.margin != tokenizer.cell // 2:  # which the loop outside of the graphs counts on
        raise ValueError("only a model with a tokenizer of this project can be exported to ONNX")
    grid = transformer.grid
    size = grid * tokenizer.cell
    samples = {
        "encode": (torch.zeros(1, 3, size, size),),
        "predict": (torch.zeros(1, grid * grid, dtype=torch.int64), torch.zeros(1, 4, size, size)),
        "draw": (torch.zeros(1, grid, grid, dtype=torch.int64), torch.zeros(1, 4, size, size)),
        "draw_mean": (
            torch.zeros(1, grid * grid, dtype=torch.int64),
            torch.zeros(1, grid * grid, dtype=torch.bool),
            torch.zeros(1, 4, size, size),
        ),
    }
    graphs = {"encode": Encode, "predict": Predict, "draw": Draw}
    networks = {name: graph(inpainter) for name, graph in graphs.items()}
    if "mean" in readings:
        networks["draw_mean"] = DrawMean(readings["mean"])
    files = {}
    for name, graph in networks.items():
        file = io.BytesIO()
        program = torch.onnx.export(
            deepcopy(graph).eval().cpu(),  # the samples are there
            samples[name],
            input_names=graph.inputs,
            output_names=[graph.output],
            dynamo=True,
            verbose=False,
        )
        program.save(file)
        files[f"{name}.onnx"] = file.getvalue()
    return files
