"""Judging a classifier: scores of all pictures, and of leaked and clean ones apart."""

import csv
import dataclasses
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from mri_tumor.dataset.tables import few, text_table
from mri_tumor.errors import ArgumentError, LeakageError, MriTumorError
from mri_tumor.files import whole_file
from mri_tumor.models.prediction import Prediction
from mri_tumor.models.seen import Shared, known_of
from mri_tumor.models.truth import Truth, check_not_empty, has_ids, labelled_batches, truth_of

logger = logging.getLogger(__name__)


class Judged(Protocol):
    """What can be judged: a `Classifier`, a `cloud.Predictor`, or anything else of this form."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in order."""

    def predict(self, images: Any) -> list[Prediction]:
        """Return one prediction a picture, with its id."""


class Leaks(Protocol):
    """Anything that knows leaked pictures, such as an `AuditReport`."""

    @property
    def leaked_ids(self) -> Collection[str]:
        """Ids of test pictures that training holds too."""


@dataclass(frozen=True)
class ClassScore:
    """How one class fares; what cannot be computed is None.

    Args:
        precision: share of the pictures called so that are so, 0-1; None if none is called so.
        recall: share of the class's pictures that are called so, 0-1; None without pictures of the class.
        f1: harmonic mean of the two, 0-1; None without pictures of the class.
        support: pictures of the class.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class Scores:
    """The point metrics of some pictures; a picture's predicted class is its most likely one (`top`).

    Args:
        n: how many pictures.
        accuracy: share predicted right, 0-1.
        macro_f1: mean F1 over the classes that have pictures here, 0-1.
        per_class: label -> its scores.
        confusion: K rows of K counts; rows are the true class, columns the predicted one.
    """

    n: int
    accuracy: float
    macro_f1: float
    per_class: dict[str, ClassScore]
    confusion: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as a JSON object."""
        return dataclasses.asdict(self) | {"confusion": [list(row) for row in self.confusion]}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Args:
        labels: the class names in order.
        all: scores of all pictures.
        leaked: scores of the leaked pictures; None if there are none, or nothing is known about leaks.
        clean: scores of the others; None if there are none, or nothing is known about leaks.
        predictions: one a picture, in the data's order.
        truth: ids, true labels and groups, in the same order.
        leaked_ids: the leaked pictures among them; None if nothing is known about leaks.
        shared: the pictures and groups that the classifier was trained on; None if that is not known.
    """

    labels: tuple[str, ...]
    all: Scores
    leaked: Scores | None
    clean: Scores | None
    predictions: tuple[Prediction, ...]
    truth: Truth
    leaked_ids: frozenset[str] | None
    shared: Shared | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as a JSON object; the predictions are in `to_csv`."""
        parts = {"all": self.all, "leaked": self.leaked, "clean": self.clean}
        scores = {name: None if part is None else part.to_dict() for name, part in parts.items()}
        shared = None if self.shared is None else dataclasses.asdict(self.shared)
        known = self.leaked_ids is not None
        return {"labels": list(self.labels), "leaks_known": known, "trained_on": shared, **scores}

    def to_csv(self, path: str | Path) -> None:
        """Write one row a picture: id, label, predicted, leaked (0, 1 or empty), group, and probabilities."""
        with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            header = ["id", "label", "predicted", "leaked", "group", *(f"p_{label}" for label in self.labels)]
            writer.writerow(header)
            rows = zip(self.predictions, self.truth.labels, self.truth.groups, strict=True)
            for prediction, label, group in rows:
                leaked = "" if self.leaked_ids is None else int(prediction.id in self.leaked_ids)
                shares = [f"{prediction.probabilities[name]:.6f}" for name in self.labels]
                writer.writerow([prediction.id, label, prediction.top, leaked, group or "", *shares])

    def summary(self) -> str:
        """Return the scores as a small table, one column a part."""
        parts = {"all": self.all, "leaked": self.leaked, "clean": self.clean}
        columns = {name: part for name, part in parts.items() if part is not None}
        rows = [["", *columns]]
        rows.append(["pictures", *(str(part.n) for part in columns.values())])
        rows.append(["accuracy", *(_percent(part.accuracy) for part in columns.values())])
        rows.append(["macro-F1", *(f"{part.macro_f1:.3f}" for part in columns.values())])
        for label in self.labels:
            recalls = (part.per_class[label].recall for part in columns.values())
            rows.append([f"recall {label}", *(_percent(recall) for recall in recalls)])
        return "\n".join([text_table(rows), *self._notes()])

    def _notes(self) -> list[str]:
        unknown = ["leaks: unknown"] if self.leaked_ids is None else []
        return unknown + ([f"trained on: {self.shared} of these"] if self.shared else [])


