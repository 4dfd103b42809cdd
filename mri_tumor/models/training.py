"""Training: pictures and a recipe to a `Classifier`, in a folder from which a killed run goes on."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError
from mri_tumor.files import digest_of, whole_file
from mri_tumor.manifest import Manifest
from mri_tumor.models.builders import backbone, describe
from mri_tumor.models.checks import check_leaks, check_sources
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.features import weights_digest
from mri_tumor.models.feeds import Feed, class_weights, feature_feed, picture_feed, uses_features
from mri_tumor.models.loop import Outcome, run_epochs
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.runfolder import RunFolder
from mri_tumor.models.seen import Known, Seen, known_of
from mri_tumor.models.sources import Source, open_source

logger = logging.getLogger(__name__)


def train(
    model: Any,
    train: Any,
    validation: Any,
    *,
    recipe: Recipe | None = None,
    run_dir: str | Path,
    refit: bool = False,
    preprocess: Preprocess | None = None,
    allow_leakage: bool = False,
) -> Classifier:
    """Train a copy of a model and return the classifier of its best epoch; the model itself stays as it is.

    If the backbone is frozen, its features of the originals and of `recipe.copies` augmented copies are
    computed once and only the layers after them are trained; otherwise the whole network is trained, on
    pictures that are augmented anew in every epoch. The best epoch is that with the lowest validation loss.

    Everything lies in `run_dir`. Called again with the same arguments, a run that was interrupted goes on
    after its last whole epoch and ends as it would have done; a finished one is returned at once. Weights
    that were drawn at random need not be the same: the run goes on from those it began with.

    Args:
        model: a network as `build` makes it.
        train: the training pictures: a Catalog, a shard folder, or a `tf.data.Dataset` of (image, label)
            pairs or of what `load` gives. A plain Dataset is neither checked for leaks nor are its features
            cached, and resuming is not exact; it is read through once before training.
        validation: the pictures that the epoch is selected by; likewise.
        recipe: every training choice; `Recipe()` if None.
        run_dir: the run's folder.
        refit: after the selection train anew, from the same initial weights, on training and validation
            pictures, for as many epochs as were best and with the learning rates of those epochs. That
            network is returned; no picture is left to judge it by but those of a test set.
        preprocess: how a Catalog's pictures are prepared, by default `Preprocess` at the model's size; for
            shards only their own; for a Dataset how its pictures were prepared.
        allow_leakage: train although training and validation share pictures or groups; it is recorded.

    Raises:
        ArgumentError: an argument is of the wrong type, or the model of another form.
        ManifestMismatch: labels, preprocessing or sizes of model, training and validation pictures differ.
        LeakageError: training and validation share pictures or groups.
        TrainingError: a set is empty, a class has no training picture, `run_dir` holds another run, or the
            loss is not a number any more.

    The returned classifier's manifest says in its section `"training"` what was chosen and how it went.
    """
    recipe = _checked_recipe(recipe)
    start = time.monotonic()
    job = _open(model, train, validation, recipe, preprocess, allow_leakage)
    folder = RunFolder(run_dir, job.sections | {"settings": {"refit": bool(refit)} | job.settings})
    if folder.finished:
        logger.info("%s holds this run, finished; nothing is trained", folder.path)
        return Classifier.load(folder.classifier)
    initial = _initial_weights(folder, job.network)
    job.network.set_weights(initial)
    outcome = _select(job, folder)
    again = _refit(job, folder, outcome, initial) if refit else None
    section = _training_section(job, outcome, again)
    classifier = Classifier(job.network, _manifest(job, section), seen=_seen(job.known, refit=refit))
    classifier.save(folder.classifier)
    folder.finish(section, time.monotonic() - start)
    return classifier


@dataclass(frozen=True)
class _Job:
    """A checked run: the network, its pictures and what determines it."""

    network: Any
    train: Source
    validation: Source
    recipe: Recipe
    known: tuple[Known, Known]
    leaks: dict[str, Any]
    cached: bool

    @property
    def sections(self) -> dict[str, Any]:
        return {
            "data": self.train.section,
            "validation": self.validation.section,
            "recipe": self.recipe.to_dict(),
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What else determines the run: the network, and whether features are cached."""
        frozen = None
        if not backbone(self.network).trainable_weights:
            frozen = weights_digest(backbone(self.network))
        described = describe(self.network)
        return {
            "model": {name: described[name] for name in ("name", "weights", "size", "classes", "options")},
            "architecture": _architecture(self.network),
            "frozen_weights": frozen,
            "cached_features": self.cached,
            "allow_leakage": self.leaks["allowed"],
        }

    @property
    def weights(self) -> np.ndarray:
        return class_weights(self.train, self.recipe)


def _checked_recipe(recipe: Any) -> Recipe:
    if recipe is not None and not isinstance(recipe, Recipe):
        raise ArgumentError(
            f"recipe is a {type(recipe).__name__}", "a Recipe or None", "pass recipe=models.Recipe(...)"
        )
    return recipe or Recipe()


