"""Settings of the lab's decoder, `inpaint.lab` in params.yaml. Imports no torch."""

from typing import Annotated

from pydantic import Field

from maskgit.validation import Section


class LabChoices(Section):
    """Length of the lab's run, and which of its faults are corrected; all False is the original."""

    total: Annotated[int, Field(ge=2, le=1024)] = (
        12  # steps of the run; a sweet spot is one of them
    )
    keep_tokens: bool = False  # keep tokens between steps; the lab encodes its own output again
    cooling: bool = False  # let the choice temperature fall to 0; the lab's rises from 0
    count_from_start: bool = (
        False  # gamma is a share of the tokens hidden first; the lab's compounds
    )
    paste: bool = False  # paste known pixels back; the lab keeps none

    def check_sweet_spot(self, iterations: int) -> None:
        """Raises ValueError where the sweet spot, an index from 0, lies outside the run."""
        if iterations >= self.total:
            raise ValueError(
                f"iterations ({iterations}) are sweet spots of decoder lab and should be "
                f"less than lab.total ({self.total})"
            )