def evaluate(
    classifier: Judged,
    data: Any,
    *,
    leaked: Leaks | Collection[str] | None = None,
    allow_leakage: bool = False,
) -> Evaluation:
    """Judge a classifier by pictures with labels.

    Predictions and labels are brought together by id, never by position.

    Args:
        classifier: a Classifier, a Predictor, or anything with `labels` and `predict`.
        data: a Catalog, a shard folder, or a `tf.data.Dataset` as `load` gives it or of (image, label) pairs.
            Pairs have no ids, so they are numbered and tell nothing about leaks.
        leaked: what training holds too: an AuditReport or ids. None says that nothing is known about it;
            an empty collection says that nothing leaked. Ids of other pictures are left out.
        allow_leakage: judge by pictures of the training set all the same; the evaluation says so.

    A classifier knows what it was trained on. Pictures of its training set, or of a group that it was trained
    on, are refused unless `leaked` says which pictures leaked: then scores come apart and nothing is hidden.
    Every picture whose very file it was trained on must be among them.

    Raises:
        LeakageError: the data holds pictures or groups that the classifier was trained on, and `leaked` does
            not say so.
        ArgumentError: the data holds no picture, an id comes twice, or none of the leaked ids is in the data.
        ManifestMismatch: the data has other labels than the classifier.
        MriTumorError: the classifier left pictures out, or answered for others.
    """
    if not callable(getattr(classifier, "predict", None)) or not hasattr(classifier, "labels"):
        raise ArgumentError(
            f"classifier is a {type(classifier).__name__}",
            "a Classifier, a Predictor, or another object with labels and predict",
            "pass models.Classifier.load(folder)",
        )
    labels = tuple(classifier.labels)
    truth, predictions, shared = _judged(classifier, data, labels, allow=allow_leakage or leaked is not None)
    known = _leaked(leaked, truth)
    if known is not None and shared is not None and shared.by_file and not allow_leakage:
        _check_all_said(shared, known)
    everything = scores(truth.labels, [one.top for one in predictions], labels)
    parts: list[Scores | None] = [None, None]
    if known is not None:
        for place in (0, 1):
            chosen = [(name in known) == (place == 0) for name in truth.ids]
            parts[place] = _part(truth, predictions, labels, chosen)
    return Evaluation(labels, everything, parts[0], parts[1], predictions, truth, known, shared)


