"""A classifier in the forms that other programs serve, each held against the classifier."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mri_tumor.errors import ManifestMismatch
from mri_tumor.files import check_replaceable, sha256_of, whole_folder
from mri_tumor.manifest import FILE_NAME, Manifest
from mri_tumor.models.engines.engine import Engine
from mri_tumor.models.engines.formats import Format, format_of, written
from mri_tumor.models.engines.frozen import INPUT, Frozen
from mri_tumor.models.engines.latency import latencies
from mri_tumor.models.engines.machine import machine, versions_of
from mri_tumor.models.engines.parity import answers, compare
from mri_tumor.models.engines.report import JSON_FILE, TEXT_FILE, ExportReport
from mri_tumor.models.engines.samples import Sample, sample_of
from mri_tumor.models.engines.saved_model import PARTS as SAVED_MODEL_PARTS
from mri_tumor.models.engines.saved_model import write_saved_model
from mri_tumor.models.engines.tensorflow_engine import TensorFlowEngine

if TYPE_CHECKING:
    from mri_tumor.dataset.preprocess import Preprocess
    from mri_tumor.models.deciding.settings import Settings

EXTRA = "assets.extra"
"""The folder of a SavedModel that TensorFlow leaves alone: here lie the manifest and the report."""


class Exportable(Protocol):
    """What of a classifier is exported, with its manifest; `engine` is what the classifier answers by."""

    model: Any
    settings: "Settings"
    preprocess: "Preprocess"
    manifest: Manifest

    @property
    def engine(self) -> Engine:
        """What works the network out."""
        ...


def write_export(
    classifier: Exportable, directory: str | Path, form: str, precision: str, pictures: Any
) -> ExportReport:
    """Write a classifier in a form and measure what was written; whole or not there.

    Args:
        classifier: what is exported.
        directory: where; an earlier export of this form there is replaced.
        form: one of `FORMATS`.
        precision: one that the form has.
        pictures: to measure by, and for int8 to calibrate by: what `predict` takes; None for phantoms.

    Raises:
        ArgumentError: an unknown form or precision, a folder that holds something else, no pictures for int8,
            or a preprocessing that cannot be done in TensorFlow.
        MissingExtra: the form's tools are not installed.
        EngineError: the form does not know what the network is made of.
    """
    kind = format_of(form, precision)
    check_target(directory, lambda folder: _earlier(folder, form, kind))
    sample = sample_of(pictures, classifier.preprocess, calibrating=precision == "int8")
    with whole_folder(directory) as partial:
        engine = _write(classifier, partial, form, kind, precision, sample)
        beside = partial / EXTRA if form == "saved_model" else partial
        files = {file.relative_to(partial).as_posix(): file for file in _files(partial)}
        reference = _reference(classifier)
        report = ExportReport(
            form,
            precision,
            classifier.manifest.digest,
            _saved_model_input(classifier) if form == "saved_model" else _input(classifier),
            sample.origin,
            _calibrated_on(sample),
            compare(answers(reference, sample.pictures), answers(engine, sample.pictures)),
            sum(file.stat().st_size for file in files.values()),
            {name: sha256_of(file) for name, file in files.items()},
            latencies({"exported": engine, "classifier": reference}, sample.pictures),
            machine(),
            versions_of(form),
        )
        beside.mkdir(exist_ok=True)
        report.save(beside)
        _manifest(classifier, report).save(beside)
    return report


def write_servable(classifier: Exportable, directory: str | Path) -> None:
    """Write a SavedModel with its manifest and measure nothing: what packages hold, and what servers load."""
    form = "saved_model"
    check_target(directory, lambda folder: _earlier(folder, form, format_of(form, "float32")))
    with whole_folder(directory) as partial:
        write_saved_model(classifier.model, classifier.settings, classifier.preprocess, partial)
        (partial / EXTRA).mkdir()
        classifier.manifest.save(partial / EXTRA)


def _write(
    classifier: Exportable, folder: Path, form: str, kind: Format, precision: str, sample: Sample
) -> Engine:
    if form == "saved_model":
        write_saved_model(classifier.model, classifier.settings, classifier.preprocess, folder)
        return kind.engine(folder, precision)
    frozen = Frozen.of(classifier.model, classifier.settings)
    return written(form, frozen, folder, precision, sample.calibration)


def _input(classifier: Exportable) -> str:
    size = classifier.preprocess.size
    return (
        f"'{INPUT}', uint8 (N, {size}, {size}, 1), 0-255, as the manifest's section 'data' prepares them; "
        "it decodes no picture"
    )


def _saved_model_input(classifier: Exportable) -> str:
    size = classifier.preprocess.size
    return (
        f"'{INPUT}': signature serving_default: JPEG or PNG files of any size (N,), which it decodes and "
        f"preprocesses; signature preprocessed: uint8 (N, {size}, {size}, 1)"
    )


def _calibrated_on(sample: Sample) -> str | None:
    if sample.calibration is None:
        return None
    which = "none of those that it was measured on" if sample.apart else "those that it was measured on"
    return f"{len(sample.calibration)} pictures, {which}"


def _manifest(classifier: Exportable, report: ExportReport) -> Manifest:
    """Return the manifest that lies beside an export; a SavedModel's stays that of its classifier."""
    if report.format == "saved_model":
        return classifier.manifest
    section = {
        "format": report.format,
        "precision": report.precision,
        "classifier": report.classifier,
        "input": report.input,
        "files": report.files,
    }
    return dataclasses.replace(
        classifier.manifest, sections=classifier.manifest.sections | {"export": section}
    )


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def check_target(directory: str | Path, own: Callable[[Path], Iterable[str]]) -> None:
    """Refuse a folder that holds something else than what is about to replace it.

    Args:
        directory: the target.
        own: returns which files and folders in it an earlier one of the same kind has; none if it holds none.

    Raises:
        ArgumentError: it is a file, or a folder with other content.
    """

    def strange(folder: Path) -> str:
        known = set(own(folder))
        others = sorted(path.name for path in folder.iterdir() if path.name not in known)
        if not known:
            return f"{folder} exists and holds something else"
        return f"{folder} also holds {', '.join(others[:3])}" if others else ""

    check_replaceable(directory, strange)


def manifest_of(folder: Path) -> Manifest | None:
    """Return the manifest of a classifier or an export that lies in a folder; None without one."""
    try:
        return Manifest.load(folder, kind="model")
    except ManifestMismatch:
        return None


def _earlier(folder: Path, form: str, kind: Format) -> Iterable[str]:
    """Return what an earlier export in the same form has in a folder; none if there is no such export."""
    saved_model = form == "saved_model"
    manifest = manifest_of(folder / EXTRA if saved_model else folder)
    if manifest is None or not (folder / kind.file).is_file():
        return ()
    if saved_model:
        return (*SAVED_MODEL_PARTS, EXTRA)
    section = manifest.sections.get("export", {})
    files = section["files"] if section.get("format") == form else ()
    return (*files, FILE_NAME, JSON_FILE, TEXT_FILE) if files else ()


def _reference(classifier: Exportable) -> Engine:
    """Return TensorFlow as the classifier's engine: another may say something else than the network."""
    if classifier.engine.name == TensorFlowEngine.name:
        return classifier.engine
    return TensorFlowEngine(classifier.model, classifier.settings)
