"""Judging a classifier: scores of all pictures, and of leaked and clean ones apart."""

import logging
from collections.abc import Collection
from typing import Any

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.models.judging.asking import Judged, answers, check_judged
from mri_tumor.models.judging.floors import check_train, floor_answers, look_at
from mri_tumor.models.judging.leaks import Leaks, check_all_said, leaked_among
from mri_tumor.models.judging.result import Evaluation, judge
from mri_tumor.models.judging.scores import Settings

__all__ = ["Evaluation", "evaluate"]

logger = logging.getLogger(__name__)


def evaluate(
    classifier: Judged,
    data: Any,
    *,
    leaked: Leaks | Collection[str] | None = None,
    train: Catalog | None = None,
    allow_leakage: bool = False,
    specificity: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Judge a classifier by pictures with labels.

    Predictions and labels are brought together by id, never by position. Intervals are percentiles over draws
    of whole groups (the cluster bootstrap), so that slices of one patient do not count as so many patients.

    Args:
        classifier: a Classifier, a Predictor, or anything with `labels` and `predict`.
        data: a Catalog, a shard folder, or a `tf.data.Dataset` as `load` gives it or of (image, label) pairs.
            Pairs have no ids, so they are numbered and tell nothing about leaks.
        leaked: what training holds too: an AuditReport or ids. None says that nothing is known about it;
            an empty collection says that nothing leaked. Ids of other pictures are left out.
        train: the training pictures, to put beside the model what is reached without learning: their most
            frequent class, the files' width and height alone, and the nearest thumbnail. The data must be a
            Catalog too; else the evaluation says why it has no floors.
        allow_leakage: judge by pictures of the training set all the same; the evaluation says so.
        specificity: where the sensitivity of each class is read off, between 0 and 1.
        draws: bootstrap draws of the intervals, from 1.
        seed: another seed, other draws.

    A classifier knows what it was trained on. Pictures of its training set, or of a group that it was trained
    on, are refused unless `leaked` says which pictures leaked: then scores come apart and nothing is hidden.
    Every picture whose very file it was trained on must be among them. Pictures that its epoch was selected
    by, or that it was calibrated by, are judged, and the evaluation says so: scores, or probabilities and
    sets, come out a little too good.

    Raises:
        LeakageError: the data holds pictures or groups that the classifier was trained on, and `leaked` does
            not say so; or `train` and the data hold the same file.
        ArgumentError: the data holds no picture, an id comes twice, none of the leaked ids is in the data,
            `train` is no Catalog or empty, or a number is out of its range.
        ManifestMismatch: the data, or `train`, has other labels than the classifier.
        ReadError: a picture that the floors look at cannot be read.
        MriTumorError: the classifier left pictures out, answered for others, or with other labels.
    """
    check_judged(classifier)
    settings = Settings(specificity, draws, seed)
    labels = tuple(classifier.labels)
    if train is not None:
        check_train(train, data, labels)
    allow = allow_leakage or leaked is not None
    said = answers(classifier, data, labels, allow=allow)
    known = leaked_among(leaked, said.truth)
    if known is not None and said.shared is not None and said.shared.by_file and not allow_leakage:
        check_all_said(said.shared, known)
    note = _why_no_floors(train, data)
    floors = None if note or train is None else floor_answers(look_at(train), look_at(data))
    return judge(
        labels,
        said,
        leaked=known,
        settings=settings,
        floors=floors,
        floors_note=note,
    )


def _why_no_floors(train: Catalog | None, data: Any) -> str:
    if train is None:
        return "not worked out, no training pictures were given (train=)"
    if isinstance(data, Catalog):
        return ""
    logger.warning("no floors: the data is no Catalog")
    return "not worked out, the data is no Catalog whose files can be looked at"
