"""The five numbers that every model is reported by, made in one go and resumed where they were left.

1. the official test: all pictures, leaked and clean ones apart, class by class;
2. the same after training without the twins of the test's pictures;
3. grouped folds of the training set, all held-out pictures together;
4. the same on a second data set, if one is given;
5. beside each: the floors, calibration, and what came of abstaining and of prediction sets.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.split import folds
from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.files import digest_of, write_text
from mri_tumor.models.evaluation import evaluate
from mri_tumor.models.judging.asking import Answers, Judged, by_id, check_judged
from mri_tumor.models.judging.five_numbers import TWINS_REMOVED, FiveNumbers
from mri_tumor.models.judging.floors import Looks, check_train, floor_answers, look_at
from mri_tumor.models.judging.leaks import Leaks, leaked_among
from mri_tumor.models.judging.result import Evaluation, judge
from mri_tumor.models.judging.rows import read_predictions
from mri_tumor.models.judging.scores import Settings
from mri_tumor.models.judging.truth import Truth, truth_of
from mri_tumor.models.prediction import Prediction

logger = logging.getLogger(__name__)

PLAN = "plan.json"
"""The file in a run's folder that says what its numbers are of."""

Fit: TypeAlias = Callable[[Catalog, Catalog | None, Path], Judged]
"""Trains on the first catalog in a folder; the second is for selection, and always None here: what is held
out is never selected on, so a trainer that needs a validation part takes it out of the first."""


@dataclass(frozen=True)
class _Job:
    """One training and the pictures that it is judged by.

    Args:
        name: of its folder, and of the table of its predictions beside it.
        train: the pictures to train on.
        test: the pictures to judge by.
        leaked: which of them leaked; None where none can, between folds.
        twins_removed: whether what is like those was taken out of `train`.
    """

    name: str
    train: Catalog
    test: Catalog
    leaked: frozenset[str] | None = None
    twins_removed: bool = False


def five(
    fit: Fit,
    train: Catalog,
    test: Catalog,
    *,
    run_dir: str | Path,
    leaked: Leaks | Collection[str],
    twins: Collection[str] | None = None,
    second: Catalog | None = None,
    n: int = 5,
    name: str = "",
    draws: int = 2000,
    seed: int = 0,
) -> FiveNumbers:
    """Train and judge a model by the five numbers.

    It is trained `n + 2` times, and `n` times more with a second data set. Each training has a folder of its
    own in `run_dir`, and its predictions are kept beside it as a table: what is finished is not done again.

    Args:
        fit: trains a classifier, given (train, validation, folder): see `Fit`.
        train: the training pictures; folds go by their groups, and pictures are audited if one has none.
        test: the test pictures.
        run_dir: where folders and tables go.
        leaked: which test pictures training holds too: `dataset.known(pictures)`, an AuditReport, or ids.
        twins: ids of the training pictures that are near-duplicates of test pictures; None asks `leaked`
            for its `twin_ids`, which `dataset.known` has.
        second: another data set to fold, with classes of its own.
        n: how many folds, from 2.
        name: what is trained; it stands in the summary, and another name needs another `run_dir`.
        draws: bootstrap draws of the intervals, from 1.
        seed: of folds and draws.

    Raises:
        ArgumentError: a catalog is none or empty, the classes of train and test differ, twins are missing or
            not in `train`, a number is out of its range, or `run_dir` holds numbers of other pictures.
        CatalogError: a class has fewer groups than there are folds.
        ManifestMismatch: a classifier has other labels than the pictures it was given.
        LeakageError: a classifier was trained on pictures that it is to be judged by.
        ReadError: a picture cannot be read.
    """
    settings = Settings(draws=draws, seed=seed)
    _check_catalogs(train, test, second)
    run_dir = Path(run_dir)
    known = leaked_among(leaked, truth_of(test, test.classes))
    removed = _twins(twins, leaked, train)
    plan = _plan(
        {"train": train, "test": test, "second": second},
        {"leaked": known or (), "twins": removed},
        **{"n": n, "name": name, "seed": seed},
    )
    _claim(run_dir, plan)
    rest = train.select(where=lambda record: record.id not in removed)
    jobs = {
        "official": [_Job("official", train, test, known)],
        TWINS_REMOVED: [_Job("twins-removed", rest, test, known, twins_removed=True)],
        f"grouped {n}-fold": list(_fold_jobs("fold", train, n, seed)),
    }
    if second is not None:
        jobs[f"second set, grouped {n}-fold"] = list(_fold_jobs("second-fold", second, n, seed))
    floors = _Floors([catalog for catalog in (train, test, second) if catalog is not None])
    return FiveNumbers(
        name, {title: _judged(fit, parts, run_dir, floors, settings) for title, parts in jobs.items()}
    )


class _Floors:
    """The floors' answers for any job: every picture is looked at once."""

    def __init__(self, catalogs: Sequence[Catalog]) -> None:
        parts = [look_at(catalog) for catalog in catalogs]
        self._looks = Looks(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.sizes for part in parts]),
            np.concatenate([part.thumbnails for part in parts]),
        )
        paths = [path for catalog in catalogs for path in catalog.paths]
        self._place = {path: place for place, path in enumerate(paths)}

    def answers(self, job: _Job) -> dict[str, tuple[str, ...]]:
        """Return floor -> its class for each of the job's test pictures."""
        return floor_answers(self._of(job.train), self._of(job.test))

    def _of(self, catalog: Catalog) -> Looks:
        return self._looks.take(np.array([self._place[path] for path in catalog.paths]))


