"""Imports the packages that register tokenizers, transformers and decoders of their own.

Each of them may be absent. They are imported with the library, before any name is looked up.
"""

try:
    import maskgit.lab  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "maskgit.lab":
        raise
