"""What a field of a recipe may be: one small check a kind, each returning the value in its plain form."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from mri_tumor.errors import ArgumentError

Check = Callable[[str, Any], Any]
"""(name, value) -> the value as it is kept; raises an ArgumentError that names the field."""


def whole(least: int, below: int | None = None) -> Check:
    """Take whole numbers from `least`, and less than `below` if it is given."""
    expected = f"a whole number from {least}" + ("" if below is None else f", below {below}")

    def check(name: str, value: Any) -> int:
        good = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if not good or (below is not None and value >= below):
            raise ArgumentError(f"{name} is {value!r}", expected, f"pass {name}={max(least, 1)}")
        return int(value)

    return check


def number(expected: str, good: Callable[[float], bool]) -> Check:
    """Take finite numbers for which `good` holds; 1 and 1.0 are kept as the same."""

    def check(name: str, value: Any) -> float:
        known = isinstance(value, int | float) and not isinstance(value, bool)
        if not known or not math.isfinite(value) or not good(value):
            raise ArgumentError(
                f"{name} is {value!r}", f"a number {expected}", f"leave {name} out for the default"
            )
        return float(value)

    return check


def numbers(expected: str, good: Callable[[float], bool]) -> Check:
    """Take a sequence of at least one such number; kept as a tuple."""
    one = number(expected, good)

    def check(name: str, value: Any) -> tuple[float, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            raise ArgumentError(
                f"{name} is {value!r}",
                f"one or more numbers {expected}",
                f"leave {name} out for the default",
            )
        return tuple(one(name, each) for each in value)

    return check


def one_of(*names: str) -> Check:
    """Take one of these names."""

    def check(name: str, value: Any) -> str:
        if value not in names:
            raise ArgumentError(
                f"{name} is {value!r}", f"one of {', '.join(names)}", f'pass {name}="{names[0]}"'
            )
        return str(value)

    return check


def flag(name: str, value: Any) -> bool:
    """Take True or False."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{name} is {value!r}", "True or False", "pass one of them")
    return value


def optional(check: Check) -> Check:
    """Take None as well."""

    def either(name: str, value: Any) -> Any:
        if value is None:
            return None
        try:
            return check(name, value)
        except ArgumentError as error:
            raise ArgumentError(error.found, f"{error.expected}, or None", error.fix) from None

    return either