def _fold_jobs(name: str, catalog: Catalog, n: int, seed: int) -> Iterator[_Job]:
    for number, (train, held_out) in enumerate(folds(catalog, n, seed=seed)):
        yield _Job(f"{name}-{number}", train, held_out)


def _judged(fit: Fit, jobs: Sequence[_Job], run_dir: Path, floors: _Floors, settings: Settings) -> Evaluation:
    """Score the predictions of all jobs together: each picture is judged by one of them."""
    labels = jobs[0].train.classes
    answers = [floors.answers(job) for job in jobs]
    truth = _together([truth_of(job.test, labels) for job in jobs])
    return judge(
        labels,
        Answers(truth, tuple(one for job in jobs for one in _predictions(fit, job, run_dir))),
        leaked=jobs[0].leaked,
        settings=settings,
        twins_removed=jobs[0].twins_removed,
        floors={name: _joined([one[name] for one in answers]) for name in answers[0]},
    )


def _together(parts: Sequence[Truth]) -> Truth:
    ids, labels, groups, paths = (
        _joined([getattr(part, name) for part in parts]) for name in ("ids", "labels", "groups", "paths")
    )
    return Truth(ids, labels, groups, paths=paths)


def _joined(parts: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(chain.from_iterable(parts))


def _predictions(fit: Fit, job: _Job, run_dir: Path) -> tuple[Prediction, ...]:
    """Return a job's predictions: those that are kept, or those of a classifier trained now."""
    kept = run_dir / f"{job.name}.csv"
    if kept.exists():
        logger.info("%s: finished before, its predictions are read", job.name)
    else:
        logger.info("%s: training on %d pictures", job.name, len(job.train))
        _train_and_ask(fit, job, run_dir / job.name).to_csv(kept)
    # What was just written is read too, so that a resumed run says the very same.
    labels = job.train.classes
    return by_id(read_predictions(kept), truth_of(job.test, labels), labels)


def _train_and_ask(fit: Fit, job: _Job, folder: Path) -> Evaluation:
    folder.mkdir(parents=True, exist_ok=True)
    classifier = fit(job.train, None, folder)
    check_judged(classifier)
    if tuple(classifier.labels) != job.train.classes:
        raise ManifestMismatch(
            f"the classifier of {job.name} has the labels {', '.join(classifier.labels)}",
            f"{', '.join(job.train.classes)}, in this order",
            "build it with the classes of the catalog it is given",
        )
    return evaluate(classifier, job.test, leaked=job.leaked, draws=1)


def _check_catalogs(train: Any, test: Any, second: Any) -> None:
    named = {"train": train, "test": test} | ({} if second is None else {"second": second})
    for name, catalog in named.items():
        if not isinstance(catalog, Catalog):
            raise ArgumentError(
                f"{name} is a {type(catalog).__name__}", "a Catalog", "pass dataset.scan(folder)"
            )
        if not len(catalog):
            raise ArgumentError(f"{name} holds no picture", "pictures", "check what was selected")
    if train.classes != test.classes:
        raise ArgumentError(
            f"test has the classes {', '.join(test.classes)}",
            f"those of train in the same order: {', '.join(train.classes)}",
            "pass the same classes= to both scans",
        )
    check_train(train, test, train.classes)


def _twins(twins: Any, leaked: Any, train: Catalog) -> frozenset[str]:
    given = getattr(leaked, "twin_ids", None) if twins is None else twins
    if isinstance(given, str) or not isinstance(given, Collection):
        raise ArgumentError(
            f"twins is {twins!r}, and leaked is a {type(leaked).__name__}",
            "ids of the training pictures that the test set holds too",
            "pass twins=, or leaked=dataset.known(pictures), which knows them for the public set",
        )
    strange = sorted(set(given) - set(train.ids))
    if strange:
        raise ArgumentError(
            f"{len(strange)} twins are not in train, such as {strange[0]!r}",
            "ids of training pictures",
            "pass twins of this catalog",
        )
    if len(set(given)) == len(train):
        raise ArgumentError("twins are all of train", "some pictures left to train on", "check the twins")
    return frozenset(given)


def _plan(
    catalogs: Mapping[str, Catalog | None], sets: Mapping[str, Collection[str]], **numbers: Any
) -> dict[str, Any]:
    digests = {name: None if one is None else one.digest for name, one in catalogs.items()}
    return {**digests, **{name: digest_of(sorted(ids)) for name, ids in sets.items()}, **numbers}


def _claim(run_dir: Path, plan: dict[str, Any]) -> None:
    """Write what the folder's numbers are of, or check that it says so already.

    Raises:
        ArgumentError: they are of something else.
    """
    path = run_dir / PLAN
    if not path.exists():
        write_text(path, json.dumps(plan, indent=1) + "\n")
        return
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = {}
    differ = (
        sorted(key for key in plan if found.get(key) != plan[key]) if isinstance(found, dict) else list(plan)
    )
    if differ:
        raise ArgumentError(
            f"{run_dir} holds the numbers of another {', '.join(differ)}",
            "a new folder, or one that was begun with the same arguments",
            "choose another run_dir, or remove it",
        )
