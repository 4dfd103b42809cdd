"""The bytes of a DICOM file to pydicom's data set: quiet, bounded, and with errors that name no patient."""

import logging
import re
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from mri_tumor._lazy import load_extra
from mri_tumor.errors import MriTumorError, ReadError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

MAX_INFLATED = 200_000_000
"""How many bytes a deflated file may inflate to: 64 million pixels of 16 bits, and room for the header."""

_MAGIC, _MAGIC_AT = b"DICM", 128
# The first element of a file without preamble, as older archives hold: group 2 or 8, then either the two
# letters of its type, or a short length.
_BARE = re.compile(
    rb"[\x02\x08]\x00[\x00-\x18]\x00(?:(?:UL|OB|UI|CS|SH|DA)[\x00-\xff]{2}|[\x01-\x80]\x00\x00\x00)"
)
_DEFLATED, _PLAIN = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\x00\x00\x00"
_FILE_META_GROUP = 2
_TALKATIVE = frozenset({"pydicom", "pylibjpeg", "libjpeg", "_libjpeg", "openjpeg", "_openjpeg", "rle"})

# `warnings.catch_warnings` changes what all threads share, so one thread at a time is inside it.
_LOCK = threading.RLock()


def matches(data: bytes) -> bool:
    """Return whether the bytes are a DICOM file, with or without the preamble of 128 bytes.

    >>> matches(bytes(128) + b"DICM"), matches(b"DICM")
    (True, False)
    """
    return data.startswith(_MAGIC, _MAGIC_AT) or _BARE.match(data) is not None


def parsed(data: bytes, name: str, *, pixels: bool = True, only: Sequence[str] = ()) -> "Dataset":
    """Return the data set of a file's bytes. Its values are converted as they are used: inside `guarded`.

    Args:
        data: the whole file, or with `pixels=False` a beginning of it that holds the header.
        name: what errors call it.
        pixels: whether to read beyond the header.
        only: keywords of the elements to keep; none means all.

    Raises:
        ReadError: it is damaged, or inflates to more than `MAX_INFLATED` bytes.
        MissingExtra: pydicom is not installed.
    """
    pydicom = load_extra("pydicom", "dicom", "reading DICOM files")
    with guarded(name):
        plain = _inflated(data, name, whole=pixels)
        found: Dataset = pydicom.dcmread(
            BytesIO(plain), force=True, stop_before_pixels=not pixels, specific_tags=[*only] or None
        )
        if "TransferSyntaxUID" not in found.file_meta:
            found.file_meta.TransferSyntaxUID = _guessed(*found.original_encoding)
    return found


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Make a ReadError of whatever pydicom or a decoder raises, and keep their warnings and log lines back.

    They quote values of the file, which may be a patient's name; so nothing of their text is passed on.
    """
    with _LOCK, warnings.catch_warnings(), _muted():
        warnings.simplefilter("ignore")
        try:
            yield
        except MriTumorError:
            raise
        except Exception as error:  # damaged bytes raise anything at all, from struct.error to RecursionError
            raise damaged(name, f"cannot be decoded ({type(error).__name__})") from None


def damaged(name: str, what: str) -> ReadError:
    """Return the error for a file that is not whole or not sound."""
    fix = "fetch or export the file again, or leave it out"
    return ReadError(f"{name}: the DICOM file {what}", "a complete DICOM file", fix)


def _guessed(implicit: bool | None, little: bool | None) -> "UID":
    """Return the transfer syntax of a file that does not name one; its pixels are not coded then."""
    from pydicom import uid

    if not little:
        return uid.ExplicitVRBigEndian
    return uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian


@contextmanager
def _muted() -> Iterator[None]:
    thread, loggers = threading.get_ident(), _talkative(len(logging.root.manager.loggerDict))

    def from_elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    for logger in loggers:
        logger.addFilter(from_elsewhere)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(from_elsewhere)


@lru_cache(maxsize=1)
def _talkative(_known: int) -> tuple[logging.Logger, ...]:
    """Return the loggers of pydicom and its decoders: a logger's filters do not go for those below it.

    Args:
        _known: how many loggers there are: they are looked through again when there are more.
    """
    names = list(logging.root.manager.loggerDict)
    return tuple(logging.getLogger(name) for name in names if name.partition(".")[0] in _TALKATIVE)


def _inflated(data: bytes, name: str, *, whole: bool) -> bytes:
    """Return a deflated file as a plain one, because pydicom would inflate it without a limit."""
    head = data[: _end_of_file_meta(data)]
    if _DEFLATED not in head:
        return data
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    body = unpacker.decompress(data[len(head) :], MAX_INFLATED)
    if unpacker.unconsumed_tail:
        found = f"{name}: the DICOM file inflates to more than {MAX_INFLATED:,} bytes"
        raise ReadError(found, f"at most {MAX_INFLATED:,}", "store it without deflate if you trust the file")
    if whole and not unpacker.eof:
        raise damaged(name, "is cut off")
    return head.replace(_DEFLATED, _PLAIN) + body


def _end_of_file_meta(data: bytes) -> int:
    from pydicom.filereader import data_element_generator

    stream = BytesIO(data)
    stream.seek(_MAGIC_AT + len(_MAGIC) if data.startswith(_MAGIC, _MAGIC_AT) else 0)
    elements = data_element_generator(
        stream, False, True, lambda tag, _type, _length: tag.group != _FILE_META_GROUP
    )
    for _ in elements:
        pass
    return stream.tell()
