"""The pages: each public name has its place, and what they show runs."""

import importlib
import re
from pathlib import Path

import pytest

import mri_tumor
from mri_tumor import cloud, dataset, errors, labels, models

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def own(module: object) -> set[str]:
    """Return the public names that a module without `__all__` defines itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", module.__name__) == module.__name__
    } - {"annotations"}


PUBLIC = {
    "mri_tumor": set(mri_tumor.__all__),
    "mri_tumor.dataset": set(dataset.__all__),
    "mri_tumor.models": set(models.__all__),
    "mri_tumor.cloud": set(cloud.__all__),
    "mri_tumor.errors": own(errors),
    "mri_tumor.labels": own(labels),
}


def described(text: str) -> set[str]:
    """Return the full names that the directives of a reference page describe."""
    names, module = set(), ""
    for line in text.splitlines():
        found = re.match(r"\.\. (currentmodule|auto(?:module|function|class|data)|py:data):: (\S+)", line)
        if not found:
            continue
        kind, name = found.groups()
        if kind == "currentmodule":
            module = name
        elif kind == "automodule":
            names |= {name, *(f"{name}.{one}" for one in own(importlib.import_module(name)))}
        else:
            names.add(name if name.startswith("mri_tumor.") else f"{module}.{name}")
    return names


@pytest.mark.parametrize("module", PUBLIC)
def test_the_reference_describes_every_public_name(module: str) -> None:
    known = {
        name for page in (DOCS / "reference").glob("*.md") for name in described(page.read_text("utf-8"))
    }
    assert {f"{module}.{name}" for name in PUBLIC[module]} - known == set()
