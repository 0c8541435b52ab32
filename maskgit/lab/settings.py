"""What may be chosen of the lab's decoder; `inpaint.lab` in params.yaml. Loads no network."""

from typing import Annotated

from pydantic import Field

from maskgit.validation import Section


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
