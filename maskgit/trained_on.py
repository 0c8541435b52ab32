"""What a model was trained on, as its model folder says."""

from typing import Annotated

from pydantic import Field

from maskgit.validation import Section, Share


class TrainedOn(Section):
    """The images and holes that a model was trained on."""

    source: str
    sha256: str  # of the images as prepared
    images: int  # 0 where it is not known
    size: Annotated[int, Field(ge=8, le=4096)]  # pixels per side
    holes: list[str]
    hole_area: tuple[float, float]
    drafts: Share = 0.0  # see `maskgit.data.drafts`

    @property
    def words(self) -> str:
        """The images in a few words."""
        count = f"{self.images:,}" if self.images else "an unknown number of"
        return f"{count} images of {self.size} x {self.size} pixels ({self.source})"
