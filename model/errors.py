"""The errors a user can cause on the way from feature store to verdict."""

from pipeline.errors import BonafideError


class ModelError(BonafideError):
    """A trained model is missing, damaged, or does not fit what it is asked to score."""