def scores(truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Scores:
    """Score predicted labels against true ones.

    >>> scores(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"]).per_class["a"]
    ClassScore(precision=1.0, recall=0.5, f1=0.6666666666666666, support=2)
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    names = list(labels)
    table = confusion_matrix(truth, predicted, labels=names)
    columns = precision_recall_fscore_support(truth, predicted, labels=names, zero_division=np.nan)
    per_class = {
        label: ClassScore(_known(precision), _known(recall), _known(f1) if support else None, int(support))
        for label, precision, recall, f1, support in zip(names, *columns, strict=True)
    }
    present = [score.f1 for score in per_class.values() if score.f1 is not None]
    return Scores(
        n=len(truth),
        accuracy=float(np.trace(table) / len(truth)),
        macro_f1=float(np.mean(present)),
        per_class=per_class,
        confusion=tuple(tuple(int(count) for count in row) for row in table),
    )


def _part(
    truth: Truth, predictions: Sequence[Prediction], labels: tuple[str, ...], chosen: Sequence[bool]
) -> Scores | None:
    pairs = [
        (label, prediction.top)
        for label, prediction, taken in zip(truth.labels, predictions, chosen, strict=True)
        if taken
    ]
    return scores([label for label, _ in pairs], [top for _, top in pairs], labels) if pairs else None


def _leaked(leaked: Any, truth: Truth) -> frozenset[str] | None:
    if leaked is None:
        return None
    given = getattr(leaked, "leaked_ids", leaked)
    if isinstance(given, str) or not isinstance(given, Collection):
        raise ArgumentError(
            f"leaked is a {type(leaked).__name__}", "an AuditReport or ids", "pass dataset.audit(...)"
        )
    found = frozenset(given) & frozenset(truth.ids)
    if given and not (found and truth.known_ids):
        raise ArgumentError(
            f"none of the {len(given)} leaked ids, such as {next(iter(given))!r}, is in the data",
            f"ids such as {truth.ids[0]!r}" if truth.known_ids else "data with ids",
            "audit the very pictures that are evaluated; pass leaked=() if none of them leaked",
        )
    if len(found) < len(set(given)):
        logger.warning("%d of the leaked ids are not in the data", len(set(given)) - len(found))
    return found


def _check_all_said(shared: Shared, leaked: frozenset[str]) -> None:
    hidden = [name for name in shared.pictures if name not in leaked]
    if hidden:
        raise LeakageError(
            f"the classifier was trained on {len(hidden)} pictures that leaked= does not name: {few(hidden)}",
            "all of them among the leaked ones",
            "pass leaked=dataset.audit(train, test) of the very pictures it was trained on; "
            "allow_leakage=True scores all the same and says so",
        )


def _judged(
    classifier: Judged, data: Any, labels: tuple[str, ...], *, allow: bool
) -> tuple[Truth, tuple[Prediction, ...], Shared | None]:
    if isinstance(data, tf.data.Dataset) and not has_ids(data):
        return *_nameless(classifier, data, labels), None
    truth = truth_of(data, labels)
    seen = getattr(classifier, "seen", None)
    shared = None if seen is None else seen.shared(known_of(data, truth.ids, truth.groups))
    if shared and not allow:
        raise LeakageError(
            f"the classifier was trained on {shared} of the data",
            "pictures and groups that it was not trained on",
            "judge it by other pictures; or pass leaked=dataset.audit(train, test) for leaked and clean "
            "scores apart; allow_leakage=True scores all the same and says so",
        )
    return truth, _by_id(classifier.predict(data), truth), shared


def _nameless(
    classifier: Judged, data: tf.data.Dataset, labels: tuple[str, ...]
) -> tuple[Truth, tuple[Prediction, ...]]:
    """Predict pictures without ids in the very pass that reads their labels: a second may be shuffled."""
    names: list[str] = []
    found: list[Prediction] = []
    for images, true in labelled_batches(data, labels):
        places = Truth(tuple(str(place) for place in range(len(true))), tuple(true), (None,) * len(true))
        for answer in _by_id(classifier.predict(images), places):
            found.append(dataclasses.replace(answer, id=str(len(found))))
        names += true
    ids = tuple(answer.id for answer in found)
    truth = Truth(ids, tuple(names), (None,) * len(names), known_ids=False)
    check_not_empty(truth)
    return truth, tuple(found)


def _by_id(predictions: Sequence[Prediction], truth: Truth) -> tuple[Prediction, ...]:
    found = {prediction.id: prediction for prediction in predictions}
    missing = [name for name in truth.ids if name not in found]
    unknown = sorted(found.keys() - set(truth.ids))
    if missing or unknown or len(found) < len(predictions):
        what = [f"no prediction for {len(missing)} pictures ({missing[0]!r})"] if missing else []
        what += [f"{len(unknown)} predictions of unknown pictures ({unknown[0]!r})"] if unknown else []
        raise MriTumorError(
            f"the classifier gave {' and '.join(what or ['several predictions with one id'])}",
            "one prediction for each picture, with its id",
            "let predict keep the ids of the data",
        )
    return tuple(found[name] for name in truth.ids)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
