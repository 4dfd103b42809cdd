"""What calibration learns from: logits, labels, groups and distances of pictures new to a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch
from mri_tumor.manifest import Manifest
from mri_tumor.models.classifier import RUN_CLASSIFIER, Classifier
from mri_tumor.models.companions import without_cards
from mri_tumor.models.fitting.held_out import FILE_NAME, HeldOut
from mri_tumor.models.judging.truth import truth_of
from mri_tumor.models.seen import Known, Seen, Shared, known_of

_KINDS = {"ids": "U", "labels": "iu", "groups": "U", "logits": "f", "distances": "f"}


@dataclass(frozen=True)
class Observations:
    """Pictures as calibration sees them, N of them in one order.

    Args:
        known: their ids, groups and files.
        labels: the true classes, int64 (N,).
        logits: float32 (N, K).
        distances: float64 (N,), from the training pictures; None where nothing measured them.
        source: `"pictures"` or `"out_of_fold"`.
    """

    known: Known
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    distances: NDArray[np.float64] | None
    source: str

    @property
    def groups(self) -> tuple[str, ...]:
        """Each picture's group; one whose group is unknown is a group of its own."""
        pairs = zip(self.known.ids, self.known.groups, strict=True)
        return tuple(f"picture {name}" if group is None else f"group {group}" for name, group in pairs)

    def where(self, chosen: NDArray[np.bool_]) -> "Observations":
        """Return the pictures that are chosen, bool (N,)."""
        places = np.flatnonzero(chosen)
        names = tuple(self.known.ids[place] for place in places)
        groups = tuple(self.known.groups[place] for place in places)
        distances = None if self.distances is None else self.distances[places]
        return Observations(
            Known(names, groups), self.labels[places], self.logits[places], distances, self.source
        )


def observations_of(classifier: Classifier, data: Any) -> Observations:
    """Return what calibration learns from.

    Args:
        classifier: what is calibrated.
        data: a Catalog, a shard folder, or the folder of a k-fold run of this very classifier.

    Raises:
        ArgumentError: `data` is none of these, or holds no picture.
        ManifestMismatch: other labels or preprocessing; or a run of another classifier.
    """
    if isinstance(data, str | Path) and (Path(data) / FILE_NAME).is_file():
        return _out_of_fold(classifier, Path(data))
    if isinstance(data, str | Path) and (Path(data) / RUN_CLASSIFIER).is_dir():
        raise ArgumentError(
            f"{data} is a run without folds: it kept nothing that was said of pictures held out",
            "pictures set aside, or the folder of a run with Recipe(folds=k)",
            "pass a Catalog or shards that neither training nor selection has seen, or train with folds",
        )
    if not isinstance(data, Catalog | str | Path):
        raise ArgumentError(
            f"data is a {type(data).__name__}",
            "a Catalog, a shard folder, or the folder of a run with folds, all of which know their pictures",
            "pass dataset.scan(folder), or what write_tfrecords wrote",
        )
    truth = truth_of(data, classifier.labels)
    observed = classifier.observe(data)
    place = {name: index for index, name in enumerate(observed.ids)}
    order = [place[name] for name in truth.ids]
    distances = None
    if classifier.density is not None:
        distances = classifier.density.distance(observed.features[order])
    labels = np.array([classifier.labels.index(name) for name in truth.labels], np.int64)
    known = known_of(data, truth.ids, truth.groups)
    return Observations(known, labels, observed.logits[order], distances, "pictures")


def memory_of(classifier: Classifier, found: Observations) -> Seen:
    """Return what the classifier is to remember of the pictures that it is calibrated by."""
    if found.source == "out_of_fold" and classifier.seen is not None:
        return classifier.seen  # all of the run's pictures; the run also knew their files
    return Seen.of([found.known])


