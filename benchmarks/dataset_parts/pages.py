"""The tables of the documentation, filled from the rows: no figure is copied by hand."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mri_tumor.files import write_text

HEAD = ("what", "beside", "unit", "ours", "theirs", "ratio", "lowest - highest")


def fill(pages: Iterable[Path], rows: Sequence[Mapping[str, Any]]) -> None:
    """Put each part's rows between `<!-- benchmark PART -->` and `<!-- end -->` wherever a page has both."""
    for page in pages:
        text = page.read_text(encoding="utf-8")
        filled = text
        for part in {row["part"] for row in rows}:
            place = re.compile(rf"(<!-- benchmark {part} -->\n).*?(<!-- end -->)", re.DOTALL)
            lines = "\n".join(table([row for row in rows if row["part"] == part]))
            filled = place.sub(lambda found, lines=lines: f"{found[1]}\n{lines}\n\n{found[2]}", filled)
        if filled != text:
            write_text(page, filled)


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a Markdown table."""
    cells = [
        (row["what"], row["against"], row["unit"], row["ours"], row["peer"], row["ratio"], ends(row))
        for row in rows
    ]
    return [f"| {' | '.join(line)} |" for line in (HEAD, ("---",) * len(HEAD), *cells)]


def ends(row: Mapping[str, Any]) -> str:
    return f"{row['lowest']} - {row['highest']}"
