"""An `Evaluation`: everything that was found about a classifier on some pictures."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mri_tumor.labels import NOTICE
from mri_tumor.models.judging.asking import Answers
from mri_tumor.models.judging.by_group import GroupScores, by_group
from mri_tumor.models.judging.cases import Cases, cases_of, places_of
from mri_tumor.models.judging.floors import ABOUT, Floor
from mri_tumor.models.judging.mistakes import ConfusedPair, Mistake, confused_pairs, mistakes
from mri_tumor.models.judging.rows import write_rows
from mri_tumor.models.judging.scores import Scores, Settings, score, score_part
from mri_tumor.models.judging.truth import Truth
from mri_tumor.models.prediction import Prediction
from mri_tumor.models.seen import Shared

if TYPE_CHECKING:
    from mri_tumor.models.judging.report import Report

PARTS = ("all", "leaked", "clean")
"""What pictures are scored apart."""


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
        selected: those that something was selected by, such as its best epoch; None if that is not known.
        calibrated: those that it was calibrated by; None if by none, or that is not known.
        classifier: which one was judged, a digest; None if several were, or one without a manifest.
        twins_removed: whether training was spared the pictures that are like the leaked ones: those are new
            to the model then, and called leaked only to be compared.
        by_group: part -> scores of one answer a group, the mean over its pictures; None where no group is
            known, parts without pictures are missing.
        floors: what is reached without learning anything; None where they could not be worked out.
        floors_note: why there are none, else empty.
        settings: how pictures were scored.
    """

    labels: tuple[str, ...]
    all: Scores
    leaked: Scores | None
    clean: Scores | None
    predictions: tuple[Prediction, ...]
    truth: Truth
    leaked_ids: frozenset[str] | None
    shared: Shared | None = None
    selected: Shared | None = None
    calibrated: Shared | None = None
    classifier: str | None = None
    twins_removed: bool = False
    by_group: dict[str, GroupScores | None] = field(default_factory=dict)
    floors: tuple[Floor, ...] | None = None
    floors_note: str = ""
    settings: Settings = field(default_factory=Settings)

    @property
    def parts(self) -> dict[str, Scores]:
        """Part -> its scores, those parts that have pictures."""
        return parts_of(self)

    @property
    def leaks_known(self) -> bool:
        """Whether anything is known about leaks."""
        return self.leaked_ids is not None

    @property
    def confused(self) -> tuple[ConfusedPair, ...]:
        """Which classes are taken for which, the most frequent first."""
        return confused_pairs(self.all.confusion, self.labels)

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """The pictures whose most likely class is wrong, the most confident mistakes first."""
        return mistakes(self.predictions, self.truth)

    def cases(self, part: str = "all") -> Cases:
        """Return the pictures of a part as arrays: `"all"`, `"leaked"` or `"clean"`."""
        return cases_of(self.truth, self.predictions, self.labels).take(
            chosen(part, self.truth, self.leaked_ids)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as a JSON object; the predictions are in `to_csv`."""
        found = {part: getattr(self, part) for part in PARTS}
        groups = {part: None if one is None else _card(one) for part, one in self.by_group.items()}
        before = {"trained_on": self.shared, "selected_by": self.selected, "calibrated_by": self.calibrated}
        return {
            "classifier": self.classifier,
            "labels": list(self.labels),
            "leaks_known": self.leaks_known,
            "twins_removed": self.twins_removed,
            **{name: None if one is None else dataclasses.asdict(one) for name, one in before.items()},
            **{part: None if one is None else one.to_dict() for part, one in found.items()},
            "by_group": groups,
            "floors": None if self.floors is None else {one.name: _floor_card(one) for one in self.floors},
            "floors_note": self.floors_note,
            "confused": [dataclasses.asdict(pair) for pair in self.confused],
            "settings": dataclasses.asdict(self.settings),
            "notice": NOTICE,
        }

    def to_csv(self, path: str | Path) -> None:
        """Write one row a picture: id, true and predicted class, leaked, group, decision and probabilities.

        The columns are those of `judging.rows.write_rows`, which `read_predictions` reads again.
        """
        write_rows(path, self.predictions, self.truth, self.labels, self.leaked_ids)

    def to_html(self, path: str | Path, *, pictures: int = 12) -> None:
        """Write the evaluation as one HTML page that loads nothing from elsewhere.

        Args:
            path: the file.
            pictures: how many of the most confident mistakes are shown, from 0. Their pictures are in the
                page where the data was a Catalog whose files are still there.

        Raises:
            ArgumentError: `pictures` is below 0 or no whole number.
        """
        from mri_tumor.models.judging.page import write_page

        write_page(path, self, pictures)

    def __repr__(self) -> str:
        return f"<Evaluation of {self.all.n} pictures, accuracy {self.all.accuracy:.3f}: see summary()>"

    def summary(self) -> str:
        """Return the scores as a small table, one column a part, with intervals where there are any."""
        from mri_tumor.models.judging.text import summary

        return summary(self)


def judge(
    labels: tuple[str, ...],
    said: Answers,
    *,
    leaked: frozenset[str] | None,
    settings: Settings,
    twins_removed: bool = False,
    floors: Mapping[str, tuple[str, ...]] | None = None,
    floors_note: str = "",
) -> Evaluation:
    """Score answers.

    Args:
        labels: the class names in order.
        said: the answers.
        leaked: the leaked ones among the pictures; None if nothing is known about leaks.
        settings: how to score.
        twins_removed: whether training was spared the pictures that are like the leaked ones.
        floors: floor -> its class for each picture.
        floors_note: why there are no floors.
    """
    truth = said.truth
    cases = cases_of(truth, said.predictions, labels)
    scored = _scored(cases, truth, leaked, settings)
    groups = {
        part: by_group(cases.take(chosen(part, truth, leaked)), settings)
        for part, found in scored.items()
        if found is not None
    }
    return Evaluation(
        labels=labels,
        **scored,  # type: ignore[arg-type]
        **vars(said),
        leaked_ids=leaked,
        twins_removed=twins_removed,
        by_group=groups,
        floors=None if floors is None else _floors(floors, cases, truth, leaked, settings),
        floors_note=floors_note,
        settings=settings,
    )


def chosen(part: str, truth: Truth, leaked: frozenset[str] | None) -> Any:
    """Return which pictures belong to a part: bool `(N,)`; only "all" has any if leaks are unknown."""
    if part == "all":
        return np.ones(len(truth.ids), bool)
    if leaked is None:
        return np.zeros(len(truth.ids), bool)
    return np.array([(name in leaked) == (part == "leaked") for name in truth.ids], bool)


def parts_of(found: "Evaluation | Floor | Report") -> dict[str, Scores]:
    """Return part -> its scores, those parts that have pictures."""
    scored = {part: getattr(found, part) for part in PARTS}
    return {part: one for part, one in scored.items() if one is not None}


def _scored(
    cases: Cases, truth: Truth, leaked: frozenset[str] | None, settings: Settings
) -> dict[str, Scores | None]:
    found: dict[str, Scores | None] = {"all": score(cases, settings)}
    for part in PARTS[1:]:
        found[part] = score_part(cases, chosen(part, truth, leaked), settings)
    return found


def _floors(
    floors: Mapping[str, tuple[str, ...]],
    cases: Cases,
    truth: Truth,
    leaked: frozenset[str] | None,
    settings: Settings,
) -> tuple[Floor, ...]:
    found = []
    for name, answers in floors.items():
        own = Cases(cases.labels, cases.truth, places_of(answers, cases.labels), cases.groups)
        found.append(Floor(name, ABOUT[name], answers, **_scored(own, truth, leaked, settings)))  # type: ignore[arg-type]
    return tuple(found)


def _card(found: GroupScores) -> dict[str, Any]:
    return {
        **found.scores.to_dict(),
        "answers": [dataclasses.asdict(one) for one in found.answers],
        "mixed": list(found.mixed),
        "ungrouped": found.ungrouped,
    }


def _floor_card(floor: Floor) -> dict[str, Any]:
    scored = {part: getattr(floor, part) for part in PARTS}
    return {"about": floor.about} | {
        part: None if one is None else one.to_dict() for part, one in scored.items()
    }
