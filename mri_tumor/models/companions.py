"""The files that lie beside a classifier's network, each named in its manifest with its SHA-256."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri_tumor.errors import ManifestMismatch
from mri_tumor.files import sha256_of
from mri_tumor.manifest import FILE_NAME, Manifest
from mri_tumor.models.novelty import Density
from mri_tumor.models.seen import Seen

MODEL_FILE = "model.keras"
"""The network's file in a classifier's folder, beside `manifest.json`."""

SEEN_FILE = "training_pictures.json"
"""The hashes of the training pictures, in the same folder; not there where nothing is known of them."""

SELECTED_FILE = "selection_pictures.json"
"""The hashes of the pictures that something was selected by; not there where there are none."""

CALIBRATED_FILE = "calibration_pictures.json"
"""The hashes of the pictures that it was calibrated by; not there where it was not calibrated."""

DENSITY_FILE = "decision.npz"
"""Where the training pictures' features lie; not there where that was not measured."""

_FILES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "seen": (SEEN_FILE, Seen.load),
    "selected": (SELECTED_FILE, Seen.load),
    "calibrated": (CALIBRATED_FILE, Seen.load),
    "density": (DENSITY_FILE, Density.load),
}

FILES = tuple(file for file, _ in _FILES.values())
"""What may lie beside a saved network and its manifest."""


@dataclass(frozen=True)
class Companions:
    """What is kept with a network.

    Args:
        seen: the pictures that it was trained on; None if nothing is known of them.
        selected: the pictures that something was selected by, an epoch or a strength; None if nothing was, or
            nothing is known of them.
        calibrated: the pictures that it was calibrated by; None if it was not.
        density: where the training pictures' features lie; None if that was not measured.
    """

    seen: Seen | None = None
    selected: Seen | None = None
    calibrated: Seen | None = None
    density: Density | None = None

    def save(self, folder: Path) -> dict[str, Any]:
        """Write each into a file of its own; return what the manifest says of them."""
        cards = {}
        for name, (file, _) in _FILES.items():
            if (part := getattr(self, name)) is not None:
                part.save(folder / file)
                cards[name] = card_of(folder / file)
        return cards

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "Companions":
        """Read those that the manifest names.

        Raises:
            ManifestMismatch: one is missing, altered or damaged.
        """
        parts = {}
        for name, (file, load) in _FILES.items():
            if name in manifest.sections["model"]:
                check_file(folder / file, manifest, name)
                parts[name] = load(folder / file)
        return cls(**parts)


def card_of(path: Path) -> dict[str, Any]:
    """Return what a manifest says of a file."""
    return {"name": path.name, "sha256": sha256_of(path), "bytes": path.stat().st_size}


def without_cards(section: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest's section `"model"` without what it says of files."""
    return {name: value for name, value in section.items() if name not in ("file", *_FILES)}


def identity(manifest: Manifest) -> str:
    """Return a digest of which classifier a manifest is of: the same before and after it is saved.

    Data, recipe, course of training and decision count; the files that it happens to be saved in do not.
    """
    sections = manifest.sections | {"model": without_cards(dict(manifest.sections.get("model", {})))}
    return Manifest(manifest.kind, sections).digest


def kept_files(manifest: Manifest) -> list[str]:
    """Return the names of the files that a saved classifier consists of."""
    named = [file for name, (file, _) in _FILES.items() if name in manifest.sections["model"]]
    return [MODEL_FILE, FILE_NAME, *named]


def check_file(path: Path, manifest: Manifest, entry: str) -> None:
    """Check a file against its entry in the manifest's section `"model"`.

    Raises:
        ManifestMismatch: it is missing, or another than was saved.
    """
    section = manifest.sections.get("model")
    file = section.get(entry) if isinstance(section, dict) else None
    recorded = file.get("sha256") if isinstance(file, dict) else None
    if not path.is_file():
        raise ManifestMismatch(
            f"{path} is missing", f"{path.name} beside its manifest", "copy the whole folder again"
        )
    found = sha256_of(path)
    if found != recorded:
        raise ManifestMismatch(
            f"{path} has SHA-256 {found:.12}, its manifest names {recorded!s:.12}",
            "the file that was saved with this manifest",
            "copy the whole folder again, or save the classifier again",
        )
