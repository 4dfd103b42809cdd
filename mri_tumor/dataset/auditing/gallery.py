"""The pairs of an audit's page, side by side: which are shown, and their pictures embedded."""

import base64
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mri_tumor.dataset.auditing.text import SIDE_NAMES
from mri_tumor.dataset.copies.duplicates import NEAR_DUPLICATE
from mri_tumor.dataset.copies.pairs import Pair, how
from mri_tumor.dataset.thumbnails import thumbnail
from mri_tumor.errors import MriTumorError
from mri_tumor.page import breakable

if TYPE_CHECKING:
    from mri_tumor.dataset.auditing.report import AuditReport


@dataclass(frozen=True)
class Shelf:
    """The pairs of one kind.

    Args:
        title: what they have in common.
        shown: the most doubtful of them.
        rest: how many more there are.
    """

    title: str
    shown: tuple[Pair, ...]
    rest: int


def shelves(pairs: Sequence[Pair], most: int) -> list[Shelf]:
    """Sort pairs by kind, each on the first shelf that takes it, the lowest correlations first."""
    left = sorted(pairs, key=lambda pair: (pair.correlation, pair.first, pair.second))
    found = []
    for title, takes in _KINDS:
        taken = [pair for pair in left if takes(pair)]
        left = [pair for pair in left if not takes(pair)]
        if taken:
            found.append(Shelf(title, tuple(taken[:most]), len(taken[most:])))
    return found


def gallery(report: "AuditReport", most: int) -> str:
    """Return every shelf as HTML, at most `most` pairs on each."""
    paths = {(picture.side, picture.id): picture.path for picture in report.pictures}
    return "\n".join(_shelf(shelf, paths) for shelf in shelves(report.pairs, most))


def _near(pair: Pair) -> bool:
    return pair.kind == NEAR_DUPLICATE


_KINDS: tuple[tuple[str, Callable[[Pair], bool]], ...] = (
    ("One picture under two labels", lambda pair: pair.conflict),
    ("Near-duplicates between training and test", lambda pair: _near(pair) and pair.leak),
    ("Near-duplicates inside a set", _near),
    ("Identical between training and test", lambda pair: pair.leak),
    ("Identical inside a set", lambda pair: True),
)


def _shelf(shelf: Shelf, paths: dict[tuple[str, str], Path]) -> str:
    cards = "".join(_card(pair, paths) for pair in shelf.shown)
    count = len(shelf.shown) + shelf.rest
    rest = f'<p class="quiet">And {shelf.rest} more, not shown.</p>' if shelf.rest else ""
    return f'<h3>{html.escape(shelf.title)}: {count}</h3>\n<div class="pairs">{cards}</div>{rest}'


def _card(pair: Pair, paths: dict[tuple[str, str], Path]) -> str:
    sides = zip((pair.first, pair.second), pair.sides, pair.labels, strict=True)
    figures = "".join(_figure(name, side, label, paths[side, name]) for name, side, label in sides)
    return f'<div class="pair"><div class="two">{figures}</div><p>{html.escape(how(pair))}</p></div>'


def _figure(name: str, side: str, label: str, path: Path) -> str:
    text = html.escape(name, quote=True)
    about = html.escape(f"{SIDE_NAMES[side]}, {label}")
    return (
        f"<figure>{_picture(path, text)}<figcaption><b>{about}</b><br>{breakable(name)}</figcaption></figure>"
    )


def _picture(path: Path, text: str) -> str:
    try:
        source = base64.b64encode(thumbnail(path)).decode()
    except MriTumorError:
        return '<div class="gone">can no longer be read</div>'
    return f'<div class="frame"><img src="data:image/jpeg;base64,{source}" alt="{text}" loading="lazy"></div>'
