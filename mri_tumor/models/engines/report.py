"""What an export is worth: how it was measured against the classifier, and how fast and large it is."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mri_tumor.files import write_text
from mri_tumor.labels import NOTICE
from mri_tumor.models.engines.parity import Parity

JSON_FILE, TEXT_FILE = "parity.json", "parity.txt"
_MEGABYTE = 1e6


@dataclass(frozen=True)
class ExportReport:
    """An export held against the classifier that it was made from; what `Classifier.export` returns.

    Args:
        format: `"saved_model"`, `"onnx"`, `"litert"` or `"openvino"`.
        precision: what it was written in.
        classifier: the digest of the classifier's manifest.
        input: what it takes, in words.
        measured_on: which pictures, in words.
        calibrated_on: which pictures int8 was calibrated by, in words; None where it was not.
        parity: the differences, and how often both say the same.
        bytes: of all files of the model together.
        files: file -> SHA-256.
        milliseconds: `"exported"` and `"classifier"` (compiled TensorFlow) -> pictures a call -> median of a
            call, here.
        machine: `processor` and `cores`.
        versions: library -> version.

    >>> parity = Parity(2, 0.0, 0.0, None, 2, None, 2)
    >>> empty = {"bytes": 0, "files": {}, "milliseconds": {}, "machine": {}, "versions": {}}
    >>> ExportReport("onnx", "float32", "", "uint8", "2 pictures", None, parity, **empty).agree
    True
    """

    format: str
    precision: str
    classifier: str
    input: str
    measured_on: str
    calibrated_on: str | None
    parity: Parity
    bytes: int
    files: dict[str, str]
    milliseconds: dict[str, dict[str, float]]
    machine: dict[str, Any]
    versions: dict[str, str]

    @property
    def agree(self) -> bool:
        """Whether labels, sets and abstentions are those of the classifier for every picture."""
        return self.parity.agree

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        card = {field.name: getattr(self, field.name) for field in fields(self)}
        return card | {"parity": self.parity.to_dict(), "notice": NOTICE}

    def summary(self) -> str:
        """Return the report as some lines of text."""
        verdict = "says what the classifier says" if self.agree else "DOES NOT always say what it says"
        lines = [
            f"{self.format} in {self.precision}, {self.bytes / _MEGABYTE:.2f} MB: {verdict}",
            f"takes: {self.input}",
            f"measured on {self.measured_on}",
            *([f"calibrated on {self.calibrated_on}"] if self.calibrated_on else []),
            self.parity.text(),
            *(self._speed(count) for count in self.milliseconds.get("exported", {})),
            f"on {self.machine.get('processor')}, cores: {self.machine.get('cores')}; "
            + ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            NOTICE,
        ]
        return "\n".join(lines)

    def _speed(self, count: str) -> str:
        own, other = (self.milliseconds[name][count] for name in ("exported", "classifier"))
        return f"{count} a call: {own:.1f} ms, compiled TensorFlow {other:.1f} ms"

    def save(self, folder: Path) -> None:
        """Write it into a folder, for programs (`parity.json`) and for people (`parity.txt`)."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        write_text(folder / JSON_FILE, text + "\n")
        write_text(folder / TEXT_FILE, self.summary() + "\n")
