"""What a DICOM file says about its picture, read once into a record of plain numbers and texts."""

import math
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mri_tumor.dataset.formats.dicom.file import damaged, guarded
from mri_tumor.errors import ReadError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
"""Where the pixels may be."""

# The storage classes of MR pictures: they say it where the modality was removed.
_MR_CLASSES = "1.2.840.10008.5.1.4.1.1.4"
_MOST_BITS = 64
_GREY = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True)
class Header:
    """What is needed to judge and decode the pixels.

    Args:
        rows: height of a frame in pixels.
        columns: width of a frame in pixels.
        frames: how many pictures the file holds.
        samples: channels a pixel; 1 is grey.
        photometric: what the values mean, such as `"MONOCHROME2"`.
        allocated_bits: how many bits a value takes.
        stored_bits: how many bits of a value count; 0 for floating point.
        high_bit: the place of the highest of them.
        signed: whether they are in two's complement.
        padding: the lowest and highest stored value that stand for "no picture here", if any.
        modality: such as `"MR"`.
        image_type: such as `("ORIGINAL", "PRIMARY")`.
        burned_in: whether the file says that its picture shows text that may name the patient.
        has_pixels: whether there is a picture at all.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    allocated_bits: int
    stored_bits: int
    high_bit: int
    signed: bool
    padding: tuple[int, int] | None
    modality: str
    image_type: tuple[str, ...]
    burned_in: bool
    has_pixels: bool

    @property
    def inverted(self) -> bool:
        """Whether the lowest value is white."""
        return self.photometric == "MONOCHROME1"


def header_of(dataset: "Dataset", name: str) -> Header:
    """Read the header.

    Raises:
        ReadError: a value that decoding needs is missing or makes no sense.
    """
    with guarded(name):
        allocated = whole_number(dataset, "BitsAllocated") or 0
        stored = whole_number(dataset, "BitsStored") or allocated
        if not max(allocated, stored) <= _MOST_BITS:
            raise damaged(name, f"says {max(allocated, stored):,} bits a pixel")
        high = whole_number(dataset, "HighBit")
        header = Header(
            rows=whole_number(dataset, "Rows") or 0,
            columns=whole_number(dataset, "Columns") or 0,
            frames=_frames(dataset),
            samples=whole_number(dataset, "SamplesPerPixel") or 1,
            photometric=text(dataset, "PhotometricInterpretation").upper(),
            allocated_bits=allocated,
            stored_bits=stored if "PixelData" in dataset else 0,
            high_bit=stored - 1 if high is None else high,
            signed=whole_number(dataset, "PixelRepresentation") == 1,
            padding=_padding(dataset, stored),
            modality=_modality(dataset),
            image_type=tuple(str(value).upper() for value in values(dataset, "ImageType")),
            burned_in=text(dataset, "BurnedInAnnotation").upper() == "YES",
            has_pixels=any(keyword in dataset for keyword in PIXEL_KEYWORDS),
        )
    if header.stored_bits and not header.stored_bits - 1 <= header.high_bit < 64:
        raise damaged(name, f"says {header.stored_bits} bits a pixel, the highest at {header.high_bit}")
    return header


def check_wanted(header: Header, name: str, modality: str | None, burned_in: bool) -> None:
    """Refuse what could be decoded and is still no grey MR slice.

    Args:
        header: what the file says.
        name: what errors call it.
        modality: the only one that is taken; None takes all.
        burned_in: whether pictures are taken that say that text is burned into them.

    Raises:
        ReadError: it holds no picture, or one that is not wanted.
    """
    if not header.has_pixels:
        kind = f" (modality {header.modality})" if header.modality else ""
        found = f"{name}: this DICOM file holds no pixels{kind}: a report or an index, or it is cut off"
        raise ReadError(found, "a picture", "leave it out, or fetch it again")
    if modality is not None and header.modality != modality.upper():
        found = f"{name}: the modality is {header.modality or 'not given'}"
        fix = f"leave it out, or pass modality={header.modality or None!r} if that is what you want"
        raise ReadError(found, f"{modality.upper()}", fix)
    if "MOSAIC" in header.image_type:
        found = f"{name}: this is a mosaic, many slices tiled into one picture"
        raise ReadError(found, "one slice a picture", "convert it to NIfTI, and read that with read_slices()")
    if header.burned_in and not burned_in:
        found = f"{name}: the file says that text is burned into its picture, which may name the patient"
        raise ReadError(
            found, "a picture without", "leave it out, or pass burned_in=True once you looked at it"
        )
    if header.photometric not in _GREY or header.samples != 1:
        found = f"{name}: the pixels are {header.photometric or 'of no kind given'}, {header.samples} a place"
        raise ReadError(found, f"grey: {' or '.join(_GREY)}", "leave it out: a scanner's slices are grey")


def text(dataset: "Dataset", keyword: str) -> str:
    """Return the first value of an element as one line of text, an empty one where there is none."""
    found = values(dataset, keyword)
    return "".join(filter(str.isprintable, str(found[0]))).strip() if found else ""


def number(dataset: "Dataset", keyword: str) -> float | None:
    """Return the first value of an element if that is a finite number."""
    return next(iter(numbers(dataset, keyword)), None)


def numbers(dataset: "Dataset", keyword: str) -> tuple[float, ...]:
    """Return the values of an element if all of them are finite numbers, else none."""
    try:
        found = tuple(float(value) for value in values(dataset, keyword))
    except (TypeError, ValueError, OverflowError):
        return ()
    return found if all(map(math.isfinite, found)) else ()


def whole_number(dataset: "Dataset", keyword: str) -> int | None:
    """Return the first value of an element if that is a number, cut to a whole one."""
    value = number(dataset, keyword)
    return None if value is None else int(value)


def values(dataset: "Dataset", keyword: str) -> Sequence[Any]:
    """Return all values of an element as a sequence, however many there are."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return ()
    several = isinstance(value, MutableSequence) and not isinstance(value, bytearray)
    return tuple(value) if several else (value,)


def _frames(dataset: "Dataset") -> int:
    frames = whole_number(dataset, "NumberOfFrames")
    return 1 if frames is None else frames


def _modality(dataset: "Dataset") -> str:
    is_mr = text(dataset, "SOPClassUID").startswith(_MR_CLASSES)
    return text(dataset, "Modality").upper() or ("MR" if is_mr else "")


def _padding(dataset: "Dataset", bits: int) -> tuple[int, int] | None:
    first = whole_number(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = whole_number(dataset, "PixelPaddingRangeLimit")
    ends = [first, first if last is None else last]
    if whole_number(dataset, "PixelRepresentation") == 1:
        ends = [_signed(end, bits) for end in ends]
    return min(ends), max(ends)


def _signed(value: int, bits: int) -> int:
    """Return a value, or the negative one that was written unsigned: some writers give -2000 as 63536."""
    lower = value & ((1 << bits) - 1)
    negative = lower - (1 << bits)
    # 63536 fills the element's 16 bits, and may stand for pixels of 12 bits, whose own form of it is 2096.
    written = bits > 0 and lower >> (bits - 1) and value - negative in (1 << bits, 1 << 16)
    return negative if written else value
