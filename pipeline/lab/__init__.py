"""The original lab's files: importers of its tokenizer and its transformer, and its way of working,
for the bench.

The importers are registered here. Nothing outside imports this package but `pipeline.extensions`
and the bench.
"""

from pipeline.plumbing.importers import IMPORTERS, Importer

IMPORTERS["vqgan"] = Importer("pipeline.lab.tokenizer:import_tokenizer")
IMPORTERS["train"] = Importer(
    "pipeline.lab.transformer:import_transformer",
    inpaint={"temperature": 1.0, "choice_temperature": 4.5, "guidance": 0.0},
)
