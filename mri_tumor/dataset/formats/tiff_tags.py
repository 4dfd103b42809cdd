"""The tags of a TIFF file's first page: what it holds and where, before any pixel is touched.

After the specification: TIFF revision 6.0, Adobe 1992.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from mri_tumor.errors import ReadError

LITTLE, BIG = b"II*\x00", b"MM\x00*"

SAVE_ANEW = "save it again as an 8- or 16-bit grey or RGB TIFF, or as PNG"

Order = Literal["<", ">"]

# Type of a tag's values -> bytes a value; a tag of another type is nobody's.
_LENGTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
# Type -> the numbers that are read here: bytes, shorts, longs, undefined bytes.
_BYTE, _SHORT, _LONG, _UNDEFINED = 1, 3, 4, 7
_NUMBERS = {_BYTE: "u1", _SHORT: "u2", _LONG: "u4", _UNDEFINED: "u1"}
_MOST_PAGES = 1000  # counting ends here
_MOST_TAGS = 1000
_MOST_BLOCKS = 1_000_000  # 64 million pixels in the smallest tiles, each channel for itself, have 750,000
_MOST_SAMPLES, _MOST_COLOURS, _MOST_TABLE_BYTES = 1000, 3 * 256, 65_535
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR = 266, 273, 277, 278, 279, 284
_PREDICTOR, _PALETTE, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 317, 320, 322, 323, 324, 325
_SAMPLE_FORMAT, _JPEG_TABLES = 339, 347
_REDUCED_OR_MASK = 1 | 4


@dataclass(frozen=True)
class Page:
    """A page's tags, in the specification's own numbers.

    Args:
        height: in pixels.
        width: in pixels.
        samples: values a pixel.
        bits: of one value.
        sample_format: 1 unsigned, 2 signed, 3 float.
        byte_order: little or big end first.
        compression: 1 none, 5 LZW, 7 JPEG, 8 deflate, 32773 PackBits, ...
        predictor: 1 none, 2 differences between neighbours.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 6 YCbCr.
        separate: whether each sample has blocks of its own.
        palette: the colours' 16-bit values: all reds, all greens, all blues.
        block: height and width of a strip or tile.
        tiled: whether these are tiles.
        starts: where each block begins in the file.
        lengths: how many bytes it has.
        jpeg_tables: what all JPEG blocks share.
    """

    height: int
    width: int
    samples: int
    bits: int
    sample_format: int
    byte_order: Order
    compression: int
    predictor: int
    photometric: int
    separate: bool
    palette: tuple[int, ...]
    block: tuple[int, int]
    tiled: bool
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    jpeg_tables: bytes


def read_page(data: bytes, name: str) -> Page:
    """Return the tags of the only page.

    Raises:
        ReadError: they are cut off or damaged, or there are several pages.
    """
    order: Order = "<" if data.startswith(LITTLE) else ">"
    first, *others = islice(_directories(data, order, name), _MOST_PAGES)
    # Previews and masks of a page are no pages.
    pages = 1 + sum(not tags.one(_SUBFILE, 0) & _REDUCED_OR_MASK for tags in others)
    if pages > 1:
        many = f"{pages} or more" if pages >= _MOST_PAGES else str(pages)
        raise ReadError(f"{name}: the TIFF has {many} pages", "one page", "save each page as a file")
    if first.one(_FILL_ORDER, 1) != 1:
        raise ReadError(f"{name}: the TIFF's bits are in reverse order", "the usual order", SAVE_ANEW)
    return _page(first)


def damaged(name: str, what: str) -> ReadError:
    """Return the error for a TIFF that is not whole."""
    fix = "fetch or export the file again, or leave it out"
    return ReadError(f"{name}: the TIFF {what}", "a complete TIFF", fix)


def _page(tags: "_Tags") -> Page:
    height, width = tags.one(_HEIGHT), tags.one(_WIDTH)
    samples = tags.one(_SAMPLES, 1)
    tiled = tags.holds(_TILES)
    starts, lengths = (_TILES, _TILE_BYTES) if tiled else (_STRIPS, _STRIP_BYTES)
    strip = (min(tags.one(_ROWS, height), height), width)
    return Page(
        height=height,
        width=width,
        samples=samples,
        bits=tags.same(_BITS, samples, 1),
        sample_format=tags.same(_SAMPLE_FORMAT, samples, 1),
        byte_order=tags.order,
        compression=tags.one(_COMPRESSION, 1),
        predictor=tags.one(_PREDICTOR, 1),
        photometric=tags.one(_PHOTOMETRIC),
        separate=samples > 1 and tags.one(_PLANAR, 1) == 2,
        palette=tags.all(_PALETTE, _MOST_COLOURS, [_SHORT]),
        block=(tags.one(_TILE_HEIGHT), tags.one(_TILE_WIDTH)) if tiled else strip,
        tiled=tiled,
        starts=tags.all(starts, _MOST_BLOCKS),
        lengths=tags.all(lengths, _MOST_BLOCKS),
        jpeg_tables=bytes(tags.all(_JPEG_TABLES, _MOST_TABLE_BYTES, [_BYTE, _UNDEFINED])),
    )


class _Tags:
    """One directory of tags; every value that it points to lies inside the file."""

    def __init__(self, data: bytes, order: Order, start: int, name: str) -> None:
        self.order = order
        self._data, self._name = data, name
        self._places: dict[int, tuple[int, int, int]] = {}
        entries = _number(data, start, 2, order, name)
        if entries > _MOST_TAGS:
            raise ReadError(f"{name}: the TIFF has {entries} tags", f"at most {_MOST_TAGS}", SAVE_ANEW)
        for place in range(start + 2, start + 2 + 12 * entries, 12):
            self._note(place)
        self.next = _number(data, start + 2 + 12 * entries, 4, order, name)

    def _note(self, place: int) -> None:
        tag, kind, count = (self._number(place + at, size) for at, size in ((0, 2), (2, 2), (4, 4)))
        length = count * _LENGTHS.get(kind, 0)
        start = place + 8 if length <= 4 else self._number(place + 8, 4)
        if start + length > len(self._data):
            raise damaged(self._name, f"is cut off: tag {tag} points behind its end")
        self._places.setdefault(tag, (kind, count, start))

    def _number(self, place: int, size: int) -> int:
        return _number(self._data, place, size, self.order, self._name)

    def holds(self, tag: int) -> bool:
        return tag in self._places

    def all(self, tag: int, most: int, kinds: Container[int] = frozenset(_NUMBERS)) -> tuple[int, ...]:
        """Return a tag's numbers, at most so many and of one of these types; none if it is not there."""
        if tag not in self._places:
            return ()
        kind, count, start = self._places[tag]
        if kind not in kinds:
            raise damaged(self._name, f"is damaged: tag {tag} is of type {kind}")
        if count > most:
            found = f"{self._name}: tag {tag} of the TIFF has {count:,} values"
            raise ReadError(found, f"at most {most:,}", SAVE_ANEW)
        dtype = self.order + _NUMBERS[kind]
        return tuple(np.frombuffer(self._data, dtype, count, start).tolist()) if count else ()

    def one(self, tag: int, default: int | None = None) -> int:
        """Return a tag's only number."""
        count = self._count(tag)
        if not count and default is not None:
            return default
        if count != 1:
            raise damaged(self._name, f"is damaged: tag {tag} has {count} values instead of 1")
        return self.all(tag, 1)[0]

    def same(self, tag: int, samples: int, default: int) -> int:
        """Return the number that a tag gives to every sample."""
        count = self._count(tag)
        if count not in (0, 1, samples):
            raise damaged(self._name, f"is damaged: tag {tag} has {count} values for {samples} samples")
        numbers = self.all(tag, _MOST_SAMPLES) or (default,)
        if len(set(numbers)) > 1:
            raise ReadError(f"{self._name}: the TIFF's samples differ (tag {tag})", "one kind", SAVE_ANEW)
        return numbers[0]

    def _count(self, tag: int) -> int:
        return self._places.get(tag, (0, 0, 0))[1]


def _directories(data: bytes, order: Order, name: str) -> Iterator[_Tags]:
    """Yield every directory in turn."""
    seen = {0}
    place = _number(data, 4, 4, order, name)
    if not place:
        raise damaged(name, "is damaged: it has no page")
    while place not in seen:
        seen.add(place)
        yield (tags := _Tags(data, order, place, name))
        place = tags.next
    if place:
        raise damaged(name, "is damaged: its pages lead in a circle")


def _number(data: bytes, place: int, size: int, order: Order, name: str) -> int:
    field = data[place : place + size]
    if len(field) < size:
        raise damaged(name, f"is cut off: something is missing at byte {place}")
    return int.from_bytes(field, "little" if order == "<" else "big")
