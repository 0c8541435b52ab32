"""The original lab's files load, mean what they meant there, and run through every stage."""

import json
import os
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from maskgit.inpainting.inpainter import Inpainter, image_generators
from maskgit.lab.decoder import LabInpainter
from maskgit.lab.tokenizer import MEAN, STD, LabVQGAN
from maskgit.lab.transformer import LabTransformer
from maskgit.schedules import SCHEDULES
from maskgit.transformer.model import MaskedTransformer
from pipeline.lab.tokenizer import import_tokenizer
from pipeline.lab.transformer import import_transformer
from pipeline.models.checkpoints import read_weights
from pipeline.plumbing.errors import UserError
from pipeline.stages import encode, inpaint, prepare, reference, report, score
from pipeline.stages import train_transformer as train_transformer_stage
from pipeline.stages import train_vqgan as train_vqgan_stage
from tests.clone import ROOT
from tests.pictures import colours, cycle

LAB = {
    "image_channels": 3,
    "enc_channels": [128, 128, 128, 256, 256, 512],
    "dec_channels": [128, 128, 256, 256, 512],
    "latent_dim": 256,
    "img_resolution": 64,
    "latent_resolution": 16,
    "num_codebook_vectors": 1024,
    "beta": 0.25,
}
SMALL = LAB | {
    "enc_channels": [32, 32, 32, 64, 64, 96],
    "dec_channels": [32, 32, 64, 64, 96],
    "latent_dim": 8,
    "img_resolution": 16,
    "latent_resolution": 4,
    "num_codebook_vectors": 40,
}
LAB_SIZES = {"codes": 1024, "tokens": 256, "dim": 768, "layers": 15, "hidden_dim": 1536}
SMALL_SIZES = {"codes": 40, "tokens": 16, "dim": 32, "layers": 2, "hidden_dim": 48}


# The lab's layout, layer by layer, from its description and not from our modules


def encoder_layers(e, image, latent):
    return [
        ("conv", image, e[0]),
        ("residual", e[0], e[1]),
        ("residual", e[1], e[1]),
        ("residual", e[1], e[2]),
        ("residual", e[2], e[2]),
        ("residual", e[2], e[3]),
        ("residual", e[3], e[3]),
        ("down", e[3], e[3]),
        ("residual", e[3], e[4]),
        ("residual", e[4], e[4]),
        ("residual", e[4], e[5]),
        ("residual", e[5], e[5]),
        ("down", e[5], e[5]),
        ("residual", e[5], e[5]),
        ("attention", e[5], e[5]),
        ("residual", e[5], e[5]),
        ("norm", e[5], e[5]),
        ("swish", e[5], e[5]),
        ("conv", e[5], latent),
    ]


def decoder_layers(d, image, latent):
    top = [("residual", d[4], d[4]), ("attention", d[4], d[4])]
    return [
        ("conv", latent, d[4]),
        *(top + top[:1] + top * 3),
        ("up", d[4], d[4]),
        ("residual", d[4], d[3]),
        ("residual", d[3], d[3]),
        ("residual", d[3], d[3]),
        ("residual", d[3], d[2]),
        ("residual", d[2], d[2]),
        ("residual", d[2], d[2]),
        ("up", d[2], d[2]),
        ("residual", d[2], d[1]),
        ("residual", d[1], d[1]),
        ("residual", d[1], d[1]),
        ("residual", d[1], d[0]),
        ("residual", d[0], d[0]),
        ("residual", d[0], d[0]),
        ("norm", d[0], d[0]),
        ("conv", d[0], image),
    ]


def layers_of(param):
    image, latent = param["image_channels"], param["latent_dim"]
    return {
        "encoder.model": encoder_layers(param["enc_channels"], image, latent),
        "decoder.model": decoder_layers(param["dec_channels"], image, latent),
    }


