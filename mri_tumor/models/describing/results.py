"""What a model card says of a classifier's scores: tables for people, and the index for machines."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from mri_tumor.dataset.tables import percent
from mri_tumor.labels import display_name
from mri_tumor.models.describing.markdown import bullets, plain, table
from mri_tumor.models.judging.bootstrap import PERCENT
from mri_tumor.models.judging.five_numbers import TWINS_REMOVED
from mri_tumor.models.judging.floors import Floor
from mri_tumor.models.judging.report import FiveReport, Report
from mri_tumor.models.judging.result import parts_of
from mri_tumor.models.judging.scores import Scores
from mri_tumor.models.judging.text import caveats, with_interval
from mri_tumor.models.judging.verdict import telling, verdict

_INTERVALS = (
    f"In brackets: {PERCENT} % intervals by draws of whole groups, a group being what belongs together, such "
    "as the slices of a patient; none where all draws agree. A dash: not measured."
)
_GIVEN = "These numbers were given as those of this classifier; nothing in them shows which one was asked."
_NAMED = "These numbers name the classifier that was asked: it is this one."
_PROTOCOLS = (
    "Official: trained on the training set and judged by the test set. "
    f"{TWINS_REMOVED.capitalize()}: the same after training without near-duplicates of test pictures. "
    "Grouped folds: every group of the training set, or of a second set, was held out once. "
    "Leaked are pictures of which training holds a copy, clean the others."
)
_TASK = {"type": "image-classification", "name": "Image classification"}
_METRICS = {"accuracy": ("accuracy", "Accuracy"), "macro_f1": ("f1", "Macro-F1")}

Rows = list[tuple[str, str, Report]]
"""What is shown, a line each: its title, the part of the pictures, and the report."""


def five_numbers(five: FiveReport, recipe_digest: str | None) -> str:
    """Return the five numbers: scores beside floors, class by class, and what came of abstaining.

    Args:
        five: the numbers.
        recipe_digest: of the classifier's recipe; None where that is not recorded.
    """
    rows = [(name, part, one) for name, one in five.reports.items() for part in one.parts]
    lines = [f"{name}: {line}" for name, one in five.reports.items() for line in _remarks(told(one))]
    parts = [_of_what(five, recipe_digest), _PROTOCOLS, *_tables(rows), bullets(map(plain, lines))]
    return "\n\n".join(filter(None, parts))


def _of_what(five: FiveReport, recipe_digest: str | None) -> str:
    if recipe_digest is not None and recipe_digest[:12] in five.name:
        same = "That name holds the digest of this classifier's recipe."
    else:
        same = "Nothing in it shows that this classifier was trained in the same way."
    return (
        "These numbers judge a way of training: for each line networks were trained anew and asked for "
        "pictures that they had not seen, except those called leaked. "
        f"What was trained: {plain(five.name) or 'it has no name'}. {same}"
    )


def evaluation(found: Report) -> str:
    """Return the scores of an evaluation."""
    if found.leaked is not None:
        first = []
    elif found.leaks_known:
        first = ["None of these pictures leaked, as far as is known."]
    else:
        first = ["Which of these pictures training holds too is not known."]
    found = told(found)
    rows = [("evaluated", part, found) for part in found.parts]
    lines = [*first, *_remarks(found)]
    lines += [f"Floors: {found.floors_note}."] if found.floors is None else []
    return "\n\n".join(
        filter(None, [_NAMED if found.classifier else _GIVEN, *_tables(rows), bullets(map(plain, lines))])
    )


def told(found: Report) -> Report:
    """Return a report without parts where training held none of its pictures: all of them are clean then."""
    fair = found.leaked is None or found.twins_removed
    return dataclasses.replace(found, leaked=None, clean=None) if fair else found


def _remarks(found: Report) -> list[str]:
    return [*verdict(found), *(" ".join(text.split()) for text in caveats(found))]


def index(name: str, reports: Iterable[tuple[str, Report]]) -> list[dict[str, Any]]:
    """Return the scores in the form of Hugging Face's `model-index`.

    A machine that reads it sees no caveats, so of each report there is one part only: the clean pictures
    where some leaked, else all, and none of pictures that the classifier was trained on.

    Args:
        name: the model's name.
        reports: how the pictures were judged, and the report as `told` gives it.
    """
    results = [one for title, report in reports for one in _results(title, report)]
    return [{"name": name, "results": results}] if results else []


def _results(title: str, report: Report) -> Iterator[dict[str, Any]]:
    part, scores = telling(report)
    if part == "all" and (report.leaked is not None or report.shared):
        return
    data = {"type": "imagefolder", "name": f"{title}, {part} pictures", "config": title, "split": part}
    yield {"task": _TASK, "dataset": data, "metrics": list(_metrics(scores))}


def _metrics(scores: Scores) -> Iterator[dict[str, Any]]:
    for metric, (kind, title) in _METRICS.items():
        shown = f"{title}, % ({PERCENT} % interval): {with_interval(scores, metric)}, n = {scores.n}"
        yield {"type": kind, "value": scores.values()[metric], "name": shown}


def _tables(rows: Rows) -> list[str]:
    return [_scores(rows), _floors(rows), _classes(rows), _decisions(rows), _INTERVALS]


def _titled(name: str, part: str) -> str:
    return f"{plain(name)}, {part}"


def _scores(rows: Rows) -> str:
    header = [
        "judged by",
        "pictures",
        "groups",
        "accuracy, %",
        "one answer a group, %",
        "macro-F1, %",
        "ROC-AUC, %",
    ]
    return table(header, (_score_row(*row) for row in rows))


def _score_row(name: str, part: str, found: Report) -> list[str]:
    scores, groups = found.parts[part], found.by_group.get(part)
    known = str(scores.groups) if scores.groups_known else "unknown"
    together = "-" if groups is None else with_interval(groups, "accuracy")
    main = [with_interval(scores, metric) for metric in ("accuracy", "macro_f1", "roc_auc")]
    return [_titled(name, part), str(scores.n), known, main[0], together, *main[1:]]


def _floors(rows: Rows) -> str:
    """Return the accuracy of the model beside that of rules that learn nothing about tumours."""
    floors = {floor.name: floor.about for *_, found in rows for floor in found.floors or ()}
    if not floors:
        return "What is reached without learning about tumours: not measured."
    header = ["accuracy, %", "model", *map(plain, floors)]
    body = [
        [
            _titled(name, part),
            with_interval(found.parts[part], "accuracy"),
            *(_floor(found.floors or (), floor, part) for floor in floors),
        ]
        for name, part, found in rows
    ]
    about = "; ".join(f"{plain(name)}: {plain(text)}" for name, text in floors.items())
    return f"{table(header, body)}\n\nBeside the model stands what is reached without learning: {about}."


def _floor(floors: Iterable[Floor], name: str, part: str) -> str:
    found = [parts_of(floor).get(part) for floor in floors if floor.name == name]
    return with_interval(found[0], "accuracy") if found and found[0] else "-"


def _classes(rows: Rows) -> str:
    labels = list(dict.fromkeys(label for *_, found in rows for label in found.labels))
    header = ["recall, %", *(plain(display_name(label)) for label in labels)]
    body = [
        [_titled(name, part), *(_recall(found.parts[part], label) for label in labels)]
        for name, part, found in rows
    ]
    return table(header, body)


def _recall(scores: Scores, label: str) -> str:
    one = scores.per_class.get(label)
    return f"{with_interval(scores, f'recall {label}')} of {one.support}" if one and one.support else "-"


def _decisions(rows: Rows) -> str:
    header = ["", "calibration error, %", "Brier score", "coverage, %", "classes in a set", "abstained, %"]
    return table([*header, "right where not, %"], (_decision_row(*row) for row in rows))


def _decision_row(name: str, part: str, found: Report) -> list[str]:
    scores = found.parts[part]
    values = scores.values()
    brier, size = (values.get(metric) for metric in ("brier", "set_size"))
    shares = [
        with_interval(scores, metric) for metric in ("coverage", "abstention_rate", "selective_accuracy")
    ]
    return [
        _titled(name, part),
        percent(values.get("ece")),
        "-" if brier is None else f"{brier:.3f}",
        shares[0],
        "-" if size is None else f"{size:.2f}",
        *shares[1:],
    ]
