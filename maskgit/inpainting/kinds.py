"""The decoders to choose from: all are used as `Inpainter` is."""

from maskgit.inpainting.decoders import DECODERS
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
    """decoder: one of DECODERS, or `lab` for the original lab's loop, which takes the arg-max and
    pastes as `lab` says, whatever `temperature` and `seamless`."""
    if decoder == "lab":
        return LabInpainter(tokenizer, transformer, lab, choice_temperature)
    chosen = DECODERS[decoder](transformer.grid)
    return Inpainter(tokenizer, transformer, chosen, temperature, choice_temperature, seamless)
