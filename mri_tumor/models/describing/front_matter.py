"""YAML front matter: the block of names and values that a model card begins with."""

import json
from collections.abc import Iterator, Mapping
from typing import Any


def front_matter(fields: Mapping[str, Any]) -> str:
    """Return the fields as YAML between two lines of three dashes.

    Texts are always in double quotes, so that none is taken for a number, a date or a truth value; what
    cannot be printed is escaped as YAML 1.1 and 1.2 both know it. Fractions have four decimals.

    Args:
        fields: names of letters, digits, `_` and `-`, to texts, finite numbers, and objects and lists of
            these that are not empty.

    >>> print(front_matter({"license": "mit", "tags": ["mri"], "model-index": [{"name": "a", "value": 0.5}]}))
    ---
    license: "mit"
    tags:
      - "mri"
    model-index:
      - name: "a"
        value: 0.5000
    ---
    """
    return "\n".join(["---", *_block(fields), "---"])


def _block(value: Mapping[str, Any] | list[Any]) -> Iterator[str]:
    """Yield the lines of an object or a list, not indented."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, Mapping | list):
                yield f"{name}:"
                yield from (f"  {line}" for line in _block(item))
            else:
                yield f"{name}: {_scalar(item)}"
        return
    for item in value:
        lines = list(_block(item)) if isinstance(item, Mapping | list) else [_scalar(item)]
        yield from (f"{'  ' if number else '- '}{line}" for number, line in enumerate(lines))


def _scalar(value: str | float) -> str:
    if not isinstance(value, str):
        # Without an exponent: YAML 1.1 takes 1e-05 for a text.
        return str(value) if isinstance(value, int) else f"{value:.4f}"
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text)
