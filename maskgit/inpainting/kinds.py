"""The decoders to choose from: all are used as `Inpainter` is."""

from maskgit.inpainting.decoding import by_confidence, by_halton
from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.lab import LabChoices, LabInpainter
from maskgit.tokenizer.kinds import Tokenizer
from maskgit.transformer.kinds import Transformer


def make_inpainter(
    decoder: str,
    tokenizer: Tokenizer,
    transformer: Transformer,
    temperature: float,
    choice_temperature: float,
    seamless: bool,
    lab: LabChoices,
) -> Inpainter:
    """`confidence`: MaskGIT's own; `halton`: in Halton order; `lab`: the original lab's loop, which
    takes the arg-max and pastes as `lab` says, whatever `temperature` and `seamless`."""
    if decoder == "lab":
        return LabInpainter(tokenizer, transformer, lab, choice_temperature)
    order = by_halton(transformer.grid) if decoder == "halton" else by_confidence
    return Inpainter(tokenizer, transformer, order, temperature, choice_temperature, seamless)
