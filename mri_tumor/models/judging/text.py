"""An evaluation in words and numbers: how values and intervals are written, and the summary."""

from typing import TYPE_CHECKING

from mri_tumor.dataset.tables import percent, text_table
from mri_tumor.models.judging.bootstrap import PERCENT
from mri_tumor.models.judging.scores import Scores

if TYPE_CHECKING:
    from mri_tumor.models.judging.report import Report
    from mri_tumor.models.judging.result import Evaluation

FEW_GROUPS = 20
"""With fewer groups than this, bootstrap intervals come out too narrow, and a note says so."""

_HEADLINE = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
}
_DECISIONS = {
    "abstention_rate": "abstained",
    "selective_accuracy": "accuracy of the rest",
    "coverage": "set holds the class",
}


def with_interval(scores: Scores, name: str) -> str:
    """Return a metric of `Scores.values` as per cent, with its interval where the draws differ."""
    ends = scores.intervals.get(name)
    value = percent(scores.values().get(name))
    if ends is None or ends.low == ends.high:
        return value
    return f"{value} ({percent(ends.low)}-{percent(ends.high)})"


def summary(found: "Evaluation") -> str:
    """Return the scores as a table, one column a part, and below it what must be known about them."""
    parts = found.parts
    rows = [["", *parts], ["pictures", *(str(one.n) for one in parts.values())]]
    rows.append(["groups", *(_groups(one) for one in parts.values())])
    rows += [
        [f"{title} %", *(with_interval(one, name) for one in parts.values())]
        for name, title in headline(found)
    ]
    rows += [
        [f"recall {label} %", *(with_interval(one, f"recall {label}") for one in parts.values())]
        for label in found.labels
    ]
    rows += _by_group(found) + _floors(found)
    return "\n".join([text_table(rows), *notes(found)])


def headline(found: "Evaluation") -> list[tuple[str, str]]:
    """Return (name, title) of the metrics that are shown first; abstaining only where something abstained."""
    shown = dict(_HEADLINE)
    made = found.all.decisions
    if made is not None and (made.abstention_rate or made.coverage is not None):
        shown |= {name: title for name, title in _DECISIONS.items() if getattr(made, name) is not None}
    return list(shown.items())


def notes(found: "Evaluation") -> list[str]:
    """Return what must be known about the scores, a line each."""
    lines = [] if found.leaks_known else ["leaks: unknown"]
    lines += [line for text in [*_memories(found), *caveats(found)] for line in text.split("\n")]
    lines.append(
        f"in brackets: {PERCENT} % intervals, {found.settings.draws} draws of whole groups; "
        "none where all draws agree"
    )
    return lines + ([f"floors: {found.floors_note}"] if found.floors_note else [])


def _memories(found: "Evaluation") -> list[str]:
    """Return which of the pictures the classifier had to do with before; `verdict` has it in sentences."""
    lines = [f"trained on: {found.shared} of these"] if found.shared else []
    lines += [f"selected by: {found.selected} of these, scores are too good"] if found.selected else []
    if found.calibrated:
        lines.append(f"calibrated by: {found.calibrated} of these, its sets and abstaining look too good")
    return lines


def caveats(found: "Evaluation | Report") -> list[str]:
    """Return what makes the scores or their intervals less sure than they look; long ones have two lines."""
    lines = []
    if found.twins_removed:
        lines.append(
            "twins removed: what is nearly the same as a leaked picture was taken out of training;\n"
            "  other slices of the same patients may have stayed there"
        )
    if not found.all.groups_known:
        lines.append(
            "groups: not known of every picture; without one it counts as a group of its own,\n"
            "  and intervals are too narrow if pictures belong together (see with_groups)"
        )
    few = [part for part, one in found.parts.items() if one.groups < FEW_GROUPS]
    if few:
        lines.append(f"few groups ({', '.join(few)}): intervals are rough and rather too narrow")
    return lines


def _groups(scores: Scores) -> str:
    return str(scores.groups) if scores.groups_known else "unknown"


def _by_group(found: "Evaluation") -> list[list[str]]:
    groups = [found.by_group.get(part) for part in found.parts]
    if not any(groups):
        return []
    cells = ["-" if one is None else with_interval(one.scores, "accuracy") for one in groups]
    return [["accuracy by group %", *cells]]


def _floors(found: "Evaluation") -> list[list[str]]:
    from mri_tumor.models.judging.result import parts_of

    return [
        [f"floor {floor.name} %", *(with_interval(one, "accuracy") for one in parts_of(floor).values())]
        for floor in found.floors or ()
    ]
