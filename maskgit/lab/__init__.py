"""The original lab: its tokenizer, its transformer and its decoder, faithful in their faults.

They are registered here by name, and each is imported when it is first used. Nothing outside
imports this package but `maskgit.extensions`, so that all else works without it.
"""

from maskgit.inpainting.registry import DECODERS, Registered
from maskgit.tokenizer.registry import TOKENIZERS
from maskgit.transformer.registry import TRANSFORMERS

TOKENIZERS["LabVQGAN"] = "maskgit.lab.tokenizer:LabVQGAN"
TRANSFORMERS["LabTransformer"] = "maskgit.lab.transformer:LabTransformer"
DECODERS["lab"] = Registered(
    "maskgit.lab.decoder:LabInpainter",
    unit="sweet spot",
    own_loop=True,
    settings="maskgit.lab.settings:LabChoices",
    check=lambda sampler, iterations: sampler.lab.check_sweet_spot(iterations),
)
