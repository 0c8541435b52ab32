"""The transformers that a checkpoint may hold. Loads no torch."""

TRANSFORMERS: dict[str, str] = {
    "GuidedTransformer": "maskgit.transformer.guidance:GuidedTransformer",
    "MaskedTransformer": "maskgit.transformer.model:MaskedTransformer",
}
"""Where each is found, "module:class", by the name of its class. Others are registered from outside
by `TRANSFORMERS[name] = place`; they are imported when a checkpoint is first read."""
