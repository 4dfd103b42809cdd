"""Who a DICOM file is of, as a group that names nobody."""

import hashlib
import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mri_tumor.dataset.folders import PLAIN_SUFFIXES
from mri_tumor.dataset.formats.dicom.file import guarded, matches, parsed
from mri_tumor.dataset.formats.dicom.header import text
from mri_tumor.errors import ArgumentError, ReadError
from mri_tumor.progress import track

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

logger = logging.getLogger(__name__)

PUBLIC_SALT = "mri_tumor"
"""The salt that everybody has: two scans of one patient give the same group, on whatever machine."""

# What is written in place of an id when it was removed; all patients would become one.
_NOBODY = frozenset(
    {"", "0", "anon", "anonymised", "anonymized", "anonymous", "n/a", "na", "none", "removed", "unknown"}
)
_HEADER_BYTES = 1_000_000  # patient and study stand near the beginning
_DIGITS = 16


def group_hash(identity: str, salt: str) -> str:
    """Return what stands for a patient: 16 hexadecimal digits.

    It is scrypt (RFC 7914) with N = 4096, r = 8, p = 1. Ids are short and few, so with a salt that everybody
    knows they can all be tried; with a secret one they cannot.

    Args:
        identity: what is hidden.
        salt: what makes the hash another one in each project.

    Raises:
        ArgumentError: the salt is no text, or empty.

    >>> group_hash("patient 1", "ours") == group_hash("patient 1", "theirs")
    False
    """
    check_salt(salt)
    return _scrypt(identity, salt)


def check_salt(salt: str) -> None:
    """Raise an ArgumentError unless it is a text that is not empty."""
    if not isinstance(salt, str) or not salt:
        raise ArgumentError("salt is no text, or empty", "a text that only you know", "pass salt='...'")


def identity_of(data: bytes, name: str) -> str | None:
    """Return whom a DICOM file is of: the patient's id, else the study, None if it says neither.

    Args:
        data: the file, or a beginning of it.
        name: what errors call it.

    Raises:
        ReadError: it is damaged.
        MissingExtra: pydicom is not installed.
    """
    return identity_in(parsed(data, name, pixels=False, only=("PatientID", "StudyInstanceUID")), name)


def identity_in(dataset: "Dataset", name: str) -> str | None:
    """Return what `identity_of` does, from a file that was parsed already.

    Raises:
        ReadError: it is damaged.
    """
    with guarded(name):
        patient, study = text(dataset, "PatientID"), text(dataset, "StudyInstanceUID")
    if patient.casefold() not in _NOBODY:
        return f"patient {patient}"
    return f"study {study}" if study else None


def patient_groups(paths: Sequence[Path], salt: str) -> list[str | None]:
    """Return each picture's group by its patient: None for files that are not DICOM or name none.

    A file that cannot be read gets None too: whoever decodes it says what is wrong with it.

    Args:
        paths: the files; of those without a suffix in `folders.PLAIN_SUFFIXES` the header is read.
        salt: as in `group_hash`.

    Raises:
        MissingExtra: there is a DICOM file, and pydicom is not installed.
    """
    asked = [path for path in paths if path.suffix.lower() not in PLAIN_SUFFIXES]
    if not asked:
        return [None] * len(paths)
    if salt == PUBLIC_SALT:
        logger.info(
            "patients become groups by a hash whose salt is public: before you pass on tables or shards, "
            "scan with salt='a secret of your own', or patient ids can be found again by trying them"
        )
    found = {path: _group(path, salt) for path in track(asked, "reading DICOM headers")}
    return [found.get(path) for path in paths]


def _group(path: Path, salt: str) -> str | None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
        identity = identity_of(head, str(path)) if matches(head) else None
    except (OSError, ReadError):
        return None
    return identity and group_hash(identity, salt)


@lru_cache(maxsize=100_000)
def _scrypt(identity: str, salt: str) -> str:
    key = hashlib.scrypt(
        identity.encode("utf-8", "replace"), salt=salt.encode("utf-8", "replace"), n=4096, r=8, p=1
    )
    return key.hex()[:_DIGITS]
