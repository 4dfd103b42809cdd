"""Asking a classifier for its answers, and bringing them together with the truth by id."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf

from mri_tumor.errors import ArgumentError, MriTumorError
from mri_tumor.manifest import Manifest
from mri_tumor.models.companions import identity
from mri_tumor.models.judging.leaks import check_not_seen
from mri_tumor.models.judging.truth import Truth, check_not_empty, has_ids, labelled_batches, truth_of
from mri_tumor.models.prediction import Prediction
from mri_tumor.models.seen import Known, Seen, Shared, known_of


class Judged(Protocol):
    """What can be judged: a `Classifier`, a `cloud.Predictor`, or anything else of this form."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in order."""

    def predict(self, images: Any) -> list[Prediction]:
        """Return one prediction a picture, with its id."""


def check_judged(classifier: Any) -> None:
    """Check that something can be judged.

    Raises:
        ArgumentError: it has no `labels` or no `predict`.
    """
    if not callable(getattr(classifier, "predict", None)) or not hasattr(classifier, "labels"):
        raise ArgumentError(
            f"classifier is a {type(classifier).__name__}",
            "a Classifier, a Predictor, or another object with labels and predict",
            "pass models.Classifier.load(folder)",
        )


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a classifier said of some data, and what it had to do with it before.

    Args:
        truth: the pictures.
        predictions: one a picture, in the truth's order.
        shared: which of them it was trained on; None if that is not known.
        selected: which of them something was selected by, such as its best epoch; None if that is not known.
        calibrated: which of them it was calibrated by; None if by none, or that is not known.
        classifier: which one answered, as `companions.identity` has it; None if it has no manifest.
    """

    truth: Truth
    predictions: tuple[Prediction, ...]
    shared: Shared | None = None
    selected: Shared | None = None
    calibrated: Shared | None = None
    classifier: str | None = None


def answers(classifier: Judged, data: Any, labels: tuple[str, ...], *, allow: bool) -> Answers:
    """Return what the classifier says of the data.

    Args:
        classifier: what is judged.
        data: as in `evaluate`.
        labels: the classifier's.
        allow: whether it may have been trained on some of it.

    Raises:
        LeakageError: it was, and may not; no picture is predicted then.
        MriTumorError: it left pictures out, answered for others, or with other labels.
        ArgumentError, ManifestMismatch: as in `truth_of`.
    """
    if isinstance(data, tf.data.Dataset) and not has_ids(data):
        return Answers(*_nameless(classifier, data, labels), classifier=_identity(classifier))
    truth = truth_of(data, labels)
    here = known_of(data, truth.ids, truth.groups)
    shared, selected, calibrated = (
        _shared(getattr(classifier, name, None), here) for name in ("seen", "selected", "calibrated")
    )
    if not allow:
        check_not_seen(shared)
    found = by_id(classifier.predict(data), truth, labels)
    return Answers(truth, found, shared, selected, calibrated, _identity(classifier))


def _identity(classifier: Judged) -> str | None:
    manifest = getattr(classifier, "manifest", None)
    return identity(manifest) if isinstance(manifest, Manifest) else None


def _shared(seen: Seen | None, here: Known) -> Shared | None:
    return None if seen is None else seen.shared(here)


def by_id(predictions: Sequence[Prediction], truth: Truth, labels: tuple[str, ...]) -> tuple[Prediction, ...]:
    """Return the predictions in the truth's order.

    Raises:
        MriTumorError: one is missing, there twice, of another picture, or has other labels.
    """
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
    _check_labels(predictions, labels)
    return tuple(found[name] for name in truth.ids)


def _check_labels(predictions: Sequence[Prediction], labels: tuple[str, ...]) -> None:
    for one in predictions:
        if set(one.probabilities) != set(labels) or one.top not in labels or one.label not in (None, *labels):
            raise MriTumorError(
                f"the prediction of {one.id!r} has the labels {', '.join(one.probabilities)}, top {one.top}",
                f"a probability for each of {', '.join(labels)}, and one of them as top",
                "let predict answer with the classifier's own labels",
            )
        shares = one.probabilities.values()
        if not (all(0 <= share <= 1.01 for share in shares) and abs(sum(shares) - 1) < 0.01):
            raise MriTumorError(
                f"the probabilities of {one.id!r} are {', '.join(map(str, shares))}",
                "numbers in 0-1 that sum to 1",
                "check the model: a network whose weights are no numbers answers so",
            )


def _nameless(
    classifier: Judged, data: tf.data.Dataset, labels: tuple[str, ...]
) -> tuple[Truth, tuple[Prediction, ...]]:
    """Predict pictures without ids in the very pass that reads their labels: a second may be shuffled."""
    names: list[str] = []
    found: list[Prediction] = []
    for images, true in labelled_batches(data, labels):
        places = Truth(tuple(str(place) for place in range(len(true))), tuple(true), (None,) * len(true))
        for answer in by_id(classifier.predict(images), places, labels):
            found.append(dataclasses.replace(answer, id=str(len(found))))
        names += true
    ids = tuple(answer.id for answer in found)
    truth = Truth(ids, tuple(names), (None,) * len(names), known_ids=False)
    check_not_empty(truth)
    return truth, tuple(found)
