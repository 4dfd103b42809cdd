"""One self-contained HTML page: headings, prose, tables and plots, with nothing to load from elsewhere."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from matplotlib.figure import Figure

from mri_tumor import plots
from mri_tumor.files import write_text
from mri_tumor.labels import NOTICE

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 62rem;
       margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .8rem; border-top: 1px solid #ddd; }
p { max-width: 46rem; }
.notice { background: #fdf3e7; border-left: 4px solid #c8553d; padding: .5rem .8rem; max-width: none; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid #e5e5e5; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #1f6f8b; }
img { max-width: 100%; height: auto; }
figure { margin: .8rem 0; }
figcaption { color: #555; font-size: .9rem; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .85rem; line-height: 1.35; }
"""


class Report:
    """A page that is put together step by step and saved as one HTML file.

    Every text is escaped; pictures are embedded as PNG. Each method returns the report, so that calls can be
    chained.

    Args:
        title: the page's heading.

    >>> page = Report("Trial").heading("Scores").table(["part", "accuracy"], [["clean", 0.5]])
    >>> "0.500" in page.to_html()
    True
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> Self:
        """Begin a section."""
        return self._add(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> Self:
        """Add a paragraph."""
        return self._add(f"<p>{html.escape(text)}</p>")

    def verbatim(self, text: str) -> Self:
        """Add text whose line breaks and columns count, such as a `summary()`."""
        return self._add(f"<pre>{html.escape(text)}</pre>")

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Self:
        """Add a table; floats are shown with three decimals and None as a dash."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return self._add(f'<div class="wide">{table}</div>')

    def facts(self, facts: Mapping[str, object]) -> Self:
        """Add a table of two columns: a name and its value."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{_cell(value)}</td></tr>" for name, value in facts.items()
        )
        return self._add(f'<div class="wide"><table><tbody>{rows}</tbody></table></div>')

    def figure(self, figure: Figure | str | Path, caption: str) -> Self:
        """Add a plot, or a PNG file by its path, with a caption that also serves as its description."""
        data = plots.png(figure) if isinstance(figure, Figure) else Path(figure).read_bytes()
        source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        text = html.escape(caption, quote=True)
        return self._add(f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>')

    def to_html(self) -> str:
        """Return the page."""
        title = html.escape(self.title)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n"
            f'<p class="notice">{html.escape(NOTICE)}</p>\n' + "\n".join(self._parts) + "\n</body></html>\n"
        )

    def save(self, path: str | Path) -> Path:
        """Write the page; the file is whole or not there. Returns its path."""
        path = Path(path)
        write_text(path, self.to_html())
        return path

    def _add(self, part: str) -> Self:
        self._parts.append(part)
        return self


def _cell(value: object) -> str:
    if value is None:
        return "&ndash;"
    return html.escape(f"{value:.3f}" if isinstance(value, float) else str(value))
