"""`mri-tumor demo`: the example of the whole workflow, run from wherever it lies."""

import runpy
import sys
from pathlib import Path

import typer

import mri_tumor


def demo(context: typer.Context) -> None:
    """Run the whole workflow: pictures, shards, training, package, endpoint, predictions, a report.

    Without --data it makes synthetic pictures. `mri-tumor demo --help-options` lists what the example takes.
    """
    script = workflow_script()
    arguments = ["--help" if argument == "--help-options" else argument for argument in context.args]
    sys.argv = [str(script), *arguments]
    runpy.run_path(str(script), run_name="__main__")


def workflow_script() -> Path:
    """Return the example's path: inside an installed wheel, or beside the package in a checkout."""
    package = Path(mri_tumor.__file__).parent
    places = [folder / "examples" / "full_workflow.py" for folder in (package, package.parent)]
    return next(place for place in places if place.is_file())
