"""Names of a package that load their module only when they are first used."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


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
