"""The command line: thin over the same functions that people import."""

from mri_tumor.cli.app import main

__all__ = ["main"]
