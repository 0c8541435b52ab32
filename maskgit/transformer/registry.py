"""The registered transformers, which a checkpoint may hold. Imports no torch."""

TRANSFORMERS: dict[str, str] = {
    "GuidedTransformer": "maskgit.transformer.guidance:GuidedTransformer",
    "MaskedTransformer": "maskgit.transformer.model:MaskedTransformer",
}
"""Place of each class, "module:class", by the name of the class.

Other packages register theirs by `TRANSFORMERS[name] = place`. A class is imported when a
checkpoint is first read.
"""
