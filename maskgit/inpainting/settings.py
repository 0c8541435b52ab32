"""Settings of how holes are filled: decoder, sampling, blending. Imports no torch.

The same settings are in params.yaml, in the config of a model folder and in the model registry.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, create_model, model_validator

from maskgit.inpainting.registry import DECODERS
from maskgit.schedules import NAMES
from maskgit.validation import NotNegative, Positive, Section, Seed, one_of

TEMPERATURE, CHOICE_TEMPERATURE = 1.0, 4.5  # MaskGIT's

READINGS = "sample", "mean"  # how pixels are read from what the transformer says
Reading = Literal[READINGS]

MAX_ITERATIONS = 1024  # far above any use; it stops a typing error before it takes all memory
Iterations = Annotated[int, Field(ge=1, le=MAX_ITERATIONS)]
ScheduleName = Annotated[str, one_of(NAMES)]


class CommonSettings(Section):
    """Settings that all decoders have in common."""

    decoder: Annotated[str, one_of(DECODERS)] = "confidence"
    temperature: Positive = TEMPERATURE
    choice_temperature: NotNegative = CHOICE_TEMPERATURE
    guidance: NotNegative = 0.0
    best_of: Annotated[int, Field(ge=1, le=64)] = 1
    choose: Literal["ring", "medoid"] = "ring"  # by what one of `best_of` fills is kept
    seamless: bool = True
    reading: Reading = "sample"
    mean_steps: Iterations = 1  # of the reading `mean`, see `maskgit.inpainting.mean`


def own_settings() -> type[Section]:
    """Returns a section with a field, named as the decoder, for each decoder with more settings."""
    kinds = {name: entry.load_settings() for name, entry in DECODERS.items() if entry.settings}
    fields = {name: (kind, kind()) for name, kind in kinds.items()}
    return create_model("OwnSettings", __base__=Section, **fields)


class Sampler(own_settings(), CommonSettings):
    """Settings of sampling: how tokens are decoded and pixels pasted.

    Each decoder uses those of the temperatures that it has.
    """

    def check_iterations(self, iterations: int) -> None:
        """Raises ValueError where the number of iterations is invalid for the decoder."""
        DECODERS[self.decoder].check(self, iterations)


class Decoding(Sampler):
    """The default settings of a model, kept in its folder."""

    gamma: ScheduleName
    iterations: Iterations
    seed: Seed

    @model_validator(mode="before")
    @classmethod
    def leave_out_absent_decoders(cls, values: Any) -> Any:
        """Drops the settings of decoders that are not registered here.

        A model folder holds those of each decoder that was registered where it was made.
        """
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
