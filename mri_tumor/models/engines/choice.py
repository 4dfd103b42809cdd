"""Which engine a classifier gets: the one asked for, or the fastest that says what its network says."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError, EngineError, MissingExtra, ReadError
from mri_tumor.models.engines.engine import Engine
from mri_tumor.models.engines.formats import FORMATS, written
from mri_tumor.models.engines.frozen import Frozen
from mri_tumor.models.engines.libraries import onnxruntime, openvino
from mri_tumor.models.engines.machine import processor, versions_of
from mri_tumor.models.engines.parity import answers, compare
from mri_tumor.models.engines.samples import Sample, phantoms, sample_of
from mri_tumor.models.engines.store import Kept, Store

logger = logging.getLogger(__name__)

ENGINES = ("tensorflow", "onnx", "openvino")
AUTO = "auto"

_LIBRARY = {"onnx": onnxruntime, "openvino": openvino}
_CHECKED = 8  # phantoms: enough to notice an engine that computes something else


@dataclass(frozen=True)
class Subject:
    """What an engine is made for.

    Args:
        frozen: the network and its decision.
        reference: what an engine is held against.
        tensorflow: TensorFlow as the engine.
        preprocess: the model's own, for pictures to check by.
        digest: of the classifier's manifest, which names the network's file.
        folder: the classifier's, where engines are kept; None keeps none.
    """

    frozen: Frozen
    reference: Engine
    tensorflow: Engine
    preprocess: Preprocess
    digest: str
    folder: Path | None = None


def engine_for(
    subject: Subject, name: str | None = None, precision: str | None = None, pictures: Any = None
) -> Engine:
    """Return an engine that says what the network says.

    Args:
        subject: what it is made for.
        name: `"tensorflow"`, as None; `"onnx"`; `"openvino"`; or `"auto"`, which is OpenVINO where it is
            installed, says the same and no GPU is there, and TensorFlow elsewhere: one log line says which.
        precision: None for float32. In any other, labels, sets and abstentions are held against the
            network's on the pictures given, and the engine is refused where one of them differs.
        pictures: to calibrate and to check by: what `predict` takes. float32 needs none, and TensorFlow looks
            at none. What is kept was checked already and needs none either.

    Raises:
        ArgumentError: a name, or a precision that the engine does not have, or no pictures for another than
            float32.
        MissingExtra: the engine is not installed.
        EngineError: it cannot run the network on this machine, or does not say what the network says.
    """
    _check_names(name, precision)
    if name == AUTO:
        return _automatic(subject, pictures)
    if name in (None, "tensorflow"):
        return subject.tensorflow
    return _made(subject, str(name), precision or "float32", pictures)


def _check_names(name: Any, precision: Any) -> None:
    if name is not None and name not in (*ENGINES, AUTO):
        known = ", ".join((*ENGINES, AUTO))
        raise ArgumentError(f"there is no engine {name!r}", f"one of {known}", "correct the name")
    known_precisions = FORMATS[name].precisions if name in _LIBRARY else ("float32",)
    if precision is not None and precision not in known_precisions:
        have = [one for one in _LIBRARY if precision in FORMATS[one].precisions]
        raise ArgumentError(
            f"{name or 'tensorflow'} with precision {precision!r}",
            f"one of {', '.join(known_precisions)}",
            f"pass another precision, or one of the engines that have it: {', '.join(have) or 'none'}",
        )


def _automatic(subject: Subject, pictures: Any) -> Engine:
    why = "a GPU is there"
    if not tf.config.list_logical_devices("GPU"):
        try:
            engine = _made(subject, "openvino", "float32", pictures)
        except (ArgumentError, ReadError):
            raise  # of the pictures
        except MissingExtra as error:
            missing = isinstance(error.__cause__, ModuleNotFoundError)
            why = "OpenVINO is not installed" if missing else error.found
        except Exception as error:  # whatever keeps it from running, TensorFlow still does
            why = str(error)
        else:
            logger.info("engine: openvino, float32")
            return engine
    logger.info("engine: tensorflow (%s)", why)
    return subject.tensorflow


def _made(subject: Subject, name: str, precision: str, pictures: Any) -> Engine:
    _LIBRARY[name]()  # that it is missing should be said before anything is done
    key = {
        "classifier": subject.digest,
        "engine": name,
        "precision": precision,
        "versions": versions_of(name),
        "processor": processor(),
    }
    store = Store(subject.folder)
    kept = store.get(key, lambda place: FORMATS[name].engine(place, precision)) if pictures is None else None
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="mri_tumor-engine-") as temporary:
            kept = _built(subject, name, precision, pictures, Path(temporary))
            if not _agrees(kept):
                store.forget(key)  # what other pictures did not show
            _check_agreement(kept)
            store.put(key, Path(temporary), kept)
    _check_agreement(kept)
    return kept.engine


def _built(subject: Subject, name: str, precision: str, pictures: Any, folder: Path) -> Kept:
    if pictures is None and precision != "float32":
        raise ArgumentError(
            f"{name} in {precision} without pictures",
            "some of those that the classifier is for: what a precision does shows on no phantom",
            "pass pictures=, such as the validation Catalog; on the command line --pictures FOLDER",
        )
    if pictures is None:
        sample = Sample(phantoms(subject.preprocess, _CHECKED), drawn=True)
    else:
        sample = sample_of(pictures, subject.preprocess, calibrating=precision == "int8")
    engine = written(name, subject.frozen, folder, precision, sample.calibration)
    expected = answers(subject.reference, sample.pictures)
    return Kept(engine, compare(expected, answers(engine, sample.pictures)), sample.origin)


def _agrees(kept: Kept) -> bool:
    return kept.parity.same if kept.engine.precision == "float32" else kept.parity.agree


def _check_agreement(kept: Kept) -> None:
    engine, parity = kept.engine, kept.parity
    if not _agrees(kept):
        raise EngineError(
            f"{engine.name} in {engine.precision} does not say what the network says ({parity.text()}; "
            f"measured on {kept.measured_on})",
            "the same labels, sets and abstentions",
            'pass precision="float32"' if engine.precision != "float32" else 'pass engine="tensorflow"',
        )
