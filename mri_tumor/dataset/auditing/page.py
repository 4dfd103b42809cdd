"""An audit's report as one HTML page with nothing to load from elsewhere."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mri_tumor.dataset.auditing.gallery import gallery
from mri_tumor.dataset.auditing.shortcuts import Shortcuts
from mri_tumor.dataset.auditing.text import (
    SIDE_NAMES,
    balance_note,
    balance_rows,
    files_by_kind,
    group_rule,
    leak_rows,
    related_note,
)
from mri_tumor.errors import ArgumentError
from mri_tumor.files import write_text
from mri_tumor.labels import NOTICE
from mri_tumor.page import breakable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mri_tumor.dataset.auditing.report import AuditReport

_FILES = 40  # findings of a kind that are listed; the table that to_csv writes has all
_PRIVATE = "This page holds pictures of the data set. If they must not be passed on, neither must this page."
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 66rem;
       margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .8rem; border-top: 1px solid #ddd; }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
p, ul { max-width: 48rem; }
.notice { background: #fdf3e7; border-left: 4px solid #c8553d; padding: .5rem .8rem; max-width: none; }
.quiet, figcaption { color: #555; font-size: .85rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr));
         gap: .7rem; margin: 1rem 0; }
.fact { border: 1px solid #ddd; border-radius: 6px; padding: .5rem .8rem; font-size: .9rem;
        line-height: 1.3; }
.fact b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.bad { border-color: #c8553d; } .bad b { color: #b04329; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid #e5e5e5;
         vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
.words th, .words td { text-align: left; font-size: .9rem; }
.words td:nth-child(2) { overflow-wrap: anywhere; min-width: 11rem; }
.words td:nth-child(n+4) { min-width: 11rem; }
thead th { border-bottom: 2px solid #1f6f8b; }
.chart { max-width: min(100%, 52rem); height: auto; display: block; margin: .8rem 0; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(19.5rem, 1fr)); gap: .9rem; }
.pair { border: 1px solid #ddd; border-radius: 6px; padding: .6rem; }
.pair p { margin: .4rem 0 0; font-size: .85rem; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; }
.two figure { margin: 0; min-width: 0; }
.two figcaption { font-size: .75rem; line-height: 1.3; margin-top: .3rem; overflow-wrap: anywhere; }
.frame, .gone { height: 150px; background: #000; display: flex; align-items: center;
                justify-content: center; }
.frame img { max-width: 100%; max-height: 150px; }
.gone { color: #bbb; font-size: .8rem; }
"""


def write_page(path: str | Path, report: "AuditReport", pairs: int) -> None:
    """Write a report's page; it is whole or not there.

    Raises:
        ArgumentError: `pairs`, how many pairs of a kind to show, is below 0 or no whole number.
    """
    if not isinstance(pairs, int) or pairs < 0:
        raise ArgumentError(f"pairs is {pairs!r}", "a whole number from 0", "pass pairs=12")
    write_text(path, page(report, pairs))


def page(report: "AuditReport", pairs: int) -> str:
    """Return a report as the text of a page."""
    parts = [
        f'<p class="notice">{html.escape(NOTICE)}<br>{html.escape(_PRIVATE if pairs else "")}</p>',
        _facts(report),
        _to_do(report),
        _balance(report),
        _leaks(report) if report.test_labels else "",
        _shortcuts(report.shortcuts),
        _files(report),
        _pairs(report, pairs),
    ]
    title = f"Audit of {len(report.pictures)} pictures"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _facts(report: "AuditReport") -> str:
    groups = {picture.group for picture in report.pictures}
    leaked = len(report.leaked_ids)
    facts = [
        *((len(labels), f"{SIDE_NAMES[side]} pictures", False) for side, labels in _labels(report)),
        (report.distinct, "distinct pictures", False),
        (len(groups), "groups that belong together", False),
        *([(leaked, "test pictures also in training", leaked > 0)] if report.test_labels else []),
        (len(report.conflicts), "pairs under two labels", bool(report.conflicts)),
        (len(report.copies), "sets of copies", False),
        (len(report.files), "findings about files", bool(report.files)),
    ]
    cells = (
        f'<div class="fact{" bad" if bad else ""}"><b>{count}</b>{html.escape(text)}</div>'
        for count, text, bad in facts
    )
    return f'<div class="facts">{"".join(cells)}</div>'


