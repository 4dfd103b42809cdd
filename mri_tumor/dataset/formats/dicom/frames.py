"""Where a DICOM file says something about one of its frames: per frame, shared by all, or at the top."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mri_tumor.dataset.formats.dicom.header import values

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def places_of(dataset: "Dataset", frame: int) -> Sequence["Dataset"]:
    """Return the parts of a file that describe a frame, the most special one first. Used inside `guarded`.

    Args:
        dataset: the file. In an enhanced multi-frame file each frame has functional groups of its own, and
            all share some; each group is a sequence of one item (DICOM PS3.3, C.7.6.16).
        frame: which one, from 0.
    """
    own, shared = (
        values(dataset, "PerFrameFunctionalGroupsSequence"),
        values(dataset, "SharedFunctionalGroupsSequence"),
    )
    groups = [*own[frame : frame + 1], *shared[:1]]
    return [*(item for group in groups for item in _items(group)), dataset]


def _items(group: "Dataset") -> Sequence["Dataset"]:
    return [element.value[0] for element in group if element.VR == "SQ" and len(element.value)]