def tokenizer_shapes(param):
    shapes = {}

    def both(name, weight):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = weight, weight[:1]

    for part, layers in layers_of(param).items():
        for i, (kind, before, after) in enumerate(layers):
            name = f"{part}.{i}"
            if kind == "conv":
                both(name, (after, before, 3, 3))
            elif kind in ("down", "up"):
                both(f"{name}.conv", (after, before, 3, 3))
            elif kind == "norm":
                both(f"{name}.gn", (before,))
            elif kind == "attention":
                both(f"{name}.norm.gn", (before,))
                for matrix in ("q", "k", "v", "proj_out"):
                    both(f"{name}.{matrix}", (before, before, 1, 1))
            elif kind == "residual":
                both(f"{name}.block.0.gn", (before,))
                both(f"{name}.block.2", (after, before, 3, 3))
                both(f"{name}.block.3.gn", (after,))
                both(f"{name}.block.5", (after, after, 3, 3))
                if before != after:
                    both(f"{name}.channel_up", (after, before, 1, 1))
    latent = param["latent_dim"]
    both("quant_conv", (latent, latent, 1, 1))
    both("post_quant_conv", (latent, latent, 1, 1))
    shapes["codebook.embedding.weight"] = (param["num_codebook_vectors"], latent)
    return shapes


def transformer_shapes(codes, tokens, dim, layers, hidden_dim, fused=False):
    shapes = {
        "tok_emb.weight": (codes + 1, dim),
        "pos_emb": (tokens, dim),
        "bias": (tokens, codes + 1),
    }

    def both(name, weight):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = weight, weight[:1]

    both("LN", (dim,))
    both("Token_Prediction.0", (dim, dim))
    both("Token_Prediction.2", (dim,))
    for i in range(layers):
        if fused:
            both(f"blocks.{i}.Attention.qkv", (3 * dim, dim))
        else:
            for matrix in ("query", "key", "value"):
                both(f"blocks.{i}.Attention.{matrix}", (dim, dim))
        both(f"blocks.{i}.Attention.proj", (dim, dim))
        both(f"blocks.{i}.LayerNorm1", (dim,))
        both(f"blocks.{i}.LayerNorm2", (dim,))
        both(f"blocks.{i}.MLP.0", (hidden_dim, dim))
        both(f"blocks.{i}.MLP.2", (dim, hidden_dim))
    return shapes


def random_state(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes.items():
        spread = shape[1:].numel() ** -0.5 if len(shape := torch.Size(shape)) > 1 else 0.5
        state[key] = spread * torch.randn(shape, generator=generator)
    return state


# What the lab's layers compute, in plain calls


def residual(s, name, x):
    y = x
    for norm, conv in (("0", "2"), ("3", "5")):
        y = group_norm(s, f"{name}.block.{norm}", y)
        y = conv2d(s, f"{name}.block.{conv}", y * torch.sigmoid(y), padding=1)
    up = f"{name}.channel_up"
    return y + (conv2d(s, up, x) if f"{up}.weight" in s else x)


def group_norm(s, name, x):
    groups = x.unflatten(1, (32, -1)).flatten(2)
    mean, var = groups.mean(2, keepdim=True), groups.var(2, keepdim=True, unbiased=False)
    normalised = ((groups - mean) / (var + 1e-6).sqrt()).view_as(x)
    return normalised * s[f"{name}.gn.weight"][:, None, None] + s[f"{name}.gn.bias"][:, None, None]


def conv2d(s, name, x, **how):
    return F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], **how)


def attention(s, name, x):
    y = group_norm(s, f"{name}.norm", x)
    q, k, v = (conv2d(s, f"{name}.{matrix}", y).flatten(2) for matrix in "qkv")  # (B, C, N)
    weight = (torch.einsum("bcn,bcm->bnm", q, k) * q.shape[1] ** -0.5).softmax(dim=2)
    y = torch.einsum("bnm,bcm->bcn", weight, v).view_as(x)
    return x + conv2d(s, f"{name}.proj_out", y)


def run_layers(s, part, layers, x):
    for i, (kind, _, _) in enumerate(layers):
        name = f"{part}.{i}"
        if kind == "conv":
            x = conv2d(s, name, x, padding=1)
        elif kind == "down":
            padded = torch.zeros(*x.shape[:2], x.shape[2] + 1, x.shape[3] + 1)
            padded[..., :-1, :-1] = x
            x = conv2d(s, f"{name}.conv", padded, stride=2)
        elif kind == "up":
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
            x = conv2d(s, f"{name}.conv", x, padding=1)
        elif kind == "norm":
            x = group_norm(s, name, x)
        elif kind == "swish":
            x = x * torch.sigmoid(x)
        elif kind == "attention":
            x = attention(s, name, x)
        else:
            x = residual(s, name, x)
    return x


