"""Small tables: CSV files in, aligned text out."""

import csv
from collections.abc import Sequence
from pathlib import Path

from mri_tumor.errors import CatalogError


def read_table(path: str | Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a CSV table: the names of its columns, and its rows; a short row is filled with empty cells.

    Raises:
        CatalogError: the file cannot be read as UTF-8 CSV.
    """
    try:
        # "utf-8-sig" also takes the mark that Excel puts in front.
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            return list(reader.fieldnames or []), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CatalogError(
            f"the table {path} cannot be read ({error})",
            "a CSV file in UTF-8",
            "check the path and the encoding",
        ) from error


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines of aligned columns, the first column to the left and the others to the right.

    >>> print(text_table([("class", "pictures"), ("glioma", "12")]))
    class   pictures
    glioma        12
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def few(items: Sequence[str], count: int = 5) -> str:
    """Return the first few items as text, and how many more there are.

    >>> few(["a", "b", "c"], 2)
    "'a', 'b' and 1 more"
    """
    more = f" and {len(items) - count} more" if len(items) > count else ""
    return ", ".join(repr(item) for item in items[:count]) + more


def percent(value: float | None) -> str:
    """Return a share as per cent, a dash for None.

    >>> percent(0.6666), percent(None)
    ('66.7', '-')
    """
    return "-" if value is None else f"{100 * value:.1f}"
