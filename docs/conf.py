"""Sphinx: the pages are built with `make docs`; a warning is an error."""

import logging
import os
import shutil
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

sys.path.insert(0, str(Path(__file__).parent))

import networks_page
import policy_page
from docutils import nodes
from sphinx_gallery.sorting import FunctionSortKey

import mri_tumor

project = "mri_tumor"
author = "the mri_tumor authors"
copyright = author
version = release = mri_tumor.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "measured",
]
exclude_patterns = ["_build", "_made", "sg_execution_times.rst", "gallery/sg_execution_times.rst"]
html_theme = "furo"
html_title = "mri_tumor"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
# Docstrings are written with single backquotes, as in Markdown: they mean code.
default_role = "code"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nitpicky = False
# A function in the gallery's settings cannot be pickled; nothing else hangs on that.
suppress_warnings = ["config.cache"]


EXECUTED = ("transfer_learning", "evaluate_honestly", "calibrate_and_abstain", "explain", "dicom_in")
"""The examples that are run when the pages are built, 30 s each at most; tests look at the others."""


def gallery_arguments(_settings: dict, variables: dict) -> list[str]:
    """Return the arguments an example is run with here: a folder outside the sources, empty at first."""
    name = Path(variables["src_file"]).stem
    shutil.rmtree(Path(__file__).parent / "_build" / "examples" / name, ignore_errors=True)
    return ["--out", f"../docs/_build/examples/{name}"]


def gallery_order(path: str) -> tuple[bool, int, str]:
    """Return where an example stands: the executed ones first, as they are listed."""
    name = Path(path).stem
    return (name not in EXECUTED, EXECUTED.index(name) if name in EXECUTED else 0, name)


sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": rf"({'|'.join(EXECUTED)})\.py$",
    "within_subsection_order": FunctionSortKey(gallery_order, "executed first"),
    "image_scrapers": ("gallery_figures.scrape",),
    "reset_argv": gallery_arguments,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "default_thumb_file": str(Path(__file__).parent / "images" / "augmented.png"),
    "min_reported_time": 600,
}

warnings.filterwarnings("ignore", message="The number of .* images", module="sphinx_gallery")
# The pages show what an example prints; its log lines hold times, and go to nobody while there is a handler.
logging.getLogger("mri_tumor").addHandler(logging.NullHandler())
logging.getLogger("mri_tumor").propagate = False


FILLED = {"how_to/cloud_policy": policy_page.fill, "reference/networks": networks_page.fill}
"""The pages that show tables of the library's own, and what puts them there."""


def _fill(_app: object, name: str, source: list[str]) -> None:
    if name in FILLED:
        source[0] = FILLED[name](source[0])


def _outdated(*_: object) -> list[str]:
    # What fills a page may have changed although its file has not.
    return list(FILLED)


def _without_none(_app: object, _domain: str, _kind: str, content: nodes.Element) -> None:
    """Leave out that something returns None: every class would say so of its constructor."""
    for field in list(content.findall(nodes.field)):
        if (field[0].astext(), field[1].astext()) == ("rtype", "None"):
            field.parent.remove(field)


def setup(app: object) -> None:
    app.connect("source-read", _fill)
    app.connect("env-get-outdated", _outdated)
    app.connect("object-description-transform", _without_none, priority=900)
