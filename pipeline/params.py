"""params.yaml, checked before any work: unknown keys, wrong types and values out of range stop.

An empty value (null) is filled from the preset in presets.yaml. Every stage calls `load_params()`
and sees plain, typed sections; the fields here say what is allowed.
"""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from maskgit.schedules import SCHEDULES
from pipeline.errors import UserError


def one_of(allowed) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"should be one of {', '.join(allowed)}")
        return value

    return AfterValidator(check)


# As in maskgit.decoders and maskgit.baselines, which would load torch and scikit-image.
DECODERS = ("confidence", "halton", "lab")
BASELINES = ("mean_colour", "telea", "biharmonic")

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
ScheduleName = Annotated[str, one_of(SCHEDULES)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    source: str
    count: Annotated[int, Field(ge=16)]
    size: Annotated[int, Field(ge=16, le=256, multiple_of=4)]
    fit: Literal["crop", "pad"]
    min_side: Count
    validation: Annotated[float, Field(gt=0, lt=0.5)]
    test: Annotated[int, Field(ge=4)] | Annotated[float, Field(gt=0, lt=0.5)]
    holes: Literal["box", "strokes", "mixture"]
    hole_area: tuple[Share, Share]

    @model_validator(mode="after")
    def check_area(self) -> "Data":
        low, high = self.hole_area
        if not 0.01 <= low <= high <= 0.6:
            raise ValueError("hole_area should be two shares from 0.01 to 0.6, the smaller first")
        return self


class Vqgan(Section):
    channels: Annotated[int, Field(ge=16, multiple_of=16)]
    encoder_blocks: Annotated[int, Field(ge=0)]
    decoder_blocks: Annotated[int, Field(ge=0)]
    latent_dim: Annotated[int, Field(ge=2)]
    codebook_size: Annotated[int, Field(ge=2, le=65535)]
    steps: Count
    batch_size: Count
    learning_rate: Positive
    warmup: Count
    commitment_weight: NotNegative
    perceptual_weight: NotNegative
    adversarial_weight: NotNegative
    discriminator_start: Share
    evaluations: Count


class Encode(Section):
    batch_size: Count


class Train(Section):
    gamma: ScheduleName
    dim: Annotated[int, Field(ge=8)]
    heads: Count
    layers: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    steps: Count
    batch_size: Count
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


class Lab(Section):
    total: Annotated[int, Field(ge=2)]
    keep_tokens: bool
    cooling: bool
    count_from_start: bool
    paste: bool


class Inpaint(Section):
    decoder: Annotated[str, one_of(DECODERS)]
    split: Literal["val", "test"]
    iterations: Annotated[list[Annotated[int, Field(ge=1, le=1024)]], Field(min_length=1)]
    temperature: Positive
    choice_temperature: NotNegative
    seamless: bool
    batch_size: Count
    lab: Lab

    @model_validator(mode="after")
    def check_sweet_spots(self) -> "Inpaint":
        if self.decoder == "lab" and max(self.iterations) >= self.lab.total:
            raise ValueError(
                f"iterations {self.iterations} are sweet spots of decoder lab and should be "
                f"less than lab.total ({self.lab.total})"
            )
        return self


class Score(Section):
    extractor: Literal["auto", "inception", "efficientnet_lite0"]
    weights: str | None
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

    @model_validator(mode="after")
    def check_headline(self) -> "Params":
        if self.report.iterations not in self.inpaint.iterations:
            raise ValueError(
                f"report.iterations ({self.report.iterations}) should be one of "
                f"inpaint.iterations {self.inpaint.iterations}"
            )
        return self


def fill_from_preset(values: dict, presets: dict) -> dict:
    """Values that are empty take the preset's; everything else stays as it is."""
    if values.get("preset") not in presets:
        raise UserError(
            f"params.yaml: preset: should be one of {', '.join(presets)}, "
            f"but it is {values.get('preset')!r}"
        )
    filled = dict(values)
    for name, defaults in presets[values["preset"]].items():
        section = filled.get(name)
        if isinstance(section, dict):
            empty = {key: value for key, value in defaults.items() if section.get(key) is None}
            filled[name] = section | empty
    return filled


def one_line(error: ValidationError) -> str:
    """The first fault of a ValidationError: the key, what is allowed, and what stood there."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"] if isinstance(part, str | int))
    if fault["type"] == "extra_forbidden":
        return f"'{key}' is not a parameter; params.yaml in the repository lists them all"
    if fault["type"] == "missing":
        return f"'{key}' is missing"
    message = fault["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if isinstance(fault["input"], dict):
        return f"{key + ': ' if key else ''}{message}"
    return f"{key}: {message}, but it is {fault['input']!r}"


def read_yaml(path: Path) -> dict:
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path.name}: expected sections like 'data:' and 'train:'")
    return values


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
