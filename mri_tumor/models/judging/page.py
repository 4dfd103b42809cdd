"""An evaluation as one HTML page that loads nothing from elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mri_tumor.dataset.tables import percent
from mri_tumor.dataset.thumbnails import thumbnail
from mri_tumor.errors import MriTumorError
from mri_tumor.labels import display_name
from mri_tumor.models.judging.bootstrap import PERCENT
from mri_tumor.models.judging.mistakes import Mistake, check_most
from mri_tumor.models.judging.result import parts_of
from mri_tumor.models.judging.scores import Scores
from mri_tumor.models.judging.text import headline, notes, with_interval
from mri_tumor.models.judging.verdict import telling, verdict
from mri_tumor.page import Card, Page

if TYPE_CHECKING:
    from mri_tumor.models.judging.result import Evaluation

_PRIVATE = "This page holds pictures of the data set. If they must not be passed on, neither must this page."
_WRONG_GROUPS = 10
_PLAIN = {
    "mcc": "Matthews' correlation",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "calibration error, debiased",
}
_WHAT = {
    "all": "all pictures",
    "leaked": "leaked: training holds a copy of each",
    "clean": "clean: nothing alike in training",
}
_REMOVED = "leaked otherwise: copies of each were taken out of training"


def write_page(path: str | Path, found: "Evaluation", pictures: int) -> None:
    """Write an evaluation's page; it is whole or not there.

    Raises:
        ArgumentError: `pictures`, how many mistakes to show, is below 0 or no whole number.
    """
    check_most(pictures, "pictures")
    page(found, pictures).save(path)


def page(found: "Evaluation", pictures: int) -> Page:
    """Return an evaluation's page with at most so many mistakes shown."""
    made = Page(f"Evaluation on {found.all.n} pictures")
    _first(made, found)
    _metrics(made, found)
    _floors(made, found)
    _classes(made, found)
    _confusion(made, found)
    _curves(made, found)
    _reliability(made, found)
    _decisions(made, found)
    _groups(made, found)
    _mistakes(made, found, pictures)
    _how(made, found)
    return made


def _first(page: Page, found: "Evaluation") -> None:
    part, scores = telling(found)
    cards = [
        _card(one, "accuracy", f"accuracy, {name}", bad=name == "leaked" and not found.twins_removed)
        for name, one in sorted(found.parts.items(), key=lambda item: item[0] != part)
    ]
    cards += [
        _card(scores, "balanced_accuracy", f"balanced accuracy, {part}"),
        _card(scores, "macro_f1", f"macro-F1, {part}"),
        _card(scores, "roc_auc", f"ROC-AUC, {part}"),
    ]
    page.cards(cards)
    for line in verdict(found):
        page.warn(line)


def _card(scores: Scores, name: str, text: str, *, bad: bool = False) -> Card:
    ends, note = scores.intervals.get(name), "no interval"
    if ends is not None and ends.low < ends.high:
        note = f"{PERCENT} %: {percent(ends.low)} to {percent(ends.high)}"
    value = percent(scores.values()[name])
    return Card(f"{value} %" if value != "-" else value, text, note, bad)


def _what(found: "Evaluation", part: str) -> str:
    return _REMOVED if part == "leaked" and found.twins_removed else _WHAT[part]


def _metrics(page: Page, found: "Evaluation") -> None:
    rows: list[list[object]] = [["pictures", *(one.n for one in found.parts.values())]]
    rows.append(["groups", *(one.groups if one.groups_known else "unknown" for one in found.parts.values())])
    for name, title in headline(found):
        rows.append([f"{title}, %", *(with_interval(one, name) for one in found.parts.values())])
    for name, title in _PLAIN.items():
        rows.append([title, *(one.values()[name] for one in found.parts.values())])
    page.heading("All pictures, and leaked and clean ones apart" if found.leaked_ids else "Scores")
    page.table(["", *found.parts], rows)
    page.quiet(f"In brackets: {PERCENT} % intervals, by drawing whole groups with replacement.")


def _floors(page: Page, found: "Evaluation") -> None:
    page.heading("Beside what learns nothing about tumours")
    if found.floors is None:
        page.text(f"No floors: {found.floors_note}.")
        return
    from mri_tumor.models.judging.charts import floors_chart

    page.figure(floors_chart(found), "Accuracy of the model and of rules that learn nothing about tumours")
    rows: list[list[object]] = [
        ["this model", *(with_interval(one, "accuracy") for one in found.parts.values())]
    ]
    for floor in found.floors:
        rows.append([floor.name, *(with_interval(one, "accuracy") for one in parts_of(floor).values())])
    page.table(["accuracy, %", *found.parts], rows)
    page.quiet("; ".join(f"{floor.name}: {floor.about}" for floor in found.floors) + ".")


def _classes(page: Page, found: "Evaluation") -> None:
    page.heading("Class by class")
    sure = f"sensitivity at {100 * found.settings.specificity:g} % specificity"
    header = ["class", "pictures", "recall, %", "precision", "specificity", "F1", "ROC-AUC", "PR-AUC", sure]
    for part, scores in found.parts.items():
        page.subheading(_what(found, part).capitalize())
        page.table(header, [_class_row(scores, label) for label in found.labels])


def _class_row(scores: Scores, label: str) -> list[object]:
    one = scores.per_class[label]
    rest = (one.precision, one.specificity, one.f1, one.roc_auc, one.pr_auc, one.sensitivity)
    return [display_name(label), one.support, with_interval(scores, f"recall {label}"), *rest]