def plain_latents(s, param, images):
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    x = ((images + 1) / 2 - mean) / std
    z = run_layers(s, "encoder.model", layers_of(param)["encoder.model"], x)
    return conv2d(s, "quant_conv", z).permute(0, 2, 3, 1)


def plain_encode(s, param, images):
    z = plain_latents(s, param, images)
    return (z[..., None, :] - s["codebook.embedding.weight"]).square().sum(-1).argmin(-1)


def plain_decode(s, param, tokens):
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    z = s["codebook.embedding.weight"][tokens].permute(0, 3, 1, 2)
    z = conv2d(s, "post_quant_conv", z)
    x = run_layers(s, "decoder.model", layers_of(param)["decoder.model"], z)
    return ((x * std + mean) * 2 - 1).clamp(-1, 1)


def layer_norm(s, name, x):
    centred = x - x.mean(-1, keepdim=True)
    normalised = centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
    return normalised * s[f"{name}.weight"] + s[f"{name}.bias"]


def linear(s, name, x):
    return x @ s[f"{name}.weight"].T + s[f"{name}.bias"]


def gelu(x):
    return x * (1 + torch.erf(x / 2**0.5)) / 2


def plain_logits(s, tokens, layers, heads=16):
    x = layer_norm(s, "LN", s["tok_emb.weight"][tokens] + s["pos_emb"])
    for i in range(layers):
        name = f"blocks.{i}"
        if f"{name}.Attention.qkv.weight" in s:
            dim = x.shape[-1]
            both = linear(s, f"{name}.Attention.qkv", x)
            q, k, v = both[..., :dim], both[..., dim : 2 * dim], both[..., 2 * dim :]
        else:
            q, k, v = (linear(s, f"{name}.Attention.{m}", x) for m in ("query", "key", "value"))
        mixed = []
        for one in torch.arange(x.shape[-1]).chunk(heads):
            scores = q[..., one] @ k[..., one].transpose(1, 2) / len(one) ** 0.5
            mixed.append(scores.softmax(dim=-1) @ v[..., one])
        y = linear(s, f"{name}.Attention.proj", torch.cat(mixed, dim=-1))
        x = layer_norm(s, f"{name}.LayerNorm1", x + y)
        y = linear(s, f"{name}.MLP.2", gelu(linear(s, f"{name}.MLP.0", x)))
        x = layer_norm(s, f"{name}.LayerNorm2", x + y)
    x = layer_norm(s, "Token_Prediction.2", gelu(linear(s, "Token_Prediction.0", x)))
    return (x @ s["tok_emb.weight"].T + s["bias"])[..., :-1]


# Files


def save_lab(folder, param=SMALL, sizes=SMALL_SIZES, fused=False):
    """VQGAN.pt, VQGAN.yml and transformer.pt with random weights."""
    folder.mkdir(exist_ok=True)
    torch.save(random_state(tokenizer_shapes(param)), folder / "VQGAN.pt")
    (folder / "VQGAN.yml").write_text(yaml.safe_dump({"model_param": param}))
    torch.save(random_state(transformer_shapes(**sizes, fused=fused)), folder / "transformer.pt")
    return folder


@pytest.fixture
def lab(tmp_path):
    return save_lab(tmp_path / "lab")


def load_tokenizer(folder, size=16):
    return import_tokenizer(str(folder / "VQGAN.pt"), size, folder)[1]


def load_transformer(folder, name="transformer.pt", codes=40, tokens=16):
    return import_transformer(str(folder / name), codes, tokens, folder)[1]


# The layout


def test_the_labs_tokenizer_has_the_labs_keys_shapes_and_count():
    with torch.device("meta"):
        model = LabVQGAN()
    assert {k: tuple(v.shape) for k, v in model.state_dict().items()} == tokenizer_shapes(LAB)
    assert sum(p.numel() for p in model.parameters()) == 70_775_299


