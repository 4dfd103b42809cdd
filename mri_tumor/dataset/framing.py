"""Where the head is in a picture, and how its box becomes a square."""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""(top, bottom, left, right), ends exclusive."""

STEP = 2
"""Every second row and column is looked at to find the head: a quarter of the work, the same box.

`thinned` takes two bytes at a time: another step needs another `thinned`.
"""

GAP = 50
"""A run of rows or columns goes on across a gap of up to one `GAP`-th of the side."""


def thinned(image: Grey) -> Grey:
    """Return every `STEP`-th row and column, for a picture whose rows are contiguous.

    >>> thinned(np.arange(15, dtype=np.uint8).reshape(3, 5))
    array([[ 0,  2,  4],
           [10, 12, 14]], dtype=uint8)
    """
    height, width = image.shape
    result = np.empty((-(-height // STEP), -(-width // STEP)), np.uint8)
    # Two pixels as one number, of which the lower byte is kept: half the time of steps of two bytes.
    result[:, : width // STEP] = image[::STEP, : width // STEP * STEP].view("<u2")
    if width % STEP:
        result[:, -1] = image[::STEP, -1]
    return result


def find_head(image: Grey, *, threshold: int, coverage: int, sample: Grey | None = None) -> Box:
    """Return the box of the head; that of the whole picture if there is none.

    Of the rows in which at least `coverage` percent of the pixels are brighter than `threshold` the longest
    run counts, and likewise of the columns: a frame around the picture or a line of text beside the head is a
    run of its own.

    Args:
        image: uint8 (H, W).
        threshold: grey level, 0-255.
        coverage: percentage, 1-100.
        sample: `thinned(image)`, from whoever has it already.

    >>> picture = np.zeros((12, 60), np.uint8)
    >>> picture[4:8, 20:50] = 100
    >>> picture[:, 0] = 255
    >>> find_head(picture, threshold=30, coverage=25)
    (4, 8, 20, 50)
    """
    height, width = image.shape
    sample = thinned(image) if sample is None else sample
    rows, columns = map(longest_run, _hits(sample, threshold, coverage))
    if rows is None or columns is None:
        return 0, height, 0, width
    top, bottom, left, right = (STEP * end for end in (*rows, *columns))
    return top, min(bottom, height), left, min(right, width)


def content_box(image: Grey, *, threshold: int, coverage: int) -> Box:
    """Return the box from the first to the last row, and column, that `find_head` would count.

    It leaves out nothing but margins: what the audit compares pictures by.

    >>> picture = np.zeros((10, 10), np.uint8)
    >>> picture[2:5, 3:9] = 100
    >>> content_box(picture, threshold=30, coverage=2)
    (2, 5, 3, 9)
    """
    height, width = image.shape
    rows, columns = (np.flatnonzero(hits) for hits in _hits(image, threshold, coverage))
    if not rows.size or not columns.size:
        return 0, height, 0, width
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def longest_run(hits: npt.NDArray[np.bool_]) -> tuple[int, int] | None:
    """Return (start, end) of the longest run of True, the first of equals; None if there is no True.

    >>> longest_run(np.array([1, 0, 0, 1, 1, 0, 1, 0, 0], bool))
    (3, 7)
    """
    places = np.flatnonzero(hits)
    if not places.size:
        return None
    # Where a run ends that is not the last one; most pictures have one run only.
    breaks = np.flatnonzero(places[1:] - places[:-1] > max_step(len(hits))).tolist()
    starts = [int(places[first]) for first in (0, *(place + 1 for place in breaks))]
    ends = [int(places[last]) + 1 for last in (*breaks, -1)]
    return max(zip(starts, ends, strict=True), key=lambda run: run[1] - run[0])


def max_step(side: int) -> int:
    """Return how far apart two hits of one run may be: 2 for short sides, so that one miss is closed.

    >>> max_step(100), max_step(500)
    (2, 10)
    """
    return max(2, side // GAP)


def letterbox(image: Grey, size: int) -> Grey:
    """Return uint8 (size, size): the picture resized to fit, proportions kept, centred on black."""
    height, width = image.shape
    top, bottom, left, right = letterboxed(height, width, size)
    result = np.zeros((size, size), np.uint8)
    result[top:bottom, left:right] = resized(image, bottom - top, right - left)
    return result


def letterboxed(height: int, width: int, size: int) -> Box:
    """Return the box that a picture of this height and width gets in a square of `size` pixels.

    >>> letterboxed(100, 200, 224)
    (56, 168, 0, 224)
    """
    longest = max(height, width)
    new_height, new_width = fitted(height, longest, size), fitted(width, longest, size)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    return top, top + new_height, left, left + new_width


def stretched(image: Grey, size: int) -> Grey:
    """Return uint8 (size, size): the picture resized to fill, whatever its proportions."""
    return resized(image, size, size)


def resized(image: Grey, height: int, width: int) -> Grey:
    """Return uint8 (height, width): area kernel when both sides shrink, linear otherwise."""
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=kernel), np.uint8)


def fitted(side: int, longest: int, size: int) -> int:
    """Return `side` x `size` / `longest`, rounded half up, at least 1.

    >>> fitted(100, 200, 224), fitted(3, 2000, 224)
    (112, 1)
    """
    return max(1, (2 * side * size + longest) // (2 * longest))


def _hits(image: Grey, threshold: int, coverage: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which rows, and which columns, have enough pixels above the threshold."""
    height, width = image.shape
    mask = cv2.threshold(image, threshold, 1, cv2.THRESH_BINARY)[1]
    in_rows = cv2.reduce(mask, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    in_columns = cv2.reduce(mask, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    return in_rows * 100 >= coverage * width, in_columns * 100 >= coverage * height
