"""The registry: who becomes champion, and the model answering over HTTP as `mlflow` serves it."""

import ast
import base64
import io
import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from importlib.metadata import packages_distributions
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from PIL import Image

from maskgit.transformer import MaskedTransformer
from maskgit.vqgan import VQGAN
from pipeline.checkpoints import save_model
from pipeline.files import MODEL, PREPARED, TOKENIZER, TRANSFORMER
from pipeline.params import load_params
from pipeline.registry import NAME, REQUIREMENTS, Standing, beats, register
from pipeline.tracking import open_store
from test_dvc import ROOT, import_closure

OLD = Standing(12.0, 11.5, 12.5, "fid", 747, "a" * 64)
BETTER = replace(OLD, score=10.0, interval_low=9.5, interval_high=10.5)


def test_the_champion_falls_only_beyond_the_intervals_on_the_same_test_set():
    assert beats(BETTER, OLD)[0] and not beats(OLD, BETTER)[0] and not beats(OLD, OLD)[0]
    assert not beats(replace(BETTER, interval_high=11.5), OLD)[0]
    for change in ({"test_set_sha256": "b" * 64}, {"extractor": "kid"}, {"n": 746}):
        assert not beats(replace(BETTER, **change), OLD)[0]
    for end in ("interval_low", "interval_high"):
        assert not beats(replace(BETTER, interval_high=math.nan), OLD)[0]
        assert not beats(BETTER, replace(OLD, interval_low=math.nan))[0]
    assert not beats(BETTER, None)[0]


numbers = st.floats(0, 1e6)


@given(a=st.tuples(numbers, numbers, numbers), b=st.tuples(numbers, numbers, numbers))
def test_of_two_models_one_at_most_beats_the_other(a, b):
    first, second = (
        Standing(middle, low, high, "fid", 9, "t") for low, middle, high in map(sorted, (a, b))
    )
    assert not (beats(first, second)[0] and beats(second, first)[0])
    if beats(first, second)[0]:
        assert first.score < second.score


@given(numbers, st.floats(), st.floats(), st.integers(1))
def test_a_standing_survives_as_tags(score, low, high, n):
    standing = Standing(score, low, high, "fid", n, "t")
    tags = {key: str(value) for key, value in vars(standing).items()}
    assert str(vars(Standing.read(tags | {"more": "x"}))) == str(vars(standing))
    del tags["score"]
    assert Standing.read(tags) is None