def _confusion(page: Page, found: "Evaluation") -> None:
    from mri_tumor.models.judging.charts import confusion_chart

    page.heading("What is taken for what")
    page.figures(
        (
            confusion_chart(scores, found.labels, f"{part}: {scores.n} pictures"),
            f"Confusion matrix, {_what(found, part)}",
        )
        for part, scores in found.parts.items()
    )
    rows = [
        [display_name(p.label), display_name(p.top), p.count, f"{percent(p.share)} %"] for p in found.confused
    ]
    if rows:
        page.table(["true class", "taken for", "pictures", "of the class"], rows)


def _curves(page: Page, found: "Evaluation") -> None:
    from mri_tumor.models.judging.charts import curves_chart

    page.heading("How well each class is told from the rest")
    for part in dict.fromkeys([telling(found)[0], "all"]):
        figure = curves_chart(found.cases(part), f"{part}: {found.parts[part].n} pictures")
        if figure is None:
            page.text(f"Part {part!r} holds one class only: nothing is to be told apart.")
        else:
            page.figure(figure, f"ROC and precision-recall, one class against the rest, {_what(found, part)}")


def _reliability(page: Page, found: "Evaluation") -> None:
    from mri_tumor.models.judging.charts import reliability_chart

    page.heading("Whether its probabilities mean what they say")
    page.figures(
        (reliability_chart(found.cases(part), part), f"Share right against confidence, {_what(found, part)}")
        for part in dict.fromkeys([telling(found)[0], "all"])
    )


def _decisions(page: Page, found: "Evaluation") -> None:
    made = found.all.decisions
    if made is None or (not made.abstention_rate and made.coverage is None):
        return
    names = {
        "abstention_rate": "no class was given, %",
        "selective_accuracy": "accuracy where one was given, %",
        "coverage": "the set holds the true class, %",
        **{f"coverage {label}": f"of {display_name(label)}, %" for label in found.labels},
    }
    rows = [
        [title, *(with_interval(one, name) for one in found.parts.values())] for name, title in names.items()
    ]
    sizes = [one.decisions.set_size if one.decisions else None for one in found.parts.values()]
    page.heading("Where it may say that it cannot tell")
    page.table(["", *found.parts], [*rows, ["mean number of classes in a set", *sizes]])


def _groups(page: Page, found: "Evaluation") -> None:
    page.heading("One answer a group")
    known = {part: one for part, one in found.by_group.items() if one is not None}
    if not known:
        page.text("No group is known, so there is no patient or series to answer for as a whole.")
        return
    page.text("The mean of the probabilities over a group's pictures (a patient, a series) is its answer.")
    rows: list[list[object]] = [["groups", *(one.scores.n for one in known.values())]]
    for name, title in {"accuracy": "accuracy, %", "macro_f1": "macro-F1, %"}.items():
        rows.append([title, *(with_interval(one.scores, name) for one in known.values())])
    rows.append(["groups of several classes, left out", *(len(one.mixed) for one in known.values())])
    rows.append(["pictures of no group, left out", *(one.ungrouped for one in known.values())])
    page.table(["", *known], rows)
    part = telling(found)[0]
    if part in known:
        _wrong_groups(page, found, part)


def _wrong_groups(page: Page, found: "Evaluation", part: str) -> None:
    scored = found.by_group[part]
    wrong = [one for one in scored.answers if one.top != one.label] if scored else []
    if not wrong:
        return
    shown = sorted(wrong, key=lambda one: (-one.pictures, -one.probability))[:_WRONG_GROUPS]
    page.subheading(f"Groups called wrong, part {part!r}: {len(wrong)}, the largest first")
    rows = [
        [one.group, one.pictures, display_name(one.label), display_name(one.top), one.probability]
        for one in shown
    ]
    page.table(["group", "pictures", "true class", "taken for", "mean probability"], rows)


def _mistakes(page: Page, found: "Evaluation", most: int) -> None:
    wrong = found.mistakes
    page.heading(f"The most confident mistakes: {min(most, len(wrong))} of {len(wrong)}")
    if not wrong:
        page.text("Every picture was called right.")
    if not wrong or not most:
        return
    if found.truth.paths:
        page.warn(_PRIVATE)
    page.pictures(_shown(wrong[:most], found))


def _shown(wrong: tuple[Mistake, ...], found: "Evaluation") -> Iterator[tuple[bytes | None, str, list[str]]]:
    for one in wrong:
        leaked = ["leaked"] if found.leaked_ids and one.id in found.leaked_ids else []
        lines = [
            f"called {display_name(one.top)}: {percent(one.probability)} %",
            f"is {display_name(one.label)}: {percent(one.true_probability)} %",
        ]
        yield _small(one.path), one.id, lines + leaked


def _small(path: Path | None) -> bytes | None:
    try:
        return None if path is None else thumbnail(path)
    except MriTumorError:
        return None  # gone since, or of a kind whose reader is not installed: the answer still tells


def _how(page: Page, found: "Evaluation") -> None:
    settings = found.settings
    page.heading("How this was worked out")
    page.text(
        "A picture counts as called what its most likely class is, also where the classifier abstained. ROC "
        "and precision-recall take one class against the rest; means over classes leave out classes without "
        "pictures. Sensitivity at a fixed specificity is read off these very pictures, which flatters where "
        "they are few. What cannot be computed is shown as a dash."
    )
    page.text(
        f"Intervals are the middle {PERCENT} % of {settings.draws} bootstrap draws (seed {settings.seed}) of "
        "whole groups, so that slices of one patient do not count as so many patients. Where all answers are "
        "right, or none, the draws cannot differ and there is no interval."
    )
    if found.classifier:
        page.text(f"The classifier's digest: {found.classifier}.")
    page.verbatim("\n".join(notes(found)))
