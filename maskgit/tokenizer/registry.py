"""The tokenizers that a checkpoint may hold. Loads no torch."""

TOKENIZERS: dict[str, str] = {"VQGAN": "maskgit.tokenizer.vqgan:VQGAN"}
"""Where each is found, "module:class", by the name of its class. Others are registered from outside
by `TOKENIZERS[name] = place`; they are imported when a checkpoint is first read."""
