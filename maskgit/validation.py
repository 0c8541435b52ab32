"""The base class of validated settings (pydantic), and the types that they share."""

import reprlib
from collections.abc import Iterable
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

S = TypeVar("S", bound="Section")

# Upper limits are far above any use. They stop a typing error before it takes all memory.
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
BatchSize = Annotated[int, Field(ge=1, le=2**16)]
MAX_SEED = 2**63 - 1
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


def one_of(allowed: Iterable[str]) -> AfterValidator:
    """Returns a validator that accepts these names only, as in `Annotated[str, one_of(NAMES)]`."""

    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"should be one of {', '.join(allowed)}")
        return value

    return AfterValidator(check)


def fault_of(error: ValidationError) -> str:
    """Returns the first fault of a ValidationError in one line: key, what is allowed, the value."""
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
    """A group of settings, immutable; unknown keys and values of wrong type are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def check_bool(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses true and false for numbers, which Python would take for 1 and 0."""
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError("should be neither true nor false")
        return value

    def part(self, kind: type[S]) -> S:
        """Returns only the settings of `kind`, a group that this one includes."""
        return kind(**{name: getattr(self, name) for name in kind.model_fields})

    def changed(self, **values: Any) -> Self:
        """Returns a copy with these values changed, validated as a new object is."""
        return type(self).model_validate(dict(self) | values)
