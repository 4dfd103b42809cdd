"""Calibration: a trained classifier and pictures that are new to it, to one that says what it cannot tell."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.records import Record
from mri_tumor.dataset.split import folds as divide
from mri_tumor.errors import ArgumentError, CatalogError
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.deciding.conformal import check_method, check_risk
from mri_tumor.models.deciding.observations import Observations, check_new, memory_of, observations_of
from mri_tumor.models.deciding.plan import Fitted, Plan
from mri_tumor.models.deciding.report import report_of

logger = logging.getLogger(__name__)

LEAST_FOLDS = 3


def calibrate(
    classifier: Classifier,
    data: Any,
    *,
    risk: float = 0.1,
    method: str = "plain",
    folds: int = 5,
    seed: int = 0,
    false_alarms: float = 0.01,
    allow_reuse: bool = False,
) -> Classifier:
    """Return a classifier that knows how sure it may be; the network stays as it is.

    It remembers the pictures, as hashes: `evaluate` says if it is judged by some of them.

    Three things are fitted and stored in the manifest's section `"decision"`, an earlier calibration there is
    replaced:

    * the temperature, see `fit_temperature`;
    * one threshold a class for prediction sets that lack the true class of at most a share `risk` of its
      pictures, see `thresholds`. A class with fewer than (1 - risk) / risk pictures is in every set, and a
      warning says so;
    * if the classifier has a density, the distance that a share `false_alarms` of the pictures lies beyond:
      novelty 1.

    Pictures of a group stay together: `data` is divided into folds by group, each fold's scores are made with
    the temperature of the others, and the thresholds come of the scores of all. What is reported (in
    `decision.calibration`) is judged the same way once more: for each fold everything is fitted on the other
    folds alone. A picture whose group is unknown counts as a group of its own; then slices of one patient may
    lie on both sides, and the report says how many pictures that are.

    The promise of the sets holds for pictures that are exchangeable with these: of the same kind, from the
    same sources. It is one about pictures. Slices of one patient resemble each other, so the truth about few
    patients is less certain than the number of pictures suggests; the intervals, drawn by group, show it.

    Args:
        classifier: a trained one; calibrating anew is fine.
        data: pictures with labels that it was not trained on and that nothing was selected by: a Catalog or a
            shard folder. Or the folder of its own run with `Recipe(folds=k)`: there each picture was answered
            by a network that did not see it, and its distance measured by a density that did not. The
            classifier that answers with all k is at least as good, but the promise is then, strictly, one
            about the k.
        risk: between 0 and 1.
        method: `"plain"` or `"aps"`, see `conformal.scores`.
        folds: how many, from 3; every class needs as many groups.
        seed: what the folds are drawn from.
        false_alarms: the share of ordinary pictures that may be called novel, between 0 and 1. The default is
            one in a hundred: what is no brain MRI lies far beyond that, and each false alarm is a picture
            without an answer. With n pictures it cannot be made less than 1 / (n + 1).
        allow_reuse: calibrate although training selected on some of the pictures; it is recorded.

    Raises:
        ArgumentError: an argument is out of range; a class has no picture, or fewer groups than folds; `data`
            is of another kind.
        LeakageError: the classifier was trained on some of the pictures or their groups, or training selected
            by them and `allow_reuse` is False.
        ManifestMismatch: the data has other labels or preprocessing, or is the run of another classifier.
        ReadError: a picture cannot be read.

    >>> import tempfile
    >>> from mri_tumor import dataset, models
    >>> from mri_tumor.manifest import Manifest
    >>> pictures = dataset.make_phantoms(tempfile.mkdtemp(), per_class=12, size=64)
    >>> spec = dataset.Preprocess(size=32)
    >>> data = {"labels": list(pictures.classes), "preprocess": spec.to_dict()}
    >>> untrained = models.build("small_cnn", size=32, width=2)
    >>> plain = models.Classifier(untrained, Manifest("model", {"data": data}))
    >>> calibrated = models.calibrate(plain, pictures, risk=0.2, folds=3)
    >>> {one.label in (None, *one.prediction_set) for one in calibrated.predict(pictures)}
    {True}
    """
    _check_arguments(classifier, risk, method, folds, false_alarms)
    found = observations_of(classifier, data)
    reuse = check_new(classifier, found, allow_reuse=bool(allow_reuse))
    parts = _parts(found, classifier.labels, folds, seed)
    plan = Plan(len(classifier.labels), risk, method, false_alarms)
    fitted = plan.fit(found, parts)
    _warn(fitted, reuse, classifier.labels)
    judged = [plan.fit(found.where(parts != part), parts[parts != part]) for part in range(folds)]
    report = report_of(found, parts, judged, classifier.labels)
    settings = {"folds": folds, "seed": int(seed), "reuse": reuse, "always": fitted.always(classifier.labels)}
    section = _section(classifier, fitted) | {"calibration": settings | report}
    return classifier.with_decision(section, calibrated=memory_of(classifier, found))


def _check_arguments(classifier: Any, risk: Any, method: Any, folds: Any, false_alarms: Any) -> None:
    if not isinstance(classifier, Classifier):
        raise ArgumentError(
            f"classifier is a {type(classifier).__name__}", "a Classifier", "pass Classifier.load(folder)"
        )
    check_risk(risk)
    check_method(method)
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < LEAST_FOLDS:
        raise ArgumentError(f"folds is {folds!r}", f"a whole number from {LEAST_FOLDS}", "pass folds=5")
    if not isinstance(false_alarms, float) or not 0 < false_alarms < 1:
        raise ArgumentError(
            f"false_alarms is {false_alarms!r}", "a number between 0 and 1", "pass false_alarms=0.01"
        )


def _parts(found: Observations, labels: tuple[str, ...], folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of every picture, int64 (N,), from 0: the division that `dataset.folds` makes."""
    counts = np.bincount(found.labels, minlength=len(labels))
    missing = [label for label, count in zip(labels, counts, strict=True) if not count]
    if missing:
        raise ArgumentError(
            f"the calibration pictures hold none of {', '.join(missing)}",
            f"pictures of {folds} groups of every class",
            "add pictures of these classes",
        )
    records = [
        Record(name, Path(name), labels[label], group)
        for name, label, group in zip(found.known.ids, found.labels, found.groups, strict=True)
    ]
    try:
        pairs = list(divide(Catalog(records, labels), folds, by="group", seed=seed))
    except CatalogError as error:
        raise ArgumentError(
            f"among the calibration pictures {error.found}",
            f"groups of each class in each of the {folds} folds",
            "pass fewer folds, from 3, or add pictures of other patients",
        ) from error
    place = {name: part for part, (_, held) in enumerate(pairs) for name in held.ids}
    return np.array([place[name] for name in found.known.ids], np.int64)


def _warn(fitted: Fitted, reuse: dict[str, Any], labels: tuple[str, ...]) -> None:
    always = fitted.always(labels)
    if always:
        logger.warning(
            "too few pictures of %s for a risk of %s: in every set", ", ".join(always), fitted.conformal.risk
        )
    if not reuse["trained_on_checked"]:
        logger.warning("nothing is known of the classifier's training pictures: it may know these")
    if fitted.threshold is None:
        logger.warning("the classifier has no density of its training pictures: novelty stays unknown")


def _section(classifier: Classifier, fitted: Fitted) -> dict[str, Any]:
    """Return the manifest's section: what `Settings.of` reads."""
    limits = zip(classifier.labels, fitted.conformal.thresholds, strict=True)
    conformal = {
        "method": fitted.conformal.method,
        "risk": fitted.conformal.risk,
        "thresholds": dict(limits),
    }
    section = {"tta": classifier.settings.tta, "temperature": fitted.temperature, "conformal": conformal}
    if fitted.threshold is None:
        return section
    return section | {"novelty": {"threshold": fitted.threshold, "false_alarms": fitted.false_alarms}}
