"""The networks as ONNX, run by onnxruntime in the loop of docs/onnx_fill.py: our own fills."""

import importlib.util
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from maskgit import load
from maskgit.data.cats.cat import draw_cats
from maskgit.data.holes import draw_holes
from maskgit.inpainting import inpainter as module
from maskgit.inpainting.decoders import Confidence
from maskgit.inpainting.inpainter import Inpainter, image_generators
from maskgit.inpainting.mean import MeanInpainter
from maskgit.onnx_export import onnx_files
from maskgit.schedules import SCHEDULES
from pipeline.plumbing.places import MODEL_FOLDER
from tests.clone import ROOT
from tests.small_models import FSQ, KMEANS, save_small_models

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
IMAGES = 12


@pytest.fixture(scope="module")
def example():
    """docs/onnx_fill.py as a module."""
    spec = importlib.util.spec_from_file_location("onnx_fill", ROOT / "docs/onnx_fill.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module", params=[KMEANS, FSQ], ids=lambda choice: choice["quantizer"])
def folder(request, tmp_path_factory):
    """A model folder of each quantizer."""
    project = tmp_path_factory.mktemp("onnx")
    save_small_models(project, request.param)
    return project / MODEL_FOLDER


def test_the_loop_in_numpy_fills_as_ours(folder, tmp_path, monkeypatch, example):
    fill = load(folder)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    for name, content in onnx_files(fill.readings).items():
        (tmp_path / name).write_bytes(content)
    images = draw_cats(IMAGES, seed=5)
    holes = draw_holes(IMAGES, ["mixture"], (0.1, 0.25), 64, 0)
    monkeypatch.setattr(module, "autocast", lambda device: nullcontext())  # graphs are float32
    sampling = fill.readings["sample"]
    pair = sampling.tokenizer, sampling.transformer
    likeliest = Confidence(temperature=0, choice_temperature=0)
    guidance = fill.config.decoding.guidance
    ours = Inpainter(*pair, likeliest, seamless=False, guidance=guidance)
    certain = {"temperature": 0, "choice_temperature": 0, "iterations": 5}
    same = 0
    for i, (image, hole) in enumerate(zip(images, holes, strict=True)):
        expected = ours(
            image[None], hole[None], SCHEDULES["cosine"], 5, image_generators(0, [i])
        ).images[0]
        filled = example.fill(tmp_path, image, hole, **certain)
        assert np.array_equal(filled[~hole], image[~hole])
        same += np.abs(filled.astype(int) - expected).max() <= 1
    assert same == IMAGES
    for image, hole in zip(images, holes, strict=True):
        mean = MeanInpainter(*pair, fill.readings["mean"].drawer, seamless=False)
        expected = mean(image[None], hole[None]).images[0].astype(int)
        assert np.abs(example.fill(tmp_path, image, hole, reading="mean") - expected).max() <= 1
    drawn = [example.fill(tmp_path, images[0], holes[0], seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_the_example_reads_masks_and_pictures_as_the_command_line_does(
    tmp_path, monkeypatch, example
):
    """A red brush is a hole, a picture is turned upright, and an empty mask is refused."""
    seen = []
    monkeypatch.setattr(
        example, "fill", lambda folder, image, hole: seen.append((image, hole)) or image
    )
    turned = Image.new("RGB", (6, 4))
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned.save(tmp_path / "photo.jpg", exif=exif)
    mask = np.zeros((6, 4, 3), np.uint8)
    mask[2:4, 1:3, 0] = 255
    Image.fromarray(mask).save(tmp_path / "red.png")
    Image.fromarray(mask * 0).save(tmp_path / "empty.png")
    for name, refused in (("red.png", nullcontext()), ("empty.png", pytest.raises(SystemExit))):
        files = [str(tmp_path / each) for each in ("photo.jpg", name, "out.png")]
        monkeypatch.setattr("sys.argv", ["onnx_fill.py", "model", *files])
        with refused:
            example.main()
    ((image, hole),) = seen
    assert image.shape == (6, 4, 3) and np.array_equal(hole, mask[..., 0] > 0)


def test_a_tokenizer_whose_codes_see_other_margins_is_refused(models):
    tokenizer, transformer = models
    assert tokenizer.margin == tokenizer.cell // 2
    labs = SimpleNamespace(
        transformer=transformer, tokenizer=SimpleNamespace(margin=0, cell=tokenizer.cell)
    )
    with pytest.raises(ValueError, match="a tokenizer of this project"):
        onnx_files({"sample": labs})


def test_a_model_of_tokens_only_is_refused(token_models):
    with pytest.raises(ValueError, match="sees the known pixels"):
        onnx_files({"sample": Inpainter(*token_models)})


def test_graphs_are_made_of_copies_on_the_processor_so_that_a_gpu_mixes_no_devices(
    models, monkeypatch
):
    moved, exported = [], []
    move = nn.Module.cpu

    class Program:
        def save(self, file):
            pass

    def export(graph, *arguments, **options):
        exported.append(graph)
        return Program()

    monkeypatch.setattr(nn.Module, "cpu", lambda graph: moved.append(graph) or move(graph))
    monkeypatch.setattr(torch.onnx, "export", export)
    onnx_files({"sample": Inpainter(*models)})
    assert len(exported) == 3 and exported == moved
    own = {id(parameter) for model in models for parameter in model.parameters()}
    assert not own & {id(parameter) for graph in exported for parameter in graph.parameters()}
