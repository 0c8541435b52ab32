"""Reads and validates params.yaml: unknown keys, wrong types and values out of range are refused.

The value `preset` is replaced by that of the preset in presets.yaml; an empty value means none.
Every stage calls `load_params()` and gets typed sections; the fields here declare what is allowed.
"""

import os
import re
import reprlib
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from maskgit.data.holes import HOLES
from maskgit.feed_forward.settings import UNetConfig
from maskgit.inpainting.settings import Decoding, Iterations, Sampler, ScheduleName
from maskgit.mean.settings import MeanDecoderSize
from maskgit.schedules import NAMES, SCHEDULES
from maskgit.scoring.baselines import BASELINES, BOUNDS
from maskgit.scoring.networks import EXTRACTORS
from maskgit.tokenizer.settings import TokenizerConfig, TokenizerTraining
from maskgit.training.settings import DrawingTraining
from maskgit.transformer.settings import TransformerSize, TransformerTraining
from maskgit.validation import BatchSize, Count, Section, Seed, Share, fault_of, one_of
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.importers import IMPORTERS
from pipeline.plumbing.places import MODEL_FOLDER, project_root
from pipeline.plumbing.yaml_files import read_yaml

FROM_PRESET = "preset"  # the value in params.yaml that stands for the preset's

# `~` is the user's home: shells do not expand it after an option's `=`, nor in params.yaml.
UserPath = Annotated[str, Field(min_length=1), AfterValidator(os.path.expanduser)]


def drawn_or_path(value: str) -> str:
    """Accepts a kind of hole, or what looks like the path of a folder or zip of masks."""
    if value in HOLES or "/" in value or value.lower().endswith(".zip"):
        return os.path.expanduser(value)
    raise ValueError(
        f"should be one of {', '.join(HOLES)}, or the path of a folder or zip of masks, "
        "with a slash or .zip in it"
    )


HoleKind = Annotated[str, AfterValidator(drawn_or_path)]
TrainingSchedule = Annotated[str, one_of(SCHEDULES)]  # `entropic` needs a trained transformer


def one_or_several(value: Any) -> Any:
    """Returns a list of a name alone, and any other value as it is."""
    return [value] if isinstance(value, str) else value


READ_AS_MISSING = {"NA", "NaN", "nan", "NULL", "null", "None"}  # by pandas, in tables
COARSEST_DRAFT = 8  # pixels, see `maskgit.data.drafts`
LEAST_TRAINED = 0.5  # share of the images, see `maskgit.data.splits`

Several = (BeforeValidator(one_or_several), Field(min_length=1))  # of a list, or a name alone


