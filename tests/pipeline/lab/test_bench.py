"""The bench is a fair race, and its ways differ only where they say so. No time is asserted."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from maskgit.device import bf16_is_faster
from maskgit.lab.tokenizer import LabVQGAN
from maskgit.scoring.distances import frechet_distance
from maskgit.tokenizer.vqgan import VQGAN
from pipeline.bench import growth, memory, run
from pipeline.bench.models import parameter_count
from pipeline.bench.race import count_flops
from pipeline.bench.steps import STEPS, train
from pipeline.cli import app
from pipeline.lab.way import (
    ExplicitAttention,
    TrainingChoices,
    hidden_only_loss,
    lab_frechet_distance,
    lab_loss,
    train_lab_transformer,
    with_explicit_attention,
)
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import load_params

TINY = replace(
    run.size_of("laptop"),
    trained={"channels": 16, "decoder_blocks": 1},
    train=(2, 1),
    tokenizer_batch=2,
    inpaint_images=2,
    repeats=1,
    features=(20, 16),
    files=3,
)
from tests.clone import ROOT


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("params.yaml", "presets.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "size_of", lambda preset: TINY)
    return tmp_path


@pytest.fixture
def drawn(token_models):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(32, (2, 256), generator=generator)
    return token_models[1], tokens, torch.rand(2, 256, generator=generator) < 0.5


@pytest.mark.parametrize("preset", ["laptop", "lab"])
def test_both_tokenizers_that_are_trained_have_as_many_parameters(preset):
    size = run.size_of(preset)
    with torch.device("meta"):
        theirs, ours = LabVQGAN(**size.lab_tokenizer), VQGAN(**size.trained)
    assert parameter_count(ours) == pytest.approx(parameter_count(theirs), rel=0.05)


def test_the_labs_tokenizer_at_lab_size_is_the_labs():
    with torch.device("meta"):
        assert parameter_count(LabVQGAN(**run.size_of("lab").lab_tokenizer)) == 70_775_299


def test_explicit_attention_shares_the_parameters_and_predicts_the_same(drawn):
    model, tokens, _ = drawn
    twin = with_explicit_attention(model)
    assert parameter_count(twin) == parameter_count(model)
    assert {id(p) for p in twin.parameters()} == {id(p) for p in model.parameters()}
    assert all(isinstance(block.attention, ExplicitAttention) for block in twin.blocks)
    assert not any(isinstance(block.attention, ExplicitAttention) for block in model.blocks)
    torch.testing.assert_close(twin(tokens), model(tokens))


def test_logits_of_hidden_tokens_are_those_of_all_tokens(drawn):
    model, tokens, hidden = drawn
    all_logits = model(model.hide(tokens, hidden))
    expected = torch.nn.functional.cross_entropy(all_logits[hidden], tokens[hidden])
    torch.testing.assert_close(hidden_only_loss(model, tokens, hidden), expected)


def test_the_labs_loss_takes_its_softmax_over_positions(drawn):
    model, tokens, hidden = drawn
    log_share = model(model.hide(tokens, hidden)).log_softmax(dim=1)  # over the 256 places
    chosen = log_share.gather(2, tokens[:, :, None])
    # of one image: minus the sum over its places, spread over the codes' columns
    expected = -chosen.sum() / (len(tokens) * model.mask_token)
    torch.testing.assert_close(lab_loss(model, tokens, hidden), expected)


@pytest.mark.parametrize(
    ("choices", "same"), [({"fused_attention": True}, True), ({"hidden_only": True}, False)]
)
def test_our_choices_change_the_loss_only_where_they_should(models, choices, same):
    tokenizer, model = models
    images = np.random.default_rng(0).integers(256, size=(4, 64, 64, 3), dtype=np.uint8)

    def first_loss(**choices):
        torch.manual_seed(0)
        adamw = [torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)]
        training = train_lab_transformer(
            model, tokenizer, images, images[:, 0, 0], 2, adamw, TrainingChoices(**choices)
        )
        return next(training)

    assert (first_loss(**choices) == pytest.approx(first_loss(), rel=1e-4)) == same


def test_stored_tokens_are_what_the_tokenizer_would_encode(models):
    tokenizer, model = models
    images = np.random.default_rng(0).integers(256, size=(4, 64, 64, 3), dtype=np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    stored = tokenizer.encode(pixels).flatten(1).numpy()
    losses = []
    for choices in (TrainingChoices(), TrainingChoices(stored_tokens=True)):
        torch.manual_seed(0)
        adamw = [torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)]
        training = train_lab_transformer(model, tokenizer, images, stored, 2, adamw, choices)
        losses.append(next(training))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_both_distances_agree():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((200, 16)), rng.standard_normal((200, 16)) + 0.5
    assert frechet_distance(a, b).value == pytest.approx(lab_frechet_distance(a, b), rel=1e-6)


def test_the_labs_training_step_needs_more_operations_than_ours(project):
    race = train(load_params(preset="tiny"), TINY, project)
    flops = {way.name: count_flops(way.run)[0] for way in race.ways}
    assert race.ways[0].name == "lab"
    assert race.ways[-1].name == "ours"
    assert 0 < flops["ours"] < flops["lab"]
    assert flops["lab + stored tokens"] < flops["lab + our tokenizer"] < flops["lab"]
    assert flops["lab + fused attention"] == flops["lab"]
    assert ("lab + bf16" in flops) == bf16_is_faster(torch.device("cpu"))


def test_the_whole_bench_writes_its_table(project):
    run.run_bench("tiny", list(STEPS), repeats=1)
    table = pd.read_csv(project / "reports/bench.csv")
    columns = ["step", "preset", "lab_seconds", "ours_seconds", "ratio", "ratio_low", "ratio_high"]
    assert set(columns) <= set(table.columns)
    ours = table[table["way"] == "ours"].set_index("step")
    assert list(ours.index) == list(STEPS)
    assert ours[["lab_seconds", "ours_seconds", "ratio"]].notna().all(axis=None)
    assert ours.loc["score", "difference"] < run.EQUAL
    assert (ours.loc[["train", "inpaint", "train_vqgan"], "flop_ratio"] > 0).all()


def test_growth_measures_memory_and_steps(project):
    images, tokens = project / "images.npy", project / "tokens.npy"
    growth.write_rows(images, np.uint8, 256, (64, 16, 16, 3), 0)
    growth.write_rows(tokens, np.uint16, 1024, (2, 64, 64), 1)
    for work in ("train", "encode"):  # encode writes tokens of its own
        measured = memory.measure(work, images, tokens)
        assert set(measured) == {"own_mb", "files_mb", "seconds"}
        assert all(value > 0 for value in measured.values())
    assert np.load(tokens).shape == (2, 64, 16)
    measured = memory.measure("prepare", 160, project / "prepared")
    assert set(measured) == {"own_mb", "files_mb", "seconds"}
    assert len(pd.read_csv(project / "prepared/manifest.csv")) == 160
    step = growth.time_step(load_params(preset="tiny"), 8, repeats=1)
    assert step["tokens"] == 64
    assert 0 < step["parameters"] < 1e6


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--size", "huge"], "laptop or lab"), (["--only", "tea"], "'tea'")]
)
def test_wrong_arguments_are_told_in_one_line(project, arguments, said):
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert isinstance(result.exception, SystemExit | UserError)
    assert said in str(result.exception)
