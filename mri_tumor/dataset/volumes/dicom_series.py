"""One DICOM series, a folder of single slices or one multi-frame file, to slices in order that look alike."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.dicom.file import guarded, matches, parsed
from mri_tumor.dataset.formats.dicom.frames import places_of
from mri_tumor.dataset.formats.dicom.header import Header, check_wanted, header_of, text
from mri_tumor.dataset.formats.dicom.pixels import check_bytes, padding_of, stored_frames
from mri_tumor.dataset.formats.dicom.window import (
    Measured,
    Rescale,
    Shown,
    Tables,
    grey_of,
    rescale_of,
    shown_by,
)
from mri_tumor.dataset.patients import identity_in
from mri_tumor.dataset.reader import MAX_SIDE, load_bytes, opening, shown_name
from mri_tumor.dataset.tables import few
from mri_tumor.dataset.volumes.axes import Axis, turn_to
from mri_tumor.dataset.volumes.dicom_geometry import Place, Stack, place_of, stacked
from mri_tumor.errors import ReadError
from mri_tumor.progress import track

logger = logging.getLogger(__name__)

_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"  # a DICOMDIR: the index of a disc


@dataclass(frozen=True)
class Limits:
    """What is taken; the fields are the arguments of `read_slices`."""

    max_pixels: int
    max_bytes: int
    modality: str | None
    burned_in: bool


@dataclass(frozen=True)
class Series:
    """A series as read.

    Args:
        images: uint8 `(N, H, W)`, 0-255.
        positions: of each slice in mm along the slices' axis; None where the files do not say it.
        uid: which series it is, empty if the files do not say it; not to be passed on.
        identity: whom the first file is of, as `patients.identity_of` says; not to be passed on.
        paths: the files that hold the slices.
    """

    images: NDArray[np.uint8]
    positions: tuple[float, ...] | None
    uid: str
    identity: str | None
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class _Frame:
    """One slice: where its pixels are, and what its file says about them."""

    path: Path
    header: Header
    series: str
    identity: str | None
    place: Place
    rescale: Rescale
    shown: Shown


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM by its bytes.

    Raises:
        ReadError: it cannot be opened, so it may be a slice that would be missing.
    """
    with opening(shown_name(path)), path.open("rb") as file:
        return matches(file.read(132))


def read_series(paths: Sequence[Path], name: str, axis: Axis | None, limits: Limits) -> Series:
    """Read a series.

    Args:
        paths: its DICOM files.
        name: what errors about them all call it.
        axis: the view; None takes the slices as they were scanned.
        limits: what is taken.

    Raises:
        ReadError: a file is damaged or not wanted, or the files are not one stack of slices.
    """
    frames: list[_Frame] = []
    for path in track(paths, "reading DICOM headers"):
        frames += _frames(path, limits)
        _check_number(len(frames), name)
    if not frames:
        raise ReadError(f"{name}: there is no DICOM picture in it", "one series", "check the path")
    _check_alike(frames, name, limits.max_pixels)
    stack = stacked([frame.place for frame in frames], name, one_file=len(paths) == 1)
    inverted = frames[0].header.inverted
    images = grey_of(_measured(frames, stack, limits), _shown_alike(frames, name), inverted=inverted)
    positions = stack.positions
    if axis is not None:
        images, positions = _seen_along(axis, images, stack, name)
    used = tuple(dict.fromkeys(frame.path for frame in frames))
    return Series(images, positions, frames[0].series, frames[0].identity, used)


def _frames(path: Path, limits: Limits) -> Iterator[_Frame]:
    data, name = load_bytes(path, limits.max_bytes)
    dataset = parsed(data, name)
    with guarded(name):
        if text(dataset.file_meta, "MediaStorageSOPClassUID") == _DIRECTORY_CLASS:
            return
    header = header_of(dataset, name)
    check_wanted(header, name, limits.modality, limits.burned_in)
    _check_pixels(header.frames, header, name, limits.max_pixels)
    _check_number(header.frames, name)
    if header.frames > 1:
        check_bytes(dataset, header, name)
    identity, tables = identity_in(dataset, name), Tables()
    for number in range(header.frames):
        with guarded(name):
            places = places_of(dataset, number)
            frame = _Frame(
                path,
                header,
                text(dataset, "SeriesInstanceUID"),
                identity,
                place_of(places),
                rescale_of(places, name, tables),
                shown_by(places, tables),
            )
        yield frame


