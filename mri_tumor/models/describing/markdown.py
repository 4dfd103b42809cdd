"""Markdown from text and numbers that somebody else chose: nothing in them is read as markup."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNKNOWN = "not recorded"
"""What stands where a manifest does not say something."""

_MARKUP = re.compile(r"[\\`*_{}\[\]<>|#~$&!]")


def plain(text: object) -> str:
    r"""Return a text on one line, what Markdown or HTML would read as markup escaped.

    >>> plain("a|b <i>*c*</i>")
    'a\\|b \\<i\\>\\*c\\*\\</i\\>'
    """
    return _MARKUP.sub(r"\\\g<0>", " ".join(str(text).split()))


def said(value: Any) -> str:
    r"""Return a value of a manifest as text: `UNKNOWN` for None, and numbers without needless digits.

    >>> said(None), said(0.30000000000000004), said(True), said([1, "a_b"])
    ('not recorded', '0.3', 'yes', '1, a\\_b')
    """
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(said, value))
    return plain(value)


def choices(fields: Mapping[str, Any]) -> str:
    """Return names and values of a JSON object in one line, sorted; those of objects in it bear both names.

    None is a choice here, as in a recipe without folds.

    >>> choices({"size": 32, "augment": {"mirror": True}, "folds": None})
    '`augment.mirror` yes, `folds` none, `size` 32'
    """
    parts = []
    for name, value in sorted(fields.items()):
        if isinstance(value, Mapping):
            inner = {f"{name}.{key}": item for key, item in value.items()}
            parts.append(choices(inner))
        else:
            parts.append(f"`{name}` {'none' if value is None else said(value)}")
    return ", ".join(parts)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """Return a table; cells are Markdown already.

    Args:
        header: the columns' titles.
        rows: as many cells each.
        words: so many columns stand to the left, the others to the right.

    >>> print(table(["class", "pictures"], [["none", "3"]]))
    | class | pictures |
    | --- | ---: |
    | none | 3 |
    """
    ruler = ["---" if place < words else "---:" for place in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ruler, *rows])


def bullets(lines: Iterable[str]) -> str:
    """Return lines as a list; each is Markdown already."""
    return "\n".join(f"- {line}" for line in lines)


def part(card: Any, *names: str) -> dict[str, Any]:
    """Return the object at a path in a JSON value, `{}` where there is none.

    >>> part({"a": {"b": {"c": 1}}}, "a", "b"), part({"a": None}, "a", "b")
    ({'c': 1}, {})
    """
    for name in names:
        card = card.get(name) if isinstance(card, Mapping) else None
    return dict(card) if isinstance(card, Mapping) else {}
