"""The envelope of the JSON card that travels with every artefact: shards, runs, classifiers, packages."""

import importlib.metadata
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mri_tumor.errors import ManifestMismatch
from mri_tumor.files import digest_of, write_text

FILE_NAME = "manifest.json"
SCHEMA = "1.0"

_RECORDED = ("mri-tumor", "tensorflow", "keras", "numpy", "opencv-python-headless")

_INSTEAD = {
    ("run", "model"): "call train again with the same arguments: the run is not finished",
    ("run", "shards"): "pass the folder that write_tfrecords made, not that of a run",
}
"""What to do where a manifest of one kind lies and another was expected."""

_MISSING = {"shards": "pass a folder that write_tfrecords made; of pictures pass dataset.scan(folder)"}
"""What to do where a manifest of some kind is missing."""


def versions() -> dict[str, str]:
    """Return the versions of the libraries that an artefact depends on; recorded, never checked."""
    found = {}
    for name in _RECORDED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Manifest:
    """What an artefact is and what it was made from.

    Args:
        kind: what lies beside the manifest: `"shards"`, `"run"` or `"model"`; `"split"` stands alone.
        sections: one JSON object a subject; `dataset` fills `"data"`, `models` the rest.
        schema: `"major.minor"` of this card's form. A newer major is refused, a newer minor is read.
        versions: library versions at the time of writing.

    >>> card = Manifest("shards", {"data": {"labels": ["glioma", "none"]}})
    >>> Manifest.from_json(card.to_json()).digest == card.digest
    True
    """

    kind: str
    sections: dict[str, Any]
    schema: str = SCHEMA
    versions: dict[str, str] = field(default_factory=versions)

    @property
    def digest(self) -> str:
        """SHA-256 over kind and sections; versions do not count, so the same content has the same digest."""
        return digest_of({"kind": self.kind, "sections": self.sections})

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as the JSON object that is written."""
        return {
            "kind": self.kind,
            "schema": self.schema,
            "digest": self.digest,
            "versions": self.versions,
            "sections": self.sections,
        }

    def to_json(self) -> str:
        """Return the manifest as indented JSON with sorted keys."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def save(self, folder: str | Path) -> None:
        """Write `manifest.json` into a folder."""
        self.write(Path(folder) / FILE_NAME)

    def write(self, path: str | Path) -> None:
        """Write the manifest to a file of its own."""
        write_text(path, self.to_json())

    @classmethod
    def from_dict(cls, card: Any, *, source: str = "the manifest") -> Self:
        """Check and take over a manifest's JSON object.

        Raises:
            ManifestMismatch: the object is no manifest, is of a newer major schema, or was altered.
        """
        fields = {"kind": str, "schema": str, "digest": str, "versions": dict, "sections": dict}
        if not isinstance(card, dict) or not all(isinstance(card.get(name), fields[name]) for name in fields):
            raise ManifestMismatch(
                f"{source} is not a manifest of this library",
                f"a JSON object with {', '.join(sorted(fields))}",
                "write the artefact again, or point to the folder that holds it",
            )
        if not 0 <= _major(card["schema"]) <= _major(SCHEMA):
            raise ManifestMismatch(
                f"{source} has schema {card['schema']}", f"schema {SCHEMA} or older", "upgrade mri-tumor"
            )
        manifest = cls(card["kind"], card["sections"], card["schema"], card["versions"])
        try:
            digest = manifest.digest
        except (ValueError, RecursionError) as error:
            # JSON can spell numbers and characters that nobody can write: 1e999, half a surrogate pair.
            digest = f"none ({error})"
        if digest != card["digest"]:
            raise ManifestMismatch(
                f"{source} names digest {card['digest']!s:.12} but its content has {digest:.12}",
                "a manifest that nobody altered",
                "write the artefact again",
            )
        return manifest

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str = "the manifest") -> Self:
        """Read a manifest from JSON text; errors as in `from_dict`."""
        try:
            card = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ManifestMismatch(
                f"{source} is not JSON ({error})", "a manifest as this library writes it", "write it again"
            ) from error
        return cls.from_dict(card, source=source)

    @classmethod
    def load(cls, folder: str | Path, *, kind: str) -> Self:
        """Read `manifest.json` from a folder and check its kind.

        Raises:
            ManifestMismatch: there is none, it cannot be read, or it is of another kind.
        """
        return cls.read(Path(folder) / FILE_NAME, kind=kind)

    @classmethod
    def read(cls, path: str | Path, *, kind: str) -> Self:
        """Read a manifest from a file of its own and check its kind; errors as in `load`."""
        try:
            text = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ManifestMismatch(
                f"{path} cannot be read ({reason})",
                f"a manifest of kind {kind!r}",
                _MISSING.get(kind or "", "check the path"),
            ) from error
        manifest = cls.from_json(text, source=str(path))
        if manifest.kind != kind:
            fix = _INSTEAD.get((manifest.kind, kind), "check the path")
            raise ManifestMismatch(f"{path} is of kind {manifest.kind!r}", f"kind {kind!r}", fix)
        return manifest


def _major(schema: str) -> int:
    head = schema.split(".")[0]
    return int(head) if head.isascii() and head.isdecimal() and len(head) < 10 else -1


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
