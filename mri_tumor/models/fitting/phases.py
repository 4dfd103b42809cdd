"""One network's training: first what is free in it, then the top of its backbone."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mri_tumor.models.builders import free_top, set_frozen
from mri_tumor.models.fitting.feature_table import FeatureTable
from mri_tumor.models.fitting.features import Features, Scaling
from mri_tumor.models.fitting.feeds import Feed, class_weights, feature_feed, picture_feed
from mri_tumor.models.fitting.observing import observed
from mri_tumor.models.fitting.pool import Places, Pool
from mri_tumor.models.fitting.runfolder import draw_curves
from mri_tumor.models.fitting.solver import place, try_strengths
from mri_tumor.models.loop import Outcome, run_epochs, write_history
from mri_tumor.models.recipe import Recipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What one network is trained on, and where its files go.

    Args:
        network: trained in place.
        pool: all pictures of the run.
        train: the positions it learns from.
        validation: the positions that epochs and strengths are selected by; empty for a refit.
        recipe: every choice.
        directory: gets histories, curves and checkpoints.
        table: the pictures' cached features; None trains the whole network on line.
    """

    network: Any
    pool: Pool
    train: Places
    validation: Places
    recipe: Recipe
    directory: Path
    table: FeatureTable | None

    @property
    def weights(self) -> Any:
        """One weight a class, float32 (K,)."""
        return class_weights(self.pool.label_indices[self.train], len(self.pool.labels), self.recipe)


@dataclass(frozen=True)
class Fitted:
    """How a network's phases went, in order: `"head"` or `"network"`, then perhaps `"top"`.

    Args:
        phases: name -> outcome.
        top_kept: whether the second phase lowered the validation loss; if not, its weights were set aside.
    """

    phases: dict[str, Outcome] = field(default_factory=dict)
    top_kept: bool = True

    @property
    def last(self) -> Outcome:
        """The phase that the network's weights are from."""
        names = [name for name in self.phases if name != "top" or self.top_kept]
        return self.phases[names[-1]]

    @property
    def section(self) -> dict[str, Any]:
        """What a manifest says of it."""
        phases = {name: _card(outcome) for name, outcome in self.phases.items()}
        return {**_card(self.last), "phases": phases, "top_kept": self.top_kept}


def fit(task: Task, chosen: Fitted | None = None) -> Fitted:
    """Train a network in place.

    Args:
        task: what and on what.
        chosen: what was selected before, to be repeated without validation: strengths, epochs and rates.

    Raises:
        TrainingError: the loss is not a number any more, or no checkpoint can be read.
    """
    name = "network" if task.table is None else "head"
    before = None if chosen is None else chosen.phases[name]
    phases = {name: _first(task, before)}
    if not task.recipe.fine_epochs or (chosen is not None and not chosen.top_kept):
        return Fitted(phases, top_kept=False)
    weights, loss = task.network.get_weights(), _validation_loss(task)
    phases["top"] = _top(task, None if chosen is None else chosen.phases["top"])
    kept = chosen is not None or _best(phases["top"])["val_loss"] < loss
    if not kept:
        logger.info("the second phase did not lower the validation loss of %.4g; it is set aside", loss)
        task.network.set_weights(weights)
        set_frozen(task.network, True)
    return Fitted(phases, kept)


def _first(task: Task, chosen: Outcome | None) -> Outcome:
    if task.table is None:
        feed = picture_feed(task.network, task.pool, task.train, task.validation, task.recipe, task.weights)
        return _epochs(task, feed, task.directory, chosen)
    if task.recipe.head_solver == "newton":
        return _solved(task, task.table, chosen)
    feed = feature_feed(task.network, task.table, task.train, task.validation, task.recipe, task.weights)
    return _epochs(task, feed, task.directory, chosen)


def _solved(task: Task, table: FeatureTable, chosen: Outcome | None) -> Outcome:
    """Solve the head, one dense layer, for every strength and put the best solution into the network."""
    learnt = table.training(task.train)
    scaling = Scaling.of(learnt.values)
    scaled = Features(scaling(learnt.values), learnt.labels)
    views = table.views(task.validation) if len(task.validation) else []
    judged = [Features(scaling(view.values), view.labels) for view in views]
    strengths = task.recipe.strengths if chosen is None else (_best(chosen)["strength"],)
    trials = try_strengths(scaled, task.weights, judged, strengths)
    outcome = _outcome([trial.row for trial in trials])
    layer = task.network.get_layer("logits")
    place(trials[outcome.best_epoch].solution, layer)
    scaling.fold(layer)
    if len(strengths) > 1 and trials[outcome.best_epoch].strength in (min(strengths), max(strengths)):
        logger.info("the best strength is the last one tried on its side: Recipe(strengths=) takes others")
    write_history(outcome.history, task.directory / "history.csv")
    draw_curves(outcome, task.directory / "curves.png")
    return outcome


def _top(task: Task, chosen: Outcome | None) -> Outcome:
    """Go on with the top of the backbone, in small steps, on pictures that are varied anew in every epoch."""
    free_top(task.network, task.recipe.fine_share)
    feed = picture_feed(task.network, task.pool, task.train, task.validation, task.recipe, task.weights)
    return _epochs(task, feed, task.directory / "top", chosen, fine=True)


def _epochs(
    task: Task, feed: Feed, directory: Path, chosen: Outcome | None, *, fine: bool = False
) -> Outcome:
    recipe = task.recipe
    outcome = run_epochs(
        feed.model,
        feed.data,
        steps=feed.steps,
        recipe=recipe,
        directory=directory,
        validation=feed.validation,
        epochs=recipe.fine_epochs if fine else recipe.epochs,
        learning_rate=recipe.fine_learning_rate if fine else recipe.learning_rate,
        rates=None if chosen is None else chosen.rates,
    )
    feed.finish()
    draw_curves(outcome, directory / "curves.png")
    return outcome


def _validation_loss(task: Task) -> float:
    """Return the validation loss of the network as it is, the way the second phase measures its own."""
    if not len(task.validation):
        return float("inf")
    seen = observed(task.network, task.pool, task.validation, "none", None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return float(loss(task.pool.label_indices[task.validation], seen.logits))


def _outcome(rows: list[dict[str, float]]) -> Outcome:
    losses = [row["val_loss"] for row in rows if "val_loss" in row]
    return Outcome(rows, int(np.argmin(losses)) if losses else len(rows) - 1)


def _best(outcome: Outcome) -> dict[str, float]:
    return outcome.history[outcome.best_epoch]


def _card(outcome: Outcome) -> dict[str, Any]:
    best = _best(outcome)
    names = ("val_loss", "val_accuracy", "loss", "strength")
    found = {f"best_{name}": best[name] for name in names if name in best}
    return {"epochs_run": len(outcome.history), "best_epoch": outcome.best_epoch, **found}