def _open(
    model: Any, train: Any, validation: Any, recipe: Recipe, preprocess: Preprocess | None, allow: bool
) -> _Job:
    described = describe(model)
    fits = {"preprocess": preprocess, "size": described["size"], "classes": described["classes"]}
    learnt, judged = open_source(train, "train", **fits), open_source(validation, "validation", **fits)
    check_sources(learnt, judged, size=described["size"], classes=described["classes"])
    known = known_of(train, learnt.ids, learnt.groups), known_of(validation, judged.ids, judged.groups)
    leaks = check_leaks(*known, allow=allow)
    network = model.__class__.from_config(model.get_config())
    network.set_weights(model.get_weights())
    cached = uses_features(network, [learnt, judged], recipe)
    return _Job(network, learnt, judged, recipe, known, leaks, cached)


def _seen(known: tuple[Known, Known], *, refit: bool) -> Seen | None:
    """Return what the network was trained on: with a refit on the validation pictures too."""
    parts = known if refit else known[:1]
    return Seen.of(parts) if all(part.ids for part in parts) else None


def _architecture(network: Any) -> str:
    """Return a digest of the layers and their shapes; the names that Keras numbers do not count."""
    layers = []
    for layer in network.layers:
        config = {name: value for name, value in layer.get_config().items() if name not in ("name", "seed")}
        layers.append([type(layer).__name__, repr(sorted(config.items())), str(layer.output.shape)])
    return digest_of(layers)


def _initial_weights(folder: RunFolder, network: Any) -> list[Any]:
    """Return the weights that the run began with; the first call keeps those of the network."""
    path = folder.path / "initial.npz"
    given = network.get_weights()
    if not path.exists():
        with whole_file(path) as partial:
            np.savez(partial, *given)
    with np.load(path, allow_pickle=False) as arrays:
        kept = [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
    if not all(map(np.array_equal, kept, given)):
        logger.info("%s goes on from its own initial weights, not from those of the model", folder.path)
    return kept


def _feed(job: _Job, folder: RunFolder, *, everything: bool) -> Feed:
    train = {"train": job.train} | ({"validation": job.validation} if everything else {})
    validation = None if everything else job.validation
    if job.cached:
        place = folder.path / "features"
        return feature_feed(
            job.network, train, validation, recipe=job.recipe, weights=job.weights, directory=place
        )
    sources = list(train.values())
    return picture_feed(job.network, sources, validation, recipe=job.recipe, weights=job.weights)


def _select(job: _Job, folder: RunFolder) -> Outcome:
    """Train on the training pictures, keep the best epoch, and draw how it went."""
    feed = _feed(job, folder, everything=False)
    outcome = run_epochs(
        feed.model,
        feed.data,
        steps=feed.steps,
        recipe=job.recipe,
        directory=folder.path,
        validation=feed.validation,
    )
    predicted = np.argmax(feed.model.predict(feed.validation, verbose=0), axis=1)
    folder.draw(outcome, job.validation.label_indices, predicted)
    feed.finish()
    return outcome


def _refit(job: _Job, folder: RunFolder, chosen: Outcome, initial: list[Any]) -> Outcome:
    """Train anew on all pictures, for the epochs chosen, with their learning rates and class weights."""
    job.network.set_weights(initial)
    feed = _feed(job, folder, everything=True)
    rates = chosen.column("learning_rate")[: chosen.best_epoch + 1]
    logger.info("refit on train and validation for %d epochs", len(rates))
    place = folder.path / "refit"
    again = run_epochs(
        feed.model, feed.data, steps=feed.steps, recipe=job.recipe, directory=place, rates=rates
    )
    feed.finish()
    return again


def _training_section(job: _Job, outcome: Outcome, again: Outcome | None) -> dict[str, Any]:
    best = outcome.history[outcome.best_epoch]
    weights = zip(job.train.labels, job.weights.tolist(), strict=True)
    copies = job.recipe.copies if job.recipe.augment is not None else 0
    return {
        "epochs_run": len(outcome.history),
        "best_epoch": outcome.best_epoch,
        "best_val_loss": best["val_loss"],
        "best_val_accuracy": best["val_accuracy"],
        "class_weights": dict(weights),
        "leakage": job.leaks,
        "cached_features": job.cached,
        "copies": copies if job.cached else None,
        "refit": None if again is None else _refit_section(job, again),
    }


def _refit_section(job: _Job, again: Outcome) -> dict[str, Any]:
    count = job.train.count + job.validation.count
    return {"epochs": len(again.history), "count": count, "loss": again.history[-1]["loss"]}


def _manifest(job: _Job, section: dict[str, Any]) -> Manifest:
    sections: dict[str, Any] = {**job.sections, "training": section, "decision": {}}
    return Manifest("model", sections)