@pytest.mark.parametrize("fused", [False, True])
def test_the_labs_transformer_has_the_labs_keys_shapes_and_count(fused):
    with torch.device("meta"):
        model = LabTransformer(fused=fused)
    expected = transformer_shapes(**LAB_SIZES, fused=fused)
    assert {k: tuple(v.shape) for k, v in model.state_dict().items()} == expected
    assert sum(p.numel() for p in model.parameters()) == 72_745_472


def test_the_attention_lies_where_the_lab_has_it():
    with torch.device("meta"):
        model = LabVQGAN()
    for part, layers in layers_of(LAB).items():
        kinds = [type(layer).__name__ for layer in model.get_submodule(part)]
        assert [i for i, kind in enumerate(kinds) if kind == "Attention"] == [
            i for i, (kind, _, _) in enumerate(layers) if kind == "attention"
        ]


# One forward pass of each, against the plain calls


def test_the_tokenizer_computes_what_the_lab_computes(lab):
    state = torch.load(lab / "VQGAN.pt")
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    latents = plain_latents(state, SMALL, images).flatten(0, 2)
    state["codebook.embedding.weight"] = latents[:40] + 0.01  # so that many codes are met
    torch.save(state, lab / "VQGAN.pt")
    model = load_tokenizer(lab)
    tokens = model.encode(images)
    assert torch.equal(tokens, plain_encode(state, SMALL, images))
    assert tokens.dtype == torch.int64 and len(tokens.unique()) > 20
    decoded = model.decode(tokens)
    torch.testing.assert_close(decoded, plain_decode(state, SMALL, tokens), rtol=1e-4, atol=1e-4)
    assert decoded.std() > 0.1


@pytest.mark.parametrize("fused", [False, True])
def test_the_transformer_computes_what_the_lab_computes(tmp_path, fused):
    folder = save_lab(tmp_path / "lab", fused=fused)
    model, state = load_transformer(folder), torch.load(folder / "transformer.pt")
    tokens = torch.randint(41, (3, 16), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logits = model(tokens)
        where = tokens == model.mask_token
        where[0, :5] = True
        some = model(tokens, where=where)
    torch.testing.assert_close(some, logits[where])
    torch.testing.assert_close(logits, plain_logits(state, tokens, 2), rtol=1e-4, atol=1e-4)
    assert logits.shape == (3, 16, 40) and logits.std() > 0.1


def test_of_equal_codes_the_first_is_the_nearest(lab):
    codebook = load_tokenizer(lab).codebook
    with torch.no_grad():
        codebook.embedding.weight[7] = codebook.embedding.weight[3]
    assert codebook.nearest(codebook.embedding.weight[7]) == 3


# Files that load


def test_the_prefix_and_safetensors_change_nothing(lab):
    state = torch.load(lab / "transformer.pt")
    torch.save({f"transformer.{key}": value for key, value in state.items()}, lab / "prefixed.pt")
    save_file(state, lab / "same.safetensors")
    for name in ("prefixed.pt", "same.safetensors"):
        loaded = load_transformer(lab, name).state_dict()
        assert loaded.keys() == state.keys()
        assert all(torch.equal(loaded[key], value) for key, value in state.items())


def test_a_yaml_file_may_end_in_yaml(lab):
    (lab / "VQGAN.yml").rename(lab / "VQGAN.yaml")
    assert load_tokenizer(lab).cell == 4


def test_paths_are_relative_to_the_real_project(lab, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(lab))
    _, model = import_tokenizer("VQGAN.pt", 16, lab)
    assert model.codebook.codebook_size == 40
    origin = json.loads((lab / "imported.json").read_text())
    assert len(origin["sha256"]) == 64 and origin["file"] == "VQGAN.pt"


def test_our_own_transformer_can_learn_the_labs_tokens(lab):
    vectors = load_tokenizer(lab).codebook.unit_vectors
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(40))
    model = MaskedTransformer(codebook_size=40, latent_dim=8, grid=4, dim=16, heads=2, layers=1)
    model.set_codebook(vectors.detach())
    assert model(torch.zeros(1, 16, dtype=torch.int64)).shape == (1, 16, 40)


