"""Imports the packages that register importers of their own, each of which may be absent."""

try:
    import pipeline.lab  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "pipeline.lab":
        raise
