"""Importers of the original lab's tokenizer and transformer, and the lab's training for the bench.

The importers are registered here. Only `pipeline.extensions` and the bench import this package.
"""

from pipeline.plumbing.importers import IMPORTERS, Importer

IMPORTERS["vqgan"] = Importer("pipeline.lab.tokenizer:import_tokenizer")
IMPORTERS["train"] = Importer(
    "pipeline.lab.transformer:import_transformer",
    inpaint={"temperature": 1.0, "choice_temperature": 4.5, "guidance": 0.0},
)