# Files that do not


def change_state(name, change):
    def spoil(folder):
        state = torch.load(folder / name)
        change(state)
        torch.save(state, folder / name)

    return spoil


def compressed(folder):
    """A file of torch.save, packed as torch would unpack it to any size."""
    path = folder / "VQGAN.pt"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def change_yaml(change):
    def spoil(folder):
        values = yaml.safe_load((folder / "VQGAN.yml").read_text())
        change(values["model_param"])
        (folder / "VQGAN.yml").write_text(yaml.safe_dump(values))

    return spoil


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


class RunsCode:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "hacked"),)


def no_file(name):
    return lambda folder: (folder / name).unlink()


KEY = "encoder.model.5.block.2.weight"
BAD_TOKENIZERS = {
    "missing key": (
        change_state("VQGAN.pt", lambda s: s.pop(KEY)),
        rf"does not fit: {KEY}, float32 \(64, 32, 3, 3\), is missing$",
    ),
    "extra key": (
        change_state("VQGAN.pt", lambda s: s.update(step=torch.zeros(1))),
        r"does not fit: 'step' is not part of a LabVQGAN$",
    ),
    "wrong shape": (
        change_state("VQGAN.pt", lambda s: s.update({KEY: torch.zeros(64, 32, 1, 1)})),
        rf"does not fit: {KEY} should be float32 \(64, 32, 3, 3\), but is float32 \(64, 32, 1, 1"
        r"\)$",
    ),
    "many faults": (
        change_yaml(lambda p: p.update(latent_dim=16)),
        r"codebook.embedding.weight should be .*|.* should be .*; and \d+ more$",
    ),
    "not a number": (
        change_state("VQGAN.pt", lambda s: s[KEY].fill_(float("nan"))),
        rf"{KEY} holds values that are not finite numbers",
    ),
    "a view of one number": (
        change_state("VQGAN.pt", lambda s: s.update({KEY: torch.zeros(1).expand(10**12)})),
        rf"expected names and dense tensors of numbers only, but found '{KEY}'",
    ),
    "many weights of the same numbers": (
        change_state("VQGAN.pt", lambda s: s.update({f"more.{i}": s[KEY] for i in range(900)})),
        r"VQGAN.pt is refused: many of its weights share their numbers",
    ),
    "compressed": (compressed, r"VQGAN.pt is refused .*a compressed file"),
    "a buffer of any length": (
        lambda folder: torch.save({"a": bytearray(9)}, folder / "VQGAN.pt"),
        r"VQGAN.pt is refused .*it makes a bytearray",
    ),
    "whole checkpoint": (
        change_state("VQGAN.pt", lambda s: s.update(optimizer={"lr": 1.0})),
        r"expected names and dense tensors .* but found 'optimizer'",
    ),
    "code": (
        lambda folder: torch.save({"a": RunsCode(folder)}, folder / "VQGAN.pt"),
        r"VQGAN.pt is refused \(UnpicklingError: .*plain state dict",
    ),
    "no checkpoint": (write("VQGAN.pt", b"hello"), r"VQGAN.pt is refused .*plain state dict"),
    "no file": (no_file("VQGAN.pt"), r"VQGAN.pt does not exist; a path is relative to the project"),
    "no YAML": (no_file("VQGAN.yml"), r"VQGAN.yml does not exist; .* put it beside"),
    "YAML list": (write("VQGAN.yml", b"- 1"), r"VQGAN.yml: expected a section 'model_param:'"),
    "YAML empty": (write("VQGAN.yml", b"a: 1"), r"VQGAN.yml: 'model_param' is missing"),
    "YAML broken": (write("VQGAN.yml", b"a: ["), r"VQGAN.yml cannot be read"),
    "YAML runs code": (
        write("VQGAN.yml", b"model_param: !!python/object/apply:os.getcwd []"),
        r"VQGAN.yml cannot be read: could not determine a constructor",
    ),
    "no width": (
        change_yaml(lambda p: p.pop("dec_channels")),
        r"VQGAN.yml: 'model_param.dec_channels' is missing",
    ),
    "odd width": (
        change_yaml(lambda p: p["enc_channels"].append(100)),
        r"VQGAN.yml: model_param.enc_channels.6: .* multiple of 32, but it is 100",
    ),
    "too few widths": (
        change_yaml(lambda p: p.update(enc_channels=[32, 32])),
        r"VQGAN.yml: 2 enc_channels lead from 16 to 16, not to latent_resolution 4",
    ),
    "too many codes": (
        change_yaml(lambda p: p.update(num_codebook_vectors=10**9)),
        r"VQGAN.yml: model_param.num_codebook_vectors: .* 65535",
    ),
    "other size": (
        change_yaml(lambda p: p.update(img_resolution=32, latent_resolution=8)),
        r"is for images of 32 pixels; set data.size=32, now 16",
    ),
}
FIRST = "blocks.0.Attention.query.weight"
BAD_TRANSFORMERS = {
    "missing key": (
        change_state("transformer.pt", lambda s: s.pop(FIRST)),
        rf"does not fit: {FIRST}, float32 \(32, 32\), is missing$",
    ),
    "both layouts": (
        change_state(
            "transformer.pt",
            lambda s: s.update({"blocks.1.Attention.qkv.weight": torch.zeros(96, 32)}),
        ),
        r"does not fit: 'blocks.1.Attention.qkv.weight' is not part of a LabTransformer$",
    ),
    "wrong shape": (
        change_state("transformer.pt", lambda s: s.update({FIRST: torch.zeros(32, 16)})),
        rf"does not fit: {FIRST} should be float32 \(32, 32\), but is float32 \(32, 16\)$",
    ),
    "no embedding": (
        change_state("transformer.pt", lambda s: s.pop("tok_emb.weight")),
        r"is no transformer of the lab: tok_emb.weight is missing, expected a matrix",
    ),
    "a number for a matrix": (
        change_state("transformer.pt", lambda s: s.update(pos_emb=torch.tensor(1.0))),
        r"is no transformer of the lab: pos_emb has shape \(\), expected a matrix",
    ),
    "odd width": (
        change_state("transformer.pt", lambda s: s.update({"tok_emb.weight": torch.zeros(41, 30)})),
        r"dim: .* multiple of 16, but it is 30",
    ),
    "other codebook": (
        change_state("transformer.pt", lambda s: s.update({"tok_emb.weight": torch.zeros(65, 32)})),
        r"is for 64 codes, but the tokenizer has 40$",
    ),
    "other grid": (
        change_state("transformer.pt", lambda s: s.update(pos_emb=torch.zeros(64, 32))),
        r"is for 64 tokens an image, but the tokenizer has 16$",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), BAD_TOKENIZERS.values(), ids=BAD_TOKENIZERS)
