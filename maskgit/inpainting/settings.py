"""How holes are filled: which decoder, how it draws, how pixels come back. Loads no network.

The same settings stand in params.yaml, in the config of a model folder and in the registry.
"""

from typing import Annotated, Any

from pydantic import Field, create_model, model_validator

from maskgit.inpainting.registry import DECODERS
from maskgit.schedules import NAMES
from maskgit.validation import NotNegative, Positive, Section, Seed, one_of

TEMPERATURE, CHOICE_TEMPERATURE = 1.0, 4.5  # as MaskGIT draws

# The limit is far above any use: it stops a slip of the keyboard before it takes all memory.
Iterations = Annotated[int, Field(ge=1, le=1024)]
ScheduleName = Annotated[str, one_of(NAMES)]


class CommonSettings(Section):
    """What may be chosen with any decoder."""

    decoder: Annotated[str, one_of(DECODERS)] = "confidence"
    temperature: Positive = TEMPERATURE
    choice_temperature: NotNegative = CHOICE_TEMPERATURE
    guidance: NotNegative = 0.0
    best_of: Annotated[int, Field(ge=1, le=64)] = 1
    seamless: bool = True


def own_settings() -> type[Section]:
    """Returns a section with a field for each decoder that has settings of its own, named as it."""
    kinds = {name: entry.load_settings() for name, entry in DECODERS.items() if entry.settings}
    fields = {name: (kind, kind()) for name, kind in kinds.items()}
    return create_model("OwnSettings", __base__=Section, **fields)


class Sampler(own_settings(), CommonSettings):
    """How tokens are drawn and pixels put back.

    The temperatures are those of the decoder: each decoder takes the ones that it has.
    """

    def check_iterations(self, iterations: int) -> None:
        """Raises ValueError where the decoder has no use for that many."""
        DECODERS[self.decoder].check(self, iterations)


class Decoding(Sampler):
    """How a model fills holes unless it is told otherwise; kept beside it."""

    gamma: ScheduleName
    iterations: Iterations
    seed: Seed

    @model_validator(mode="before")
    @classmethod
    def leave_out_absent_decoders(cls, values: Any) -> Any:
        """A model folder holds the settings of each decoder that was registered where it was made;
        those of a decoder that is not registered here do not matter."""
        if not isinstance(values, dict):
            return values
        return {
            name: value
            for name, value in values.items()
            if name in cls.model_fields or not isinstance(value, dict)
        }

    @model_validator(mode="after")
    def iterations_suit_the_decoder(self) -> "Decoding":
        self.check_iterations(self.iterations)
        return self
