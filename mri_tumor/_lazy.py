"""Names and optional dependencies that load their module only when they are first used."""

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from mri_tumor.errors import MissingExtra


def attach(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package whose public names load lazily.

    `import mri_tumor` must stay cheap: TensorFlow alone takes seconds, and `mri-tumor audit` never needs it.

    Args:
        package: the package's `__name__`.
        names: public name -> module that defines it, relative to the package (`".reader"`); a name that is
            itself a sub-module maps to that module (`"dataset": ".dataset"`).
    """

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(names[name], package)
        value = module if names[name] == f".{name}" and not hasattr(module, name) else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:  # noqa: N807
        return sorted({*names, *vars(sys.modules[package])})

    return __getattr__, __dir__


def load_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Return an optional dependency, imported now.

    Args:
        module: its name, as in `import`.
        extra: the extra of this package that brings it.
        purpose: what needs it, as in "reading DICOM files".

    Raises:
        MissingExtra: it is not installed, or what is installed cannot be imported.

    >>> load_extra("json", "none", "reading JSON").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # a library that does not fit this machine fails in a way of its own
        raise MissingExtra(
            f"{purpose} needs {module.partition('.')[0]}, which cannot be imported ({error})",
            f"the extra {extra!r}",
            f'pip install "mri-tumor[{extra}]"',
        ) from error
