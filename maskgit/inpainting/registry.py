"""The registered decoders, which `inpaint.decoder` can name. Imports no torch.

A decoder is registered by one entry here, or from outside by `DECODERS[name] = Registered(...)`
(`maskgit.extensions`).
Parameters, command line, model folders, the study and the tests take it from there.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Registered:
    """Where a decoder is defined, and what is needed of it before it is imported.

    place: "module:name" of a `TokenDecoder`, or with `own_loop` of a subclass of `Inpainter`. It is
    imported when the decoder is first used. unit: of what `iterations` counts. settings:
    "module:name" of a `Section` of further settings, each with a default; it is a field of
    `Sampler` under the decoder's name. check: raises ValueError where a number of iterations is
    invalid for a `Sampler`.
    """

    place: str
    unit: str = "iterations"
    own_loop: bool = False
    settings: str = ""
    check: Callable[[Any, int], None] = lambda sampler, iterations: None

    def load(self) -> type:
        """Imports the decoder."""
        return pkgutil.resolve_name(self.place)

    def load_settings(self) -> type:
        """Imports the section of the decoder's further settings."""
        return pkgutil.resolve_name(self.settings)


DECODERS: dict[str, Registered] = {
    "confidence": Registered("maskgit.inpainting.decoders:Confidence"),
    "halton": Registered("maskgit.inpainting.decoders:Halton"),
    "moment": Registered("maskgit.inpainting.decoders:Moment"),
    "entropy_bound": Registered("maskgit.inpainting.decoders:EntropyBound", unit="nats"),
    "remask": Registered("maskgit.inpainting.decoders:Remask"),
}
"""Decoders by name, in the order in which messages list them."""


def step_decoders() -> list[str]:
    """Returns the names of the decoders that `decode` runs; the others have a loop of their own."""
    return [name for name, entry in DECODERS.items() if not entry.own_loop]


def units() -> str:
    """Returns, in a few words, what `iterations` counts under each decoder."""
    others = {name: entry.unit for name, entry in DECODERS.items() if entry.unit != "iterations"}
    return ", ".join(["iterations", *(f"{unit} for {name}" for name, unit in others.items())])
