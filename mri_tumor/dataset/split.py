"""Splits."""


def split() -> None:
    """Stand in while this is being written."""


def folds() -> None:
    """Stand in while this is being written."""