def _labels(report: "AuditReport") -> Iterable[tuple[str, dict[str, str]]]:
    sides = zip(SIDE_NAMES, (report.train_labels, report.test_labels), strict=True)
    return [(side, labels) for side, labels in sides if labels]


def _to_do(report: "AuditReport") -> str:
    from mri_tumor.dataset.auditing.advice import advice

    steps = "".join(f"<li>{html.escape(step)}</li>" for step in advice(report))
    return f"<h2>What to do</h2>\n<ul>{steps}</ul>"


def _balance(report: "AuditReport") -> str:
    from mri_tumor.dataset.auditing.charts import balance_chart

    chart = _chart(balance_chart(report), "Pictures by class")
    return f"<h2>Pictures by class</h2>\n{chart}{_table(balance_rows(report))}{_quiet(balance_note(report))}"


def _leaks(report: "AuditReport") -> str:
    from mri_tumor.dataset.auditing.charts import leaks_chart

    head = "<h2>Test pictures that are also in training</h2>"
    chart = _chart(
        leaks_chart(report), "Test pictures by class: identical in training, near-duplicates, clean"
    )
    return f"{head}\n{chart}{_table(leak_rows(report))}{_quiet(related_note(report))}"


def _shortcuts(shortcuts: Shortcuts) -> str:
    head = "<h2>What tells the classes without a look at the brain</h2>"
    if not shortcuts.scores:
        return f"{head}\n<p>Not probed: {html.escape(shortcuts.note)}.</p>"
    from mri_tumor.dataset.auditing.charts import shortcuts_chart

    about = (
        f"Small random forests saw nothing but these traits, in {shortcuts.folds} folds of "
        f"{shortcuts.pictures} training pictures in {shortcuts.groups} groups. What they reach, a network "
        "can reach without learning anything about tumours. Borders and brightness also say something about "
        "plane and anatomy; size and bytes should not."
    )
    chart = _chart(shortcuts_chart(shortcuts), "Balanced accuracy of each kind of traits against chance")
    note = _quiet(shortcuts.note) if shortcuts.note else ""
    return f"{head}\n<p>{about}</p>{chart}{_table(shortcuts.rows())}{note}"


def _files(report: "AuditReport") -> str:
    if not report.files:
        return (
            "<h2>Files</h2>\n<p>Every file can be read, is what its name says, grey, and of a usual size.</p>"
        )
    kinds = files_by_kind(report)
    rows = [
        (finding.kind, finding.id, SIDE_NAMES[finding.side], finding.found, finding.fix)
        for _, found in kinds
        for finding in found[:_FILES]
    ]
    table = _table([("kind", "file", "in", "found", "to do"), *rows], "words")
    rest = [f"{len(found) - _FILES} more {found[0].kind}" for _, found in kinds if len(found) > _FILES]
    note = _quiet(f"And {', '.join(rest)}: the table that to_csv writes has all") if rest else ""
    return f"<h2>Files</h2>\n{table}{note}"


def _pairs(report: "AuditReport", most: int) -> str:
    if not report.pairs:
        return "<h2>Pairs</h2>\n<p>No picture is there twice.</p>"
    about = (
        "The most doubtful pairs of each kind come first: look at them before you trust the rest. A pair of "
        "two kinds is shown under the first."
    )
    rule = f"<p>{html.escape(group_rule(report))}.</p>" if report.mixed_groups else ""
    return f"<h2>Pairs</h2>\n<p>{about}</p>{rule}{gallery(report, most)}"


def _table(rows: Sequence[Sequence[str]], kind: str = "") -> str:
    header, *body = rows
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    lines = "".join(f"<tr>{''.join(f'<td>{breakable(cell)}</td>' for cell in row)}</tr>" for row in body)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
    return f'<div class="wide {kind}">{table}</div>'


def _quiet(text: str) -> str:
    return f'<p class="quiet">{html.escape(text[:1].upper() + text[1:])}.</p>'


def _chart(figure: "Figure", text: str) -> str:
    from mri_tumor import plots

    source = base64.b64encode(plots.png(figure)).decode()
    return f'<img class="chart" src="data:image/png;base64,{source}" alt="{html.escape(text, quote=True)}">'
