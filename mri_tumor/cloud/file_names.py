"""Names of files that come from elsewhere: what may be written below a folder, on any system."""

import os
import unicodedata
from collections.abc import Iterable, Iterator

_MAX_NAME = 240  # bytes
_NUMBERED = (f"{kind}{number}" for kind in ("com", "lpt") for number in range(10))
_REFUSED = frozenset('<>"|?*')
_DEVICES = frozenset({"con", "prn", "aux", "nul", *_NUMBERED})


def name_problem(name: str) -> str | None:
    """Return what forbids a relative name, with `/` between its parts; None if nothing does.

    >>> name_problem("train/part-00000-of-00001.tfrecord")
    >>> name_problem("../x")
    "has a name that is not normalised; use one without '..' and '.'"
    """
    parts = name.split("/")
    if name.startswith("/") or ":" in name or "\\" in name:
        return "has an absolute or a Windows name; use relative names"
    if any(part in ("", ".", "..") for part in parts):
        return "has a name that is not normalised; use one without '..' and '.'"
    if not _REFUSED.isdisjoint(name):
        return """has a name with one of <>"|?*, which Windows refuses; rename it"""
    if not name.isprintable() or len(os.fsencode(name)) > _MAX_NAME:
        return "has a name that is too long or holds control characters; rename it"
    if any(part.endswith((".", " ")) or part.split(".")[0].casefold() in _DEVICES for part in parts):
        return "has a name that Windows keeps for itself; rename it"
    return None


def place_of(name: str) -> str:
    """Return what two names share that some file system cannot tell apart.

    >>> place_of("Straße/A.png") == place_of("STRASSE/a.PNG")
    True
    """
    return unicodedata.normalize("NFC", name).casefold()


def parents_of(name: str) -> Iterator[str]:
    """Yield the folders that a name lies in, the innermost first.

    >>> list(parents_of("a/b/c"))
    ['a/b', 'a']
    """
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def problems_of(names: Iterable[str]) -> list[str]:
    """Return what forbids to write all of these files below one folder: a text for each that is in the way.

    >>> problems_of(["a/b", "a", "c"])
    ["'a' is also a folder of others; rename one of them"]
    >>> problems_of(["A.png", "a.png"])
    ["'a.png' cannot be told from another name everywhere; rename one of them"]
    """
    names = list(names)
    folders = {parent for name in names for parent in parents_of(place_of(name))}
    problems, seen = [], set()
    for name in names:
        place = place_of(name)
        problem = name_problem(name)
        if problem is None and place in folders:
            problem = "is also a folder of others; rename one of them"
        if problem is None and place in seen:
            problem = "cannot be told from another name everywhere; rename one of them"
        if problem is not None:
            problems.append(f"{name[:100]!r} {problem}")
        seen.add(place)
    return problems