def test_a_tokenizer_that_does_not_fit_gets_one_line(lab, spoil, message):
    spoil(lab)
    with pytest.raises(UserError, match=message) as caught:
        load_tokenizer(lab)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert not (lab / "hacked").exists()


@pytest.mark.parametrize(("spoil", "message"), BAD_TRANSFORMERS.values(), ids=BAD_TRANSFORMERS)
def test_a_transformer_that_does_not_fit_gets_one_line(lab, spoil, message):
    spoil(lab)
    with pytest.raises(UserError, match=message) as caught:
        load_transformer(lab)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@settings(max_examples=60)
@given(
    suffix=st.sampled_from(["pt", "safetensors"]),
    place=st.floats(0, 1, exclude_max=True),
    byte=st.integers(0, 255),
    cut=st.booleans(),
)
def test_damaged_files_load_or_get_one_line(tmp_path_factory, suffix, place, byte, cut):
    path = tmp_path_factory.mktemp("damaged") / f"a.{suffix}"
    state = {"a": torch.ones(3), "b": torch.zeros(2, 2)}
    torch.save(state, path) if suffix == "pt" else save_file(state, path)
    data = bytearray(path.read_bytes())
    index = int(place * len(data))
    data[index] = byte
    path.write_bytes(data[:index] if cut else data)
    try:
        assert all(isinstance(value, torch.Tensor) for value in read_weights(path).values())
    except UserError as error:
        assert "\n" not in str(error)


