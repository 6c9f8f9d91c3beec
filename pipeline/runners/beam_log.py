"""Filters what Beam says at its import. Imports nothing heavy, so that it can be called before Beam is imported."""

import logging
import warnings


def hush_beam() -> None:
    """Drops what Beam and Google's packages say at every import of an optional package or of the version of Python."""
    logging.getLogger().addFilter(lambda record: "apitools not found" not in record.getMessage())
    warnings.filterwarnings("ignore", category=FutureWarning, module="google\\.api_core")
