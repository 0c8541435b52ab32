"""The decoders to choose from: all are called as `Inpainter` is."""

from maskgit.decoding import by_halton
from maskgit.inpainting import Inpainter
from maskgit.lab import LabChoices, LabInpainter
from maskgit.transformer import MaskedTransformer
from maskgit.vqgan import VQGAN


def make_inpainter(
    decoder: str, tokenizer: VQGAN, transformer: MaskedTransformer, lab: LabChoices
) -> Inpainter:
    """`confidence`: MaskGIT's own; `halton`: in Halton order; `lab`: the original lab's loop."""
    if decoder == "lab":
        return LabInpainter(tokenizer, transformer, lab)
    if decoder == "halton":
        return Inpainter(tokenizer, transformer, by_halton(transformer.grid))
    return Inpainter(tokenizer, transformer)
