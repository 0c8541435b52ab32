"""The original lab's tokenizer, transformer and decoder, with their faults.

They are registered here by name, and each is imported when it is first used. Only
`maskgit.extensions` imports this package, so that everything else works without it.
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
