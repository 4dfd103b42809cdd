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
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.fitting.checks import check_leaks, check_recipe, check_sources
from mri_tumor.models.fitting.feature_table import FeatureTable
from mri_tumor.models.fitting.features import weights_digest
from mri_tumor.models.fitting.feeds import class_weights, uses_features
from mri_tumor.models.fitting.held_out import Fold, HeldOut, group_folds, log_fold
from mri_tumor.models.fitting.observing import observed
from mri_tumor.models.fitting.phases import Fitted, Task, fit
from mri_tumor.models.fitting.pool import Places, Pool
from mri_tumor.models.fitting.runfolder import RunFolder
from mri_tumor.models.fitting.sources import open_source
from mri_tumor.models.networks.copies import copy_of
from mri_tumor.models.networks.ensemble import merge, same_backbone
from mri_tumor.models.novelty import Density
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.seen import Known, Seen, known_of

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
    With `recipe.fine_epochs` the top of the backbone is trained after that; it is set aside if it does not
    lower the validation loss. With `recipe.folds` several networks are trained on training and validation
    pictures together, each validated on another part of the groups, and become one that answers by the mean
    of their logits; `out_of_fold.npz` keeps what each said about the pictures it was not trained on.

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
        ArgumentError: an argument is of the wrong type, the model of another form, or the recipe asks for
            what this model or these pictures cannot have.
        ManifestMismatch: labels, preprocessing or sizes of model, training and validation pictures differ.
        LeakageError: training and validation share pictures or groups.
        TrainingError: a set is empty, a class has no training picture, there are fewer than four training
            pictures more than classes, `run_dir` holds another run, or the loss is not a number any more.

    The returned classifier's manifest says in its section `"training"` what was chosen and how it went.
    """
    recipe = _checked_recipe(recipe)
    start = time.monotonic()
    job = _open(model, train, validation, recipe, preprocess, allow_leakage, refit)
    folder = RunFolder(run_dir, job.sections | {"settings": {"refit": job.refit} | job.settings})
    if folder.finished:
        logger.info("%s holds this run, finished; nothing is trained", folder.path)
        return Classifier.load(folder.classifier)
    trained = _trained_folds(job, folder) if job.folds else _trained_once(job, folder)
    section = _training_section(job, trained)
    seen, selected = job.memories
    classifier = Classifier(
        trained.network, _manifest(job, section), seen=seen, selected=selected, density=trained.density
    )
    classifier.save(folder.classifier)
    folder.finish(section, time.monotonic() - start)
    return classifier


@dataclass(frozen=True)
class _Job:
    """A checked run: the network, its pictures and what determines it; no folds train one network."""

    network: Any
    pool: Pool
    recipe: Recipe
    folds: list[Fold]
    known: tuple[Known, Known]
    leaks: dict[str, Any]
    cached: bool
    refit: bool

    @property
    def sections(self) -> dict[str, Any]:
        return {
            "data": self.pool.sources["train"].section,
            "validation": self.pool.sources["validation"].section,
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
    def memories(self) -> tuple[Seen | None, Seen | None]:
        """Which pictures the network was trained on, and which ones something was selected by."""
        everything = self.refit or bool(self.folds)
        trained = self.known if everything else self.known[:1]
        return _seen(trained), _seen(self.known if everything else self.known[1:])

    def table(self, folder: RunFolder) -> FeatureTable | None:
        """Return the cached features of all pictures, None if the network sees pictures."""
        if not self.cached:
            return None
        return FeatureTable(self.network, self.pool, self.recipe, folder.path / "features")

    @property
    def everything(self) -> Places:
        return np.arange(self.pool.count)


@dataclass(frozen=True)
class _Member:
    """One trained network of a run.

    Args:
        network: what is delivered.
        selected: the network as it was selected; with a refit another one.
        learnt: the positions that the delivered one learnt from.
        fitted: how the selection went.
        again: how the refit went.
        table: the cached features, None where they are not those of this network.
    """

    network: Any
    selected: Any
    learnt: Places
    fitted: Fitted
    again: Fitted | None
    table: FeatureTable | None

    @property
    def section(self) -> dict[str, Any]:
        return self.fitted.section | {
            "refit": self.again and self.again.section | {"count": len(self.learnt)}
        }


@dataclass(frozen=True)
class _Trained:
    """What a run came to; `engine` computed the cached features, None where there are none."""

    network: Any
    members: list[_Member]
    density: Density
    engine: str | None


def _checked_recipe(recipe: Any) -> Recipe:
    if recipe is not None and not isinstance(recipe, Recipe):
        raise ArgumentError(
            f"recipe is a {type(recipe).__name__}", "a Recipe or None", "pass recipe=models.Recipe(...)"
        )
    return recipe or Recipe()


def _open(
    model: Any,
    train: Any,
    validation: Any,
    recipe: Recipe,
    preprocess: Preprocess | None,
    allow: bool,
    refit: bool,
) -> _Job:
    described = describe(model)
    fits = {"preprocess": preprocess, "size": described["size"], "classes": described["classes"]}
    learnt, judged = open_source(train, "train", **fits), open_source(validation, "validation", **fits)
    check_sources(learnt, judged, size=described["size"], classes=described["classes"])
    known = known_of(train, learnt.ids, learnt.groups), known_of(validation, judged.ids, judged.groups)
    leaks = check_leaks(*known, allow=allow)
    network = copy_of(model)
    cached = uses_features(network, [learnt, judged], recipe)
    check_recipe(recipe, network, [learnt, judged], cached=cached)
    pool = Pool({"train": learnt, "validation": judged})
    folds = [] if recipe.folds is None else group_folds(pool, recipe)
    return _Job(network, pool, recipe, folds, known, leaks, cached, bool(refit))


def _seen(parts: tuple[Known, ...]) -> Seen | None:
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


def _trained_once(job: _Job, folder: RunFolder) -> _Trained:
    """Train by the training pictures and select by the validation pictures."""
    pool, table = job.pool, job.table(folder)
    parts = pool.places("train"), pool.places("validation")
    initial = _initial_weights(folder, job.network)
    member = _member(job, initial, parts, folder.path, table)
    judged = observed(member.selected, pool, parts[1], job.recipe.tta, member.table)
    folder.draw(pool.label_indices[parts[1]], judged.logits.argmax(axis=1))
    density = _density(job, member.network, member.learnt, member.table)
    return _Trained(member.network, [member], density, _engine(table))


def _trained_folds(job: _Job, folder: RunFolder) -> _Trained:
    """Train a network for every fold of all pictures, keep what it says of those held out, and merge them."""
    pool, table = job.pool, job.table(folder)
    initial = _initial_weights(folder, job.network)
    members, held, densities = [], [], []
    for number, fold in enumerate(job.folds):
        logger.info("fold %d of %d", number + 1, len(job.folds))
        place = folder.path / f"fold-{number}"
        member = _member(job, initial, (fold.train, fold.validation), place, table)
        judged = observed(member.network, pool, fold.held, job.recipe.tta, member.table)
        densities.append(_density(job, member.network, member.learnt, member.table))
        held.append((fold.held, judged.logits, densities[-1].distance(judged.features)))
        members.append(member)
        log_fold(number, judged.logits, pool.label_indices[fold.held])
    kept = HeldOut.joined(pool, held)
    kept.save(folder.path)
    folder.draw(kept.labels, kept.logits.argmax(axis=1), "held out")
    networks = [member.network for member in members]
    merged = merge(networks)
    if not same_backbone(networks):
        return _Trained(merged, members, Density.side_by_side(densities), _engine(table))
    still = table if all(member.table is not None for member in members) else None
    return _Trained(merged, members, _density(job, merged, job.everything, still), _engine(table))


def _engine(table: FeatureTable | None) -> str | None:
    return None if table is None else table.engine


def _member(
    job: _Job, initial: list[Any], parts: tuple[Places, Places], place: Path, table: FeatureTable | None
) -> _Member:
    """Train one network; with a refit another one anew on both parts, as the first was selected."""
    network = copy_of(job.network, initial)
    fitted = fit(Task(network, job.pool, *parts, job.recipe, place, table))
    still = None if fitted.top_kept else table  # the features as they were computed
    if not job.refit:
        return _Member(network, network, parts[0], fitted, None, still)
    logger.info("refit on training and validation pictures, as it was selected")
    both = np.sort(np.concatenate(parts))
    refitted = copy_of(job.network, initial)
    again = fit(Task(refitted, job.pool, both, both[:0], job.recipe, place / "refit", table), fitted)
    return _Member(refitted, network, both, fitted, again, still)


def _density(job: _Job, network: Any, places: Places, table: FeatureTable | None) -> Density:
    seen = observed(network, job.pool, places, job.recipe.tta, table)
    return Density.fit(seen.features, job.pool.label_indices[places])


def _training_section(job: _Job, trained: _Trained) -> dict[str, Any]:
    copies = job.recipe.copies if job.recipe.augment is not None else 0
    learnt = [fold.train for fold in job.folds] or [job.pool.places("train")]
    sections = [
        member.section | {"class_weights": _named_weights(job, places)}
        for member, places in zip(trained.members, learnt, strict=True)
    ]
    return {
        **({"folds": sections} if job.folds else sections[0]),
        "leakage": job.leaks,
        "cached_features": job.cached,
        "feature_engine": trained.engine,
        "copies": copies if job.cached else None,
    }


def _named_weights(job: _Job, places: Places) -> dict[str, float]:
    labels = job.pool.labels
    weights = class_weights(job.pool.label_indices[places], len(labels), job.recipe)
    return dict(zip(labels, weights.tolist(), strict=True))


def _manifest(job: _Job, section: dict[str, Any]) -> Manifest:
    decision = {} if job.recipe.tta == "none" else {"tta": job.recipe.tta}
    sections: dict[str, Any] = {**job.sections, "training": section, "decision": decision}
    return Manifest("model", sections)
