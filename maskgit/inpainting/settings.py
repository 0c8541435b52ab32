"""How holes are filled: which decoder, how it draws, how pixels come back. Loads no network.

The same settings stand in params.yaml, in the config of a model folder and in the registry.
"""

from typing import Annotated

from pydantic import Field, model_validator

from maskgit.schedules import NAMES
from maskgit.validation import NotNegative, Positive, Section, Seed, one_of

# As in inpainting.decoders, which would load torch; a test compares them.
DECODERS = ("confidence", "halton", "moment", "entropy_bound", "remask", "lab")

# The limit is far above any use: it stops a slip of the keyboard before it takes all memory.
Iterations = Annotated[int, Field(ge=1, le=1024)]
ScheduleName = Annotated[str, one_of(NAMES)]


class LabChoices(Section):
    """The lab's decoder: the run's length, and which of its choices are put right. All False: the
    original."""

    total: Annotated[int, Field(ge=2, le=1024)] = 12  # iterations of the run; results are steps
    keep_tokens: bool = False  # tokens stay tokens; the lab encodes its own output again
    cooling: bool = False  # temperature falls to 0; the lab's rises from 0
    count_from_start: bool = False  # a share of what was hidden first; the lab's compounds
    paste: bool = False  # known pixels come back; the lab keeps none


class Sampler(Section):
    """How tokens are drawn and pixels put back."""

    decoder: Annotated[str, one_of(DECODERS)] = "confidence"
    temperature: Positive = 1.0
    choice_temperature: NotNegative = 4.5
    guidance: NotNegative = 0.0
    best_of: Annotated[int, Field(ge=1, le=64)] = 1
    seamless: bool = True
    lab: LabChoices = LabChoices()

    def check_sweet_spot(self, iterations: int) -> None:
        if self.decoder == "lab" and iterations >= self.lab.total:
            raise ValueError(
                f"iterations ({iterations}) are sweet spots of decoder lab and should be "
                f"less than lab.total ({self.lab.total})"
            )


class Decoding(Sampler):
    """How a model fills holes unless it is told otherwise; kept beside it."""

    gamma: ScheduleName
    iterations: Iterations
    seed: Seed

    @model_validator(mode="after")
    def check_iterations(self) -> "Decoding":
        self.check_sweet_spot(self.iterations)
        return self
