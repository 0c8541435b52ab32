"""The registered importers of networks that were trained elsewhere. Imports no torch."""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Importer:
    """Where an importer is defined, and the sampling settings of its network.

    place: "module:function", imported when it is used. inpaint: settings for the network, in place
    of those of the preset, which are for networks that the preset trains.
    """

    place: str
    inpaint: Mapping[str, float] = field(default_factory=dict)

    def load(self) -> Callable:
        """Imports the function."""
        return pkgutil.resolve_name(self.place)


IMPORTERS: dict[str, Importer] = {}
"""Importers by the section of params.yaml whose `checkpoint` they read, `vqgan` or `train`.

Other packages register theirs. `vqgan`: called with the checkpoint, the images' pixels per side and
the stage's output folder. `train`: with the checkpoint, the number of codes, the tokens of an image
and that folder. Both return the constructor's arguments and the network, and write imported.json
into the folder.
"""