class Data(Section):
    """Section `data`: the images, their size and splits, and their holes."""

    source: UserPath
    follow_links: bool = False
    count: Annotated[int, Field(ge=16, le=10**7)]
    size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)]
    fit: Literal["crop", "pad"]
    min_side: Count
    near_copies: bool = True
    crops: Annotated[int, Field(ge=0, le=64)]
    windows: Annotated[int, Field(ge=0, le=64)] = 0
    validation: Annotated[float, Field(gt=0, lt=0.5)]
    test: int | float
    holes: Annotated[list[HoleKind], *Several]
    hole_area: tuple[Share, Share]

    @property
    def drawn_kinds(self) -> list[str]:
        """The kinds among `holes` that are drawn, for timings; `mixture` where all are of files."""
        return [kind for kind in self.holes if kind in HOLES] or ["mixture"]

    @property
    def mask_sets(self) -> list[str]:
        """The paths of mask files among `holes`."""
        return [kind for kind in self.holes if kind not in HOLES]

    @property
    def hole_kinds(self) -> list[str]:
        """The names of `holes` in tables: of mask files the name of their folder or zip."""
        return [kind if kind in HOLES else Path(kind).name for kind in self.holes]

    @field_validator("test", mode="before")
    @classmethod
    def check_test(cls, value: Any) -> Any:
        number, share = type(value) is int, type(value) is float
        if not (number and 4 <= value <= 10**7) and not (share and 0 < value < 0.5):
            raise ValueError("should be a number of images from 4, or a share below 0.5")
        return value

    @model_validator(mode="after")
    def check_shares(self) -> "Data":
        share = self.test if isinstance(self.test, float) else 0
        if (1 - share) * (1 - self.validation) < LEAST_TRAINED:
            raise ValueError(
                "test and validation leave less than half of the images to train; lower one of them"
            )
        return self

    @model_validator(mode="after")
    def check_names_of_mask_sets(self) -> "Data":
        names = [Path(path).name for path in dict.fromkeys(self.mask_sets)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sets of masks are called {name}; rename one of them")
            if name in HOLES or name in READ_AS_MISSING:
                raise ValueError(f"a set of masks may not be called {name}; rename it")
        return self

    @model_validator(mode="after")
    def check_area(self) -> "Data":
        low, high = self.hole_area
        if not 0.01 <= low <= high <= 0.6:
            raise ValueError("hole_area should be two shares from 0.01 to 0.6, the smaller first")
        return self

    @model_validator(mode="after")
    def check_windows(self) -> "Data":
        if self.crops and self.windows:
            raise ValueError(
                "windows makes all splits of windows, crops adds some to the training images; "
                "set one of them to 0"
            )
        return self

    @property
    def cuts(self) -> int:
        """The number of windows that are cut of each picture."""
        return self.crops + self.windows

    @property
    def training_images(self) -> int:
        """The number of images in the train split that a picture gives."""
        return self.windows or 1 + self.crops


Steps = Annotated[int, Field(ge=0, le=10**9)]  # of a training that may be left out


class Vqgan(TokenizerConfig, TokenizerTraining):
    """Section `vqgan`: the tokenizer and its training."""

    checkpoint: UserPath | None


class Encode(Section):
    """Section `encode`: the tokens that are stored for training."""

    views: Annotated[int, Field(ge=1, le=256)]
    batch_size: BatchSize


class Train(TransformerSize, TransformerTraining):
    """Section `train`: the transformer and its training."""

    steps: Steps
    start_from: UserPath | None
    checkpoint: UserPath | None
    gamma: TrainingSchedule
    pixels: bool


class MeanDecoder(MeanDecoderSize, DrawingTraining):
    """Section `mean_decoder`: the decoder of mean codes and its training."""

    steps: Steps


ONE_PASS = "one_pass"  # a method beside the schedules: the most likely codes, in one step
MEAN = "mean"  # a method beside the schedules: the mean codes, see `maskgit.inpainting.mean`
ROWS_OF_GRIDS = "true", "hole"  # see `pipeline.reporting.grids`
OTHER_METHOD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class Inpaint(Sampler):
    """Section `inpaint`: how the holes of a split are filled."""

    split: Literal["val", "test"]
    iterations: Annotated[list[Iterations], Field(min_length=1)]
    fills: Annotated[int, Field(ge=1, le=64)]
    batch_size: BatchSize

    def plan(self, method: str) -> tuple[list[int], int]:
        """Returns a method's numbers of iterations, and how often it fills each hole."""
        once = method in (ONE_PASS, MEAN)
        return ([1], 1) if once else (sorted(set(self.iterations)), self.fills)

    @model_validator(mode="after")
    def iterations_suit_the_decoder(self) -> "Inpaint":
        self.check_iterations(max(self.iterations))
        return self

    @model_validator(mode="after")
    def a_medoid_is_one_of_three_or_more(self) -> "Inpaint":
        if self.choose == "medoid" and self.best_of < 3:
            raise ValueError("choose=medoid needs best_of of 3 or more: two are equally far apart")
        return self


class Score(Section):
    """Section `score`: networks and baselines of the scores."""

    extractor: Annotated[list[Literal[EXTRACTORS]], *Several]
    weights: UserPath | None
    lpips: UserPath | None
    baselines: list[Annotated[str, one_of(BASELINES)]]
    others: dict[str, UserPath] = Field(default_factory=dict)

    @field_validator("others", mode="before")
    @classmethod
    def none_or_some(cls, value: Any) -> Any:
        return {} if value is None else value

    @field_validator("others")
    @classmethod
    def check_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not OTHER_METHOD.fullmatch(name):
                raise ValueError(f"{name!r} should have letters, digits and _ only, a letter first")
            if name in {*NAMES, *BASELINES, ONE_PASS, MEAN, *BOUNDS}:
                raise ValueError(f"{name!r} is a row of the tables already; choose another name")
            if name in ROWS_OF_GRIDS:
                raise ValueError(f"{name!r} is a row of the pictures already; choose another name")
            if name in READ_AS_MISSING:
                raise ValueError(f"{name!r} would be read as missing; choose another name")
        return value


class FeedForward(UNetConfig, DrawingTraining):
    """Section `feed_forward`: a network to compare with, and its training."""


class Report(Section):
    """Section `report`: the headline's iterations, and the grid of pictures."""

    iterations: Count
    grid: Annotated[int, Field(ge=1, le=64)]


class Study(Section):
    """Section `study`: the study of decoders and schedules, study/dvc.yaml."""

    fills: Annotated[int, Field(ge=1, le=64)] = 1


class Origin(Enum):
    """Where networks were trained: all here, a part elsewhere or before, or all elsewhere."""

    HERE = "here"
    BOTH = "both"
    ELSEWHERE = "elsewhere"


class Params(Section):
    """The content of params.yaml."""

    gamma: ScheduleName
    seed: Seed
    drafts: Share
    preset: str
    data: Data
    vqgan: Vqgan
    encode: Encode
    train: Train
    mean_decoder: MeanDecoder
    inpaint: Inpaint
    score: Score
    feed_forward: FeedForward
    report: Report
    study: Study = Study()

    @property
    def keeps_transformer(self) -> bool:
        """Whether the transformer of `train.start_from` is taken as it is."""
        return self.train.start_from is not None and not self.train.steps

    @property
    def origin(self) -> Origin:
        """Where the networks were trained."""
        if self.keeps_transformer or self.train.checkpoint:
            return Origin.ELSEWHERE
        if self.train.start_from or self.vqgan.checkpoint:
            return Origin.BOTH
        return Origin.HERE

    @property
    def teaches_mean(self) -> bool:
        """Whether a decoder of mean codes is taught, for the reading `mean`."""
        return self.mean_decoder.steps > 0 and not self.vqgan.checkpoint

    @property
    def keeps_mean(self) -> bool:
        """Whether the decoder of mean codes is that of `train.start_from`, where it has one."""
        return self.keeps_transformer and not self.mean_decoder.steps

    @property
    def headline(self) -> tuple[str, int]:
        """The method and the iterations of the headline."""
        if self.inpaint.reading == "mean":
            return MEAN, 1
        return self.gamma, self.report.iterations

    @property
    def decoding(self) -> Decoding:
        """The headline's settings, with which the report registers the model."""
        sampler = self.inpaint.model_dump(include=set(Sampler.model_fields))
        return Decoding(
            **sampler, gamma=self.gamma, iterations=self.report.iterations, seed=self.seed
        )

    @model_validator(mode="after")
    def check_start(self) -> "Params":
        start, made = self.train.start_from, project_root() / MODEL_FOLDER
        if start and (project_root() / start).resolve() == made.resolve():
            raise ValueError(
                f"train.start_from is {MODEL_FOLDER}, which each run writes anew; copy it with "
                "'maskgit export my-model', and name the copy"
            )
        return self

    @model_validator(mode="after")
    def check_checkpoints(self) -> "Params":
        if self.train.start_from and (self.train.checkpoint or self.vqgan.checkpoint):
            raise ValueError(
                "train.start_from brings both models; leave vqgan.checkpoint and train.checkpoint "
                "empty"
            )
        if not (self.train.steps or self.train.start_from or self.train.checkpoint):
            raise ValueError(
                "train.steps is 0, which keeps the transformer of train.start_from; name a model "
                "folder there, or set train.steps"
            )
        if self.train.checkpoint and not self.vqgan.checkpoint:
            raise ValueError(
                "train.checkpoint needs vqgan.checkpoint: a transformer knows only the tokens of "
                "the tokenizer that it was trained with"
            )
        return self

    @model_validator(mode="after")
    def check_drafts(self) -> "Params":
        if self.drafts and (self.vqgan.checkpoint or not self.train.pixels):
            raise ValueError(
                "drafts are seen in the known pixels: leave vqgan.checkpoint empty and set "
                "train.pixels=true, or set drafts=0"
            )
        if self.drafts and self.data.size % COARSEST_DRAFT:
            raise ValueError("drafts need a data.size in steps of 8; or set drafts=0")
        return self

    @model_validator(mode="after")
    def check_reading(self) -> "Params":
        if self.inpaint.reading == "mean" and not (self.teaches_mean or self.keeps_mean):
            raise ValueError(
                "inpaint.reading is mean, which needs a decoder of mean codes; set "
                "mean_decoder.steps, and leave vqgan.checkpoint empty"
            )
        return self

    @model_validator(mode="after")
    def check_importers(self) -> "Params":
        for name, section in (("vqgan", self.vqgan), ("train", self.train)):
            if section.checkpoint and name not in IMPORTERS:
                raise ValueError(
                    f"{name}.checkpoint: no importer for it is installed; leave it empty"
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
    """Replaces values `preset` by those of the preset. Raises UserError where it has none."""
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
            if name == "inpaint" and imported and "train" in IMPORTERS:
                given = given | IMPORTERS["train"].inpaint
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
    """Returns the value, a mapping. Raises UserError where it is none."""
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected 'key: value', but it is {reprlib.repr(value)}")
    return value


def one_line(error: ValidationError) -> str:
    """Returns `fault_of`, with a hint for unknown parameters."""
    line = fault_of(error)
    unknown = line.endswith("is not a parameter")
    return line + ("; params.yaml in the repository lists them all" if unknown else "")


def load_params(folder: Path = Path(), preset: str | None = None) -> Params:
    """Reads and validates params.yaml, with another `preset` if one is given.

    Raises UserError in one line that names the key.
    """
    values = read_yaml(folder / "params.yaml") | ({"preset": preset} if preset else {})
    values = fill_from_preset(values, read_yaml(folder / "presets.yaml"))
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"params.yaml: {one_line(error)}") from None
