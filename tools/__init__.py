"""Programs that build and check the documentation, no part of the library or of the pipeline."""
