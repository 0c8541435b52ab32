"""params.yaml, checked before any work: unknown keys, wrong types and values out of range stop.

A value `preset` is filled from the preset in presets.yaml; an empty one means none. Every stage
calls `load_params()` and sees plain, typed sections; the fields here say what is allowed.
"""

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from maskgit.inpainting.settings import (
    Decoding,
    Iterations,
    NotNegative,
    Positive,
    Sampler,
    ScheduleName,
    Section,
    Seed,
    fault_of,
    one_of,
)
from maskgit.schedules import SCHEDULES
from maskgit.tokenizer.codebook_sizes import CODES
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.yaml_files import read_yaml

FROM_PRESET = "preset"  # stands in params.yaml for the preset's value

# As in scoring.baselines and data.holes, which would load much.
BASELINES = ("mean_colour", "telea", "biharmonic", "patchmatch")
HOLES = (
    *("box", "strokes", "mixture", "thin", "medium", "thick"),
    *("half", "expand", "every_second_line", "super_resolution"),
)

# Upper limits are far above any use: they stop a slip of the keyboard before it takes all memory.
Count = Annotated[int, Field(ge=1, le=10**9)]
BatchSize = Annotated[int, Field(ge=1, le=2**16)]
Blocks = Annotated[int, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
TrainingSchedule = Annotated[str, one_of(SCHEDULES)]  # there is nothing to measure yet


class Data(Section):
    source: Annotated[str, Field(min_length=1)]
    count: Annotated[int, Field(ge=16, le=10**7)]
    size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)]
    fit: Literal["crop", "pad"]
    min_side: Count
    crops: Annotated[int, Field(ge=0, le=64)]
    validation: Annotated[float, Field(gt=0, lt=0.5)]
    test: Annotated[int, Field(ge=4, le=10**7)] | Annotated[float, Field(gt=0, lt=0.5)]
    holes: Annotated[list[Annotated[str, one_of(HOLES)]], Field(min_length=1)]
    hole_area: tuple[Share, Share]

    @field_validator("holes", mode="before")
    @classmethod
    def one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def check_area(self) -> "Data":
        low, high = self.hole_area
        if not 0.01 <= low <= high <= 0.6:
            raise ValueError("hole_area should be two shares from 0.01 to 0.6, the smaller first")
        return self


class Vqgan(Section):
    checkpoint: Annotated[str, Field(min_length=1)] | None
    cell: Literal[4, 8, 16]
    channels: Annotated[int, Field(ge=16, le=8192, multiple_of=16)]
    encoder_blocks: Blocks
    decoder_blocks: Blocks
    latent_dim: Annotated[int, Field(ge=2, le=4096)]
    quantizer: Annotated[str, one_of(CODES)]
    codebook_size: Annotated[int, Field(ge=2, le=65535)]
    steps: Count
    batch_size: BatchSize
    learning_rate: Positive
    warmup: Count
    commitment_weight: NotNegative
    perceptual_weight: NotNegative
    adversarial_weight: NotNegative
    discriminator_start: Share
    evaluations: Count

    @model_validator(mode="after")
    def check_codebook_size(self) -> "Vqgan":
        CODES[self.quantizer](self.codebook_size)
        return self


class Encode(Section):
    views: Annotated[int, Field(ge=1, le=256)]
    batch_size: BatchSize


