"""The decoders that `inpaint.decoder` can name. Loads no network and no torch.

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
    """Where a decoder is found, and what has to be known of it before it is loaded.

    place: "module:name" of a `TokenDecoder`, or with `own_loop` of a subclass of `Inpainter`. It is
    imported when the decoder is first used. unit: of what `iterations` counts. settings:
    "module:name" of a `Section` with settings of the decoder's own, each with a default; it is a
    field of `Sampler` under the decoder's name. check: raises ValueError where a number of
    iterations does not suit a `Sampler`.
    """

    place: str
    unit: str = "steps"
    own_loop: bool = False
    settings: str = ""
    check: Callable[[Any, int], None] = lambda sampler, iterations: None

    def load(self) -> type:
        return pkgutil.resolve_name(self.place)

    def load_settings(self) -> type:
        return pkgutil.resolve_name(self.settings)


DECODERS: dict[str, Registered] = {
    "confidence": Registered("maskgit.inpainting.decoders:Confidence"),
    "halton": Registered("maskgit.inpainting.decoders:Halton"),
    "moment": Registered("maskgit.inpainting.decoders:Moment"),
    "entropy_bound": Registered("maskgit.inpainting.decoders:EntropyBound", unit="nats"),
    "remask": Registered("maskgit.inpainting.decoders:Remask"),
}
"""By name, in the order in which messages list them."""


def step_decoders() -> list[str]:
    """The names of those that answer the questions of `decode`; others have a loop of their own."""
    return [name for name, entry in DECODERS.items() if not entry.own_loop]


def units() -> str:
    """Says in a few words what `iterations` counts under every decoder."""
    others = {name: entry.unit for name, entry in DECODERS.items() if entry.unit != "steps"}
    return ", ".join(["decoding steps", *(f"{unit} for {name}" for name, unit in others.items())])
