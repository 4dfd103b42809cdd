"""What is odd about a picture's file: unreadable, empty, mistyped, coloured, blank, tiny or huge."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mri_tumor.dataset.auditing.traits import Traits
from mri_tumor.dataset.records import without_path
from mri_tumor.errors import ReadError

TINY = 64
"""A picture whose shorter side has fewer pixels than this is tiny: a thumbnail rather than a slice."""

HUGE = 2048
"""A picture whose longer side has more pixels than this is huge: a photo or a page, no scanner's matrix."""

COLOURED = 0.002
"""A picture of which more than this share has real colour is coloured: a small mark is enough."""

FLAT = 1.0
"""A picture whose grey levels deviate less than this from their mean is blank."""

KINDS = ("unreadable", "empty", "mistyped", "coloured", "blank", "tiny", "huge")
"""Every kind of finding, the gravest first."""

# Format -> the suffixes that say it. A suffix that is not here says nothing.
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "WebP": (".webp",),
    "DICOM": (".dcm", ".dicom"),
    "NIfTI": (".nii",),
    "gzip": (".gz",),
    "MATLAB": (".mat",),
}
_SAID_BY = {suffix: name for name, suffixes in _SUFFIXES.items() for suffix in suffixes}


@dataclass(frozen=True)
class FileFinding:
    """Something odd about one file, and what to do.

    Args:
        id: the picture.
        side: `"train"` or `"test"`.
        kind: one of `KINDS`.
        found: what is wrong.
        fix: what to do.
    """

    id: str
    side: str
    kind: str
    found: str
    fix: str

    @property
    def reason(self) -> str:
        """The picture, what is wrong with it and what to do, as one text."""
        return f"{self.id}: {self.found}. To do: {self.fix}"


def unread(name: str, side: str, path: Path, error: ReadError) -> FileFinding:
    """Return the finding for a picture that cannot be read."""
    kind = "empty" if _is_empty(path) else "unreadable"
    # The finding names the picture by its id; where its folder lies is nobody else's business.
    return FileFinding(name, side, kind, without_path(error.found, path), error.fix)


def odd(name: str, side: str, path: Path, traits: Traits) -> Iterator[FileFinding]:
    """Yield what is odd about a picture that could be read."""
    checks = (
        ("mistyped", _mistyped(path, traits.format)),
        ("coloured", _coloured(traits)),
        ("blank", _blank(traits)),
        ("tiny", _tiny(traits)),
        ("huge", _huge(traits)),
    )
    for kind, finding in checks:
        if finding:
            yield FileFinding(name, side, kind, *finding)


def _is_empty(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size == 0
    except (OSError, ValueError):
        return False


def _mistyped(path: Path, found: str) -> tuple[str, str] | None:
    said = _SAID_BY.get(path.suffix.lower())
    if not found or said in (None, found):
        return None
    fix = f"rename it to {_SUFFIXES[found][0]}: this library goes by the bytes, other tools by the name"
    return f"its name says {said}, its bytes are {found}", fix


def _coloured(traits: Traits) -> tuple[str, str] | None:
    if traits.colour <= COLOURED:
        return None
    return (
        f"{traits.colour:.1%} of it has colour",
        "look at it: a drawn mark, a colour map or another modality? It is turned to grey when it is read",
    )


def _blank(traits: Traits) -> tuple[str, str] | None:
    mean, deviation, _ = traits.brightness
    if deviation >= FLAT:
        return None
    return f"all of it has about one grey level ({mean:.0f})", "leave it out, or fetch the original"


def _tiny(traits: Traits) -> tuple[str, str] | None:
    if min(traits.width, traits.height) >= TINY:
        return None
    return (
        f"{traits.width} x {traits.height} pixels, the shorter side below {TINY}",
        "fetch the original: a thumbnail lost what a classifier should see",
    )


def _huge(traits: Traits) -> tuple[str, str] | None:
    if max(traits.width, traits.height) <= HUGE:
        return None
    return (
        f"{traits.width} x {traits.height} pixels, the longer side above {HUGE}",
        "look at it: a photo, a page of many slices, or a picture blown up? Cut it or fetch the original",
    )