# Through the stages


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The lab's folders and models beside a project, as far as every schedule needs them."""
    base = tmp_path_factory.mktemp("lab")
    lab = save_lab(base / "lab")
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 3), ("test", 4)):
        (base / "cat_face" / split).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(256, size=(64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(base / f"cat_face/{split}/{i}.png")
    (base / "mask64").mkdir()
    for i in range(4):
        known = np.full((64, 64), 255, np.uint8)
        known[16 * i : 16 * i + 16, 8:40] = 0
        Image.fromarray(known).save(base / f"mask64/{i}.png")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] |= {"source": "../cat_face", "size": 16}
    values["vqgan"]["checkpoint"] = str(lab / "VQGAN.pt")
    values["train"]["checkpoint"] = str(lab / "transformer.pt")
    values["inpaint"] |= {"iterations": [2, 5], "batch_size": 3}
    values["score"]["baselines"] = ["biharmonic"]
    values["report"] |= {"iterations": 5, "grid": 2}
    folder = base / "project"
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    (folder / "presets.yaml").write_bytes((ROOT / "presets.yaml").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(train_vqgan_stage, "TokenizerTrainer", None)
        patch.setattr(train_transformer_stage, "TransformerTrainer", None)
        prepare.main()
        train_vqgan_stage.main()
        encode.main()
        train_transformer_stage.main()
        reference.main()
        yield folder


def test_the_study_runs_on_the_labs_models_and_trains_nothing(project):
    for method in ("cosine", "linear", "square", "one_pass"):
        inpaint.main(method)
        score.main(method)
    report.main()
    table = pd.read_csv(project / "reports/scores.csv")
    scored = table.dropna(subset="iterations").set_index(["schedule", "iterations"])
    settings = [(name, count) for name in ("cosine", "linear", "square") for count in (2, 5)]
    assert list(scored.index) == [*settings, ("one_pass", 1)] and (table["n"] == 4).all()
    for name in ("loss_tokenizer", "loss_transformer", "scores"):
        assert colours(project / f"reports/summary/{name}.png") >= cycle(1)


def test_so_does_the_labs_own_decoder(project):
    before = (project / "params.yaml").read_text()
    values = yaml.safe_load(before)
    values["inpaint"]["decoder"] = "lab"
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    inpaint.main("square")
    score.main("square")
    (project / "params.yaml").write_text(before)  # for the other tests, in any order
    assert list(pd.read_csv(project / "reports/scores/square.csv")["iterations"]) == [2, 5]
    assert len(list((project / "outputs/inpaint/square/5/imga").iterdir())) == 6


def test_known_pixels_and_known_tokens_stay(project, lab):
    images = np.load(project / "data/prepared/test.npy")
    hole = np.load(project / "data/prepared/test_holes.npy")
    models = load_tokenizer(lab), load_transformer(lab)
    inpainter = Inpainter(*models)
    tokens, hidden = inpainter.encode(images, hole)
    assert torch.equal(  # a token is known where its whole cell is
        hidden.view(4, 4, 4), torch.from_numpy(hole).view(4, 4, 4, 4, 4).any(dim=4).any(dim=2)
    )
    result = inpainter(images, hole, SCHEDULES["cosine"], 3, image_generators(0, range(4)))
    assert np.array_equal(result.images[~hole], images[~hole])
    assert torch.equal(result.trajectory.tokens[-1][~hidden], tokens[~hidden])
    assert result.trajectory.tokens[-1].max() < 40  # the mask token is never predicted
    spots = dict(
        LabInpainter(*models).sweep_iterations(
            images, hole, SCHEDULES["cosine"], [0, 2], 0, range(4)
        )
    )
    assert spots[2].images.shape == images.shape


def test_the_stages_say_where_the_models_came_from(project):
    for folder in ("vqgan", "transformer"):
        origin = json.loads((project / f"outputs/{folder}/imported.json").read_text())
        assert len(origin["sha256"]) == 64
        assert len(pd.read_csv(project / f"outputs/{folder}/history.csv")) == 1
    validation = np.load(project / "data/prepared/val.npy")
    picture = np.asarray(Image.open(project / "outputs/vqgan/reconstructions.png"))
    assert np.array_equal(picture[:16, :16], validation[0])
