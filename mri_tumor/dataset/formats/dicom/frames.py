"""Where a DICOM file says something about one of its frames: per frame, shared by all, or at the top."""

from collections.abc import MutableSequence, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def places_of(dataset: "Dataset", frame: int) -> Sequence["Dataset"]:
    """Return the parts of a file that describe a frame, the most special one first. Used inside `guarded`.

    Args:
        dataset: the file. In an enhanced multi-frame file each frame has functional groups of its own, and
            all share some; each group is a sequence of one item (DICOM PS3.3, C.7.6.16).
        frame: which one, from 0.
    """
    groups = [
        *_nth(dataset, "PerFrameFunctionalGroupsSequence", frame),
        *_nth(dataset, "SharedFunctionalGroupsSequence", 0),
    ]
    return [*(item for group in groups for item in _items(group)), dataset]


def _nth(dataset: "Dataset", keyword: str, place: int) -> Sequence["Dataset"]:
    """Return one item of a sequence, if it is there; the others are not looked at, as they may be many."""
    found = dataset.get(keyword)
    return found[place : place + 1] if isinstance(found, MutableSequence) else ()


def _items(group: "Dataset") -> Sequence["Dataset"]:
    return [element.value[0] for element in group if element.VR == "SQ" and len(element.value)]
