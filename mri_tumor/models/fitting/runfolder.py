"""The folder of a run: what determines the run, and everything it made."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mri_tumor.errors import ManifestMismatch, TrainingError
from mri_tumor.files import digest_of
from mri_tumor.manifest import FILE_NAME, Manifest
from mri_tumor.models.classifier import RUN_CLASSIFIER
from mri_tumor.models.loop import Outcome

logger = logging.getLogger(__name__)


class RunFolder:
    """A run's folder; opening it checks that it is empty or belongs to the same run.

    It holds `manifest.json` (kind `"run"`), `history.csv`, `curves.png`, `confusion.png`, `checkpoint/`,
    `classifier/`; with a refit also `refit/`, with cached features `features/`.

    Args:
        path: the folder; made if it is not there.
        sections: JSON objects that determine the run together.

    Raises:
        TrainingError: the folder holds another run.
        ManifestMismatch: its manifest is damaged, or of another kind.
    """

    def __init__(self, path: str | Path, sections: dict[str, Any]) -> None:
        self.path = Path(path)
        self.sections = sections
        self.digest = digest_of(sections)
        self.finished = False
        if (self.path / FILE_NAME).exists():
            self._check(Manifest.load(self.path, kind="run"))
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            self._write({"digest": self.digest, "finished": False})

    @property
    def classifier(self) -> Path:
        """Where the classifier is saved."""
        return self.path / RUN_CLASSIFIER

    def finish(self, training: dict[str, Any], seconds: float) -> None:
        """Write that the run is complete; the last thing a run does."""
        done = {"digest": self.digest, "finished": True, "seconds": round(seconds, 1), "training": training}
        self._write(done)
        self.finished = True

    def draw(self, truth: Any, predicted: Any, title: str = "validation") -> None:
        """Draw the confusion matrix of the pictures that the run was selected by.

        Args:
            truth: the true classes, whole numbers (N,).
            predicted: the predicted ones, (N,).
            title: what stands above.
        """
        labels = self.sections["data"]["labels"]
        matrix = np.zeros((len(labels), len(labels)), np.int64)
        np.add.at(matrix, (np.asarray(truth), np.asarray(predicted)), 1)
        _save(lambda plots: plots.confusion(matrix, labels, title=title), self.path / "confusion.png")

    def _write(self, run: dict[str, Any]) -> None:
        Manifest("run", self.sections | {"run": run}).save(self.path)

    def _check(self, found: Manifest) -> None:
        run = found.sections.get("run")
        if not isinstance(run, dict) or "digest" not in run:
            raise ManifestMismatch(
                f"{self.path / FILE_NAME} has no section 'run'", "a run's manifest", "use another run_dir"
            )
        if run["digest"] != self.digest:
            raise TrainingError(
                f"{self.path} holds another run ({run['digest']!s:.12}): it differs in "
                + "; ".join(differences(found.sections, self.sections)),
                f"the run asked for ({self.digest:.12})",
                "train into an empty folder, or ask for the same model, data and recipe to go on",
            )
        self.finished = bool(run.get("finished"))


def draw_curves(outcome: Outcome, path: Path) -> None:
    """Draw how a phase went, epoch by epoch, or strength by strength for a head that was solved."""
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    history = {name: outcome.column(name) for name in names}
    strengths = [f"{strength:g}" for strength in outcome.column("strength")]
    _save(lambda plots: plots.curves(history, best_epoch=outcome.best_epoch, strengths=strengths), path)


def _save(draw: Callable[[Any], Any], path: Path) -> None:
    """Draw and save a picture; without matplotlib, which a container may lack, a run goes on without it."""
    try:
        from mri_tumor import plots
    except ImportError as error:
        logger.info("%s is not drawn: %s", path.name, error)
        return
    plots.save(draw(plots), path)


def differences(found: dict[str, Any], expected: dict[str, Any], prefix: str = "") -> list[str]:
    """Return how one JSON object differs from another, one line a value, as `"recipe.seed: 1, not 2"`.

    >>> differences({"recipe": {"seed": 1}}, {"recipe": {"seed": 2}})
    ['recipe.seed: 1, not 2']
    """
    lines = []
    for name in sorted(expected):
        old, new = found.get(name), expected[name]
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            lines.append(f"{prefix}{name}: {_short(old)}, not {_short(new)}")
    return lines


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
