"""What a model card says of how a classifier decides, and what its calibration was worth."""

from collections.abc import Iterator
from typing import Any

from mri_tumor.dataset.tables import percent
from mri_tumor.manifest import Manifest
from mri_tumor.models.describing.markdown import UNKNOWN, bullets, part, plain, said, table

_PLAIN = (
    "**Not calibrated.** Temperature 1, no prediction sets and no threshold of novelty: it names the most "
    "likely class of whatever it is shown and never abstains. Whether its probabilities mean what they say "
    "was not measured in the making."
)
_METHODS = {
    "plain": "the probability of the class",
    "aps": "the probabilities of the class and of all more likely ones, summed",
}
_SOURCES = {
    "pictures": "pictures set aside",
    "out_of_fold": "those it was trained with, each answered by a network that neither learnt from it nor "
    "was selected by it",
}


def calibrated(manifest: Manifest) -> bool:
    """Tell whether a classifier was calibrated: whether it has prediction sets."""
    return bool(part(manifest.sections, "decision", "conformal"))


def decision(manifest: Manifest) -> str:
    """Return how the classifier decides, and the report that its calibration left."""
    if not calibrated(manifest):
        return _PLAIN
    labels = list(map(str, part(manifest.sections, "data").get("labels", ())))
    section = part(manifest.sections, "decision")
    report = part(section, "calibration")
    if not report:
        return bullets([*_settings(section, labels), "What this calibration was worth: not measured."])
    lines = bullets([*_settings(section, labels), *_pictures(report, labels)])
    return "\n\n".join([lines, _reliability(report), _shares(section, report, labels)])


def _settings(section: dict[str, Any], labels: list[str]) -> Iterator[str]:
    sets, novelty = part(section, "conformal"), part(section, "novelty")
    yield f"Temperature: {said(section.get('temperature'))}; logits are divided by it."
    yield (
        f"Prediction sets: risk {said(sets.get('risk'))} a class, by "
        f"{_METHODS.get(str(sets.get('method')), UNKNOWN)} (`{said(sets.get('method'))}`); thresholds "
        f"{_by_class(part(sets, 'thresholds'), labels)}."
    )
    if novelty:
        share = said(novelty.get("false_alarms"))
        yield f"Novelty: the threshold was set for false alarms on a share {share} of ordinary pictures."
    else:
        yield "Novelty: not measured, it takes no picture for a strange one."


def _pictures(report: dict[str, Any], labels: list[str]) -> Iterator[str]:
    source = _SOURCES.get(str(report.get("source")), UNKNOWN)
    yield (
        f"Calibrated by {said(report.get('n'))} pictures of {said(report.get('groups'))} groups: {source}. "
        f"Pictures a class: {_by_class(part(report, 'counts'), labels)}."
    )
    if report.get("without_group"):
        yield (
            f"**The group of {said(report['without_group'])} of them is not known**; each counts as a group "
            "of its own, so slices of one patient may lie in several folds and the report may be too good."
        )
    if report.get("always"):
        yield f"Too few pictures for this risk, so in every set: {said(report['always'])}."
    if report.get("source") != "out_of_fold":  # there the source says it
        yield from _reuse(part(report, "reuse"))


def _by_class(values: dict[str, Any], labels: list[str]) -> str:
    """Return a value a class; a manifest that was saved has lost the classes' order, so they give it."""
    return ", ".join(f"{plain(label)} {said(values.get(label))}" for label in labels)


def _reuse(reuse: dict[str, Any]) -> Iterator[str]:
    """Yield whether training or selection knew the pictures."""
    if not reuse.get("trained_on_checked"):
        yield "Whether the classifier was trained on some of them: **not checked**."
    if not reuse.get("selected_on_checked"):
        yield "Whether training selected by some of them: **not checked**."
    again = [reuse.get(f"selected_{what}") or 0 for what in ("pictures", "groups")]
    if any(again):
        yield (
            f"**Reuse**: training had selected by {said(again[0])} of these pictures and {said(again[1])} of "
            "their groups, which was allowed by whoever calibrated it. What follows is too good."
        )
    elif reuse.get("trained_on_checked") and reuse.get("selected_on_checked"):
        yield "Checked: nothing was trained on them and nothing was selected by them."


def _reliability(report: dict[str, Any]) -> str:
    titles = {
        "ece": "calibration error, debiased",
        "ece_plain": "calibration error, plain",
        "brier": "Brier score",
        "log_loss": "log loss",
    }
    rows = [
        [title, *(said(part(report, when).get(name)) for when in ("before", "after"))]
        for name, title in titles.items()
    ]
    return table(["probabilities", "before", "after calibration"], rows)


def _shares(section: dict[str, Any], report: dict[str, Any], labels: list[str]) -> str:
    risk = part(section, "conformal").get("risk")
    wanted = f"at least {percent(1 - risk)}" if isinstance(risk, int | float) else UNKNOWN
    alarms = part(section, "novelty").get("false_alarms")
    coverage = part(report, "coverage")
    rows = [
        [
            f"coverage, {'all' if label == 'all' else plain(label)}: the set holds the true class",
            wanted,
            _share(coverage.get(label)),
        ]
        for label in ["all", *labels]
    ]
    rows += [
        ["abstained: gave no class", "", _share(report.get("abstention"))],
        ["right where it gave one", "", _share(report.get("selective_accuracy"))],
        ["most likely class right", "", _share(report.get("accuracy"))],
        [
            "false alarms: ordinary pictures called novel",
            _at_most(alarms),
            _share(report.get("false_alarms")),
        ],
    ]
    reasons = ", ".join(
        f"{plain(name)} {said(count)}" for name, count in sorted(part(report, "reasons").items())
    )
    return (
        f"{table(['share of the pictures, %', 'promised', 'found'], rows)}\n\n"
        f"Classes in a set: {said(report.get('set_size'))} on average. Reasons to abstain, in pictures: "
        f"{reasons or UNKNOWN}. All of it was judged in {said(report.get('folds'))} folds by group, each by "
        "what was fitted on the others; in brackets 95 % intervals by draws of whole groups."
    )


def _at_most(share: Any) -> str:
    return f"at most {percent(share)}" if isinstance(share, int | float) else ""


def _share(card: Any) -> str:
    """Return a share with its interval, as the report has them, in per cent."""
    card = part(card)
    value, low, high = (card.get(name) for name in ("value", "low", "high"))
    if not isinstance(value, int | float):
        return "not measured"
    known = isinstance(low, int | float) and isinstance(high, int | float)
    return percent(value) + (f" ({percent(low)}-{percent(high)})" if known else "")
