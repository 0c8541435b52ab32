"""How holes are filled: which decoder, how it draws, how pixels come back. Loads no network.

The same settings stand in params.yaml, in the config of a model folder and in the registry.
"""

import reprlib
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from maskgit.inpainting.registry import DECODERS
from maskgit.schedules import NAMES

TEMPERATURE, CHOICE_TEMPERATURE = 1.0, 4.5  # as MaskGIT draws

# Upper limits are far above any use: they stop a slip of the keyboard before it takes all memory.
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Iterations = Annotated[int, Field(ge=1, le=1024)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def one_of(allowed) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"should be one of {', '.join(allowed)}")
        return value

    return AfterValidator(check)


ScheduleName = Annotated[str, one_of(NAMES)]


def fault_of(error: ValidationError) -> str:
    """The first fault of a ValidationError: the key, what is allowed, and what stood there."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"] if isinstance(part, str | int))
    if fault["type"] == "extra_forbidden":
        return f"'{key}' is not a parameter"
    if fault["type"] == "missing":
        return f"'{key}' is missing"
    message = fault["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if isinstance(fault["input"], dict):
        return f"{key + ': ' if key else ''}{message}"
    return f"{key}: {message}, but it is {reprlib.repr(fault['input'])}"


class Section(BaseModel):
    """Values that are checked: unknown keys and wrong types are refused (pydantic)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def check_bool(cls, value: Any, info: ValidationInfo) -> Any:
        """Python would take true for the number 1."""
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError("should be neither true nor false")
        return value

    def changed(self, **values: Any) -> Self:
        """Returns a copy with other values, checked as those of any new object."""
        return type(self).model_validate(dict(self) | values)


class LabChoices(Section):
    """The lab's decoder: the run's length, and which of its choices are put right. All False: the
    original."""

    total: Annotated[int, Field(ge=2, le=1024)] = 12  # iterations of the run; results are steps
    keep_tokens: bool = False  # tokens stay tokens; the lab encodes its own output again
    cooling: bool = False  # temperature falls to 0; the lab's rises from 0
    count_from_start: bool = False  # a share of what was hidden first; the lab's compounds
    paste: bool = False  # known pixels come back; the lab keeps none

    def check_sweet_spot(self, iterations: int) -> None:
        """Raises ValueError where the sweet spot, an index from 0, lies outside the run."""
        if iterations >= self.total:
            raise ValueError(
                f"iterations ({iterations}) are sweet spots of decoder lab and should be "
                f"less than lab.total ({self.total})"
            )


class Sampler(Section):
    """How tokens are drawn and pixels put back.

    The temperatures are those of the decoder: each decoder takes the ones that it has.
    """

    decoder: Annotated[str, one_of(DECODERS)] = "confidence"
    temperature: Positive = TEMPERATURE
    choice_temperature: NotNegative = CHOICE_TEMPERATURE
    guidance: NotNegative = 0.0
    best_of: Annotated[int, Field(ge=1, le=64)] = 1
    seamless: bool = True
    lab: LabChoices = LabChoices()

    def check_iterations(self, iterations: int) -> None:
        """Raises ValueError where the decoder has no use for that many."""
        DECODERS[self.decoder].check(self, iterations)


class Decoding(Sampler):
    """How a model fills holes unless it is told otherwise; kept beside it."""

    gamma: ScheduleName
    iterations: Iterations
    seed: Seed

    @model_validator(mode="after")
    def iterations_suit_the_decoder(self) -> "Decoding":
        self.check_iterations(self.iterations)
        return self