def check_new(classifier: Classifier, found: Observations, *, allow_reuse: bool) -> dict[str, Any]:
    """Check that neither training nor selection used the pictures; return what the manifest records of it.

    Raises:
        LeakageError: the classifier was trained on some of them; or something was selected by some of them,
            and `allow_reuse` is False.
    """
    trained = selected = None
    # Each out-of-fold answer is that of a network that neither saw the picture nor was selected by it.
    if found.source == "pictures":
        selected = _shared(classifier.selected, found.known)
        trained = _shared(classifier.seen, found.known)
        if trained:
            raise LeakageError(
                f"the classifier was trained on {trained} of the calibration pictures",
                "pictures and groups that it was not trained on",
                "set pictures aside with dataset.split before training; or train with Recipe(folds=5) and "
                "calibrate with the run's folder",
            )
    if selected and not allow_reuse:
        raise LeakageError(
            f"training selected on {selected} of the calibration pictures",
            "pictures that nothing was selected on: what was chosen for them looks better on them",
            "set pictures aside with dataset.split before training; allow_reuse=True calibrates all the same "
            "and records it",
        )
    return {
        "allowed": allow_reuse,
        "trained_on_checked": found.source == "out_of_fold" or trained is not None,
        "selected_on_checked": found.source == "out_of_fold" or selected is not None,
        "selected_pictures": len(selected.pictures) if selected else 0,
        "selected_groups": len(selected.groups) if selected else 0,
    }


def _shared(seen: Seen | None, known: Known) -> Shared | None:
    return None if seen is None else seen.shared(known)


def _out_of_fold(classifier: Classifier, folder: Path) -> Observations:
    _check_run(classifier, folder)
    columns = vars(HeldOut.load(folder))
    _check_columns(folder / FILE_NAME, columns, len(classifier.labels))
    groups = tuple(str(group) or None for group in columns["groups"])
    # Without a density of its own the classifier could not measure a new picture.
    distances = None if classifier.density is None else columns["distances"].astype(np.float64)
    return Observations(
        Known(tuple(map(str, columns["ids"])), groups),
        columns["labels"].astype(np.int64),
        columns["logits"].astype(np.float32),
        distances,
        "out_of_fold",
    )


def _check_columns(path: Path, columns: dict[str, NDArray[Any]], classes: int) -> None:
    """Check that the columns are there, as long as each other, and say what they should."""
    count = len(columns["ids"]) if columns["ids"].ndim else 0
    shape = {"logits": (count, classes)}
    good = all(
        columns[name].dtype.kind in kinds and columns[name].shape == shape.get(name, (count,))
        for name, kinds in _KINDS.items()
    )
    labels = columns["labels"] if good else np.zeros(0, np.int64)
    if not count or not good or labels.min() < 0 or labels.max() >= classes:
        shapes = {name: f"{column.dtype} {column.shape}" for name, column in columns.items()}
        raise ManifestMismatch(
            f"{path} holds {shapes}",
            f"ids, labels from 0 to {classes - 1}, groups and logits of {classes} classes, a row a picture",
            "train again with Recipe(folds=...)",
        )
    finite = all(np.isfinite(columns[name]).all() for name in ("logits", "distances"))
    if not finite or len(set(columns["ids"].tolist())) < count:
        raise ManifestMismatch(
            f"{path} holds numbers that are not finite, or an id twice",
            "one finite row a picture",
            "train again",
        )


def _check_run(classifier: Classifier, folder: Path) -> None:
    """Check that the run made this classifier: all that its manifest says of training is the same."""
    made = Manifest.load(folder / RUN_CLASSIFIER, kind="model")
    own, other = (_training(one) for one in (classifier.manifest, made))
    differing = sorted(name for name in own.keys() | other.keys() if own.get(name) != other.get(name))
    if differing:
        raise ManifestMismatch(
            f"{folder} made another classifier: {', '.join(differing)} differ",
            "the folder of the run that made this classifier",
            "pass the classifier that this run returned",
        )


def _training(manifest: Manifest) -> dict[str, Any]:
    sections = {name: part for name, part in manifest.sections.items() if name != "decision"}
    return sections | {"model": without_cards(dict(sections.get("model", {})))}