def _check_number(count: int, name: str) -> None:
    if count > MAX_SIDE:
        raise ReadError(
            f"{name}: the headers say {count:,} slices", f"at most {MAX_SIDE:,}", "read a part of the files"
        )


def _check_pixels(count: int, header: Header, name: str, max_pixels: int) -> None:
    size = f"{count:,} slices of {header.columns} x {header.rows} pixels"
    if header.rows < 1 or header.columns < 1 or count < 1:
        raise ReadError(f"{name}: the header says {size}", "at least 1 x 1 x 1", "export the file again")
    if count * header.rows * header.columns > max_pixels:
        fix = "pass a larger max_pixels if you trust the files and have the memory"
        raise ReadError(f"{name}: the headers say {size}", f"at most {max_pixels:,} pixels in all", fix)


def _check_alike(frames: Sequence[_Frame], name: str, max_pixels: int) -> None:
    first_of: dict[str, str] = {}
    for frame in frames:
        first_of.setdefault(frame.series, frame.path.name)
    if len(first_of) > 1:
        counts = Counter(frame.series for frame in frames)
        each = few([f"{path} and {counts[series] - 1} more" for series, path in first_of.items()])
        found = f"{name}: the folder holds {len(first_of)} series: {each}"
        raise ReadError(found, "one series", "move each into a folder of its own")
    kinds = Counter((item.header.rows, item.header.columns, item.header.photometric) for item in frames)
    if len(kinds) > 1:
        each = few([f"{count} of {kind}" for kind, count in kinds.most_common()])
        found = f"{name}: the slices differ in rows, columns or kind: {each}"
        raise ReadError(found, "slices of one size", "leave out what does not belong, such as localisers")
    _check_pixels(len(frames), frames[0].header, name, max_pixels)


def _shown_alike(frames: Sequence[_Frame], name: str) -> Shown:
    """Return the window that all slices have; None, for the percentiles of all, where they differ."""
    # By identity first: a long table is compared once, not once a frame.
    shown = set({id(frame.shown): frame.shown for frame in frames}.values())
    if len(shown) == 1:
        return shown.pop()
    logger.info("%s: the window differs from slice to slice; the percentiles of all are taken instead", name)
    return None


def _measured(frames: Sequence[_Frame], stack: Stack, limits: Limits) -> Measured:
    header = frames[0].header
    rank = {index: rank for rank, index in enumerate(stack.order)}
    measured = np.empty((len(frames), header.rows, header.columns), np.float32)
    paths = dict.fromkeys(frame.path for frame in frames)
    index = 0
    for path in track(paths, "decoding slices"):
        data, name = load_bytes(path, limits.max_bytes)
        dataset, own = parsed(data, name), frames[index].header
        for stored in stored_frames(dataset, own, name):
            measured[rank[index]] = frames[index].rescale.apply(stored, padding_of(stored, own))
            index += 1
    return measured


def _seen_along(
    axis: Axis, images: NDArray[np.uint8], stack: Stack, name: str
) -> tuple[NDArray[np.uint8], tuple[float, ...] | None]:
    if stack.directions is None or stack.positions is None:
        found = f"{name}: the files do not say how the slices lie, so they cannot be shown as {axis} ones"
        raise ReadError(
            found, "positions and orientations", "leave axis out to get them as they were scanned"
        )
    turn = turn_to(axis, stack.directions)
    if stack.gaps and turn.order[0]:
        found = f"{name}: {stack.gaps} gaps among the slices, so they cannot be cut along another axis"
        raise ReadError(found, "a whole series", "add what is missing, or leave axis out")
    return turn.apply(images), _positions_along(turn.order[0], turn.reversed, images.shape, stack)


def _positions_along(
    own: int, turned: Sequence[int], shape: tuple[int, ...], stack: Stack
) -> tuple[float, ...] | None:
    """Return positions along one of the volume's axes: those of its slices, or steps of rows or columns."""
    if own == 0:
        along = stack.positions
    else:
        along = stack.spacing and tuple(step * stack.spacing[own - 1] for step in range(shape[own]))
    if along is None or 0 not in turned:
        return along
    return tuple(along[0] + along[-1] - value for value in reversed(along))
