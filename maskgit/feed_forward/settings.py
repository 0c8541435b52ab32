"""Settings of the feed-forward network. Imports no torch.

`UNet` takes these as they are, and the section `feed_forward` of params.yaml is made of them and of
`DrawingTraining`.
"""

from typing import Annotated

from pydantic import Field

from maskgit.validation import Section

Channels = Annotated[int, Field(ge=32, le=8192, multiple_of=32)]


class UNetConfig(Section):
    """The arguments of `UNet`."""

    # Width of the convolutions at each resolution: a half of the picture's, a quarter and so on.
    channels: Annotated[tuple[Channels, ...], Field(min_length=2, max_length=8)] = (64, 128, 192)
    coarse_blocks: Annotated[int, Field(ge=0, le=100)] = 4  # at the lowest resolution