class Train(Section):
    start_from: Annotated[str, Field(min_length=1)] | None
    checkpoint: Annotated[str, Field(min_length=1)] | None
    gamma: TrainingSchedule
    pixels: bool
    dim: Annotated[int, Field(ge=8, le=16384)]
    heads: Count
    layers: Annotated[int, Field(ge=1, le=1000)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    steps: Count
    batch_size: BatchSize
    learning_rate: Positive
    warmup: Count
    weight_decay: NotNegative
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    gradient_clip: Positive
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    hole_share: Share
    evaluations: Count

    @model_validator(mode="after")
    def check_heads(self) -> "Train":
        if self.dim % self.heads:
            raise ValueError(f"dim ({self.dim}) should be a multiple of heads ({self.heads})")
        return self


ONE_PASS = "one_pass"  # beside the schedules: the most likely codes, all in one step


class Inpaint(Sampler):
    split: Literal["val", "test"]
    iterations: Annotated[list[Iterations], Field(min_length=1)]
    fills: Annotated[int, Field(ge=1, le=64)]
    batch_size: BatchSize

    def plan(self, method: str) -> tuple[list[int], int]:
        """The numbers of iterations, and how often each hole is filled, by a schedule."""
        return ([1], 1) if method == ONE_PASS else (sorted(set(self.iterations)), self.fills)

    @model_validator(mode="after")
    def check_sweet_spots(self) -> "Inpaint":
        self.check_sweet_spot(max(self.iterations))
        return self


class Score(Section):
    extractor: Literal["auto", "inception", "efficientnet_lite0"]
    weights: str | None
    lpips: str | None
    baselines: list[Annotated[str, one_of(BASELINES)]]


class Report(Section):
    iterations: Count
    grid: Annotated[int, Field(ge=1, le=64)]


class Params(Section):
    gamma: ScheduleName
    seed: Seed
    preset: str
    data: Data
    vqgan: Vqgan
    encode: Encode
    train: Train
    inpaint: Inpaint
    score: Score
    report: Report

    @property
    def decoding(self) -> Decoding:
        """The headline's, with which the report registers its models."""
        sampler = self.inpaint.model_dump(include=set(Sampler.model_fields))
        return Decoding(
            **sampler, gamma=self.gamma, iterations=self.report.iterations, seed=self.seed
        )

    @model_validator(mode="after")
    def check_checkpoints(self) -> "Params":
        if self.train.start_from and (self.train.checkpoint or self.vqgan.checkpoint):
            raise ValueError(
                "train.start_from brings both models; leave vqgan.checkpoint and train.checkpoint "
                "empty"
            )
        if self.train.checkpoint and not self.vqgan.checkpoint:
            raise ValueError(
                "train.checkpoint needs vqgan.checkpoint: a transformer knows only the tokens of "
                "the tokenizer that it was trained with"
            )
        return self

    @model_validator(mode="after")
    def check_size(self) -> "Params":
        brought = self.vqgan.checkpoint or self.train.start_from
        if not brought and self.data.size % self.vqgan.cell:
            raise ValueError(
                f"data.size ({self.data.size}) should be a multiple of vqgan.cell "
                f"({self.vqgan.cell})"
            )
        return self

    @model_validator(mode="after")
    def check_lpips(self) -> "Params":
        if self.score.lpips and self.data.size < 32:
            raise ValueError(f"score.lpips needs data.size of at least 32, not {self.data.size}")
        return self

    @model_validator(mode="after")
    def check_headline(self) -> "Params":
        if self.report.iterations not in self.inpaint.iterations:
            raise ValueError(
                f"report.iterations ({self.report.iterations}) should be one of "
                f"inpaint.iterations {self.inpaint.iterations}"
            )
        return self


def fill_from_preset(values: dict, presets: dict) -> dict:
    """Values that say `preset` take the preset's; everything else stays as it is."""
    preset = values.get("preset")
    if not isinstance(preset, str) or preset not in presets:
        raise UserError(
            f"params.yaml: preset: should be one of {', '.join(map(str, presets))}, "
            f"but it is {reprlib.repr(preset)}"
        )
    described = sections(presets[preset], f"presets.yaml: {preset}")
    train, filled = values.get("train"), dict(values)
    imported = isinstance(train, dict) and train.get("checkpoint") is not None
    for name, section in values.items():
        if isinstance(section, dict):
            given = sections(described.get(name, {}), f"presets.yaml: {preset}.{name}")
            if name == "inpaint" and imported:  # the preset's suits what it trains
                given = given | {"temperature": 1.0, "choice_temperature": 4.5, "guidance": 0.0}
            asked = [key for key, value in section.items() if value == FROM_PRESET]
            unknown = [key for key in asked if key not in given]
            if unknown:
                raise UserError(
                    f"params.yaml: {name}.{unknown[0]}: preset {preset} says nothing of it "
                    "(presets.yaml); write a value"
                )
            filled[name] = section | {key: given[key] for key in asked}
    return filled


def sections(value: object, where: str) -> dict:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected 'key: value', but it is {reprlib.repr(value)}")
    return value


def one_line(error: ValidationError) -> str:
    """`fault_of` params.yaml."""
    line = fault_of(error)
    unknown = line.endswith("is not a parameter")
    return line + ("; params.yaml in the repository lists them all" if unknown else "")


def load_params(folder: Path = Path(), preset: str | None = None) -> Params:
    """Reads and checks params.yaml, with another `preset` if one is given.

    Raises UserError with one line that names the key.
    """
    values = read_yaml(folder / "params.yaml") | ({"preset": preset} if preset else {})
    values = fill_from_preset(values, read_yaml(folder / "presets.yaml"))
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"params.yaml: {one_line(error)}") from None
