"""Keeps Beam quiet about what does not matter here. Light enough to be imported before Beam is."""

import logging


def hush_beam() -> None:
    """Drops what Beam logs about an optional part of itself whenever it is imported."""
    logging.getLogger().addFilter(lambda record: "apitools not found" not in record.getMessage())
