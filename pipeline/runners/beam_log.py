"""Filters Beam's log. Imports nothing heavy, so that it can be called before Beam is imported."""

import logging


def hush_beam() -> None:
    """Drops the warning that Beam logs at every import if its optional package apitools is not installed."""
    logging.getLogger().addFilter(lambda record: "apitools not found" not in record.getMessage())
