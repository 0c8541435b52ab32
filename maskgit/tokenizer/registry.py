"""The registered tokenizers, which a checkpoint may hold. Imports no torch."""

TOKENIZERS: dict[str, str] = {"VQGAN": "maskgit.tokenizer.vqgan:VQGAN"}
"""Place of each class, "module:class", by the name of the class.

Other packages register theirs by `TOKENIZERS[name] = place`. A class is imported when a checkpoint
is first read.
"""
