"""Importers of networks that were trained elsewhere. Loads no torch."""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Importer:
    """Where an importer is found, and how its network is sampled.

    place: "module:function", imported when it is used. inpaint: settings that suit the network, in
    place of those of the preset, which suit what the preset trains.
    """

    place: str
    inpaint: Mapping[str, float] = field(default_factory=dict)

    def load(self) -> Callable:
        return pkgutil.resolve_name(self.place)


IMPORTERS: dict[str, Importer] = {}
"""By the section of params.yaml whose `checkpoint` they read, `vqgan` or `train`; packages outside
register theirs.

`vqgan`: called with the checkpoint, the images' pixels per side and the stage's output folder.
`train`: with the checkpoint, the number of codes, the tokens of an image and that folder. Both
return the constructor's arguments and the network, and write imported.json into the folder.
"""
