"""One HTML page that loads nothing from elsewhere: headings, prose, tables, plots and pictures."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mri_tumor.files import write_text
from mri_tumor.labels import NOTICE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 62rem;
       margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .8rem; border-top: 1px solid #ddd; }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
p { max-width: 46rem; }
.notice { background: #fdf3e7; border-left: 4px solid #c8553d; padding: .5rem .8rem; max-width: none; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid #e5e5e5; }
th:first-child, td:first-child { text-align: left; }
td { white-space: nowrap; }
th { vertical-align: bottom; }
thead th { border-bottom: 2px solid #1f6f8b; }
img { max-width: 100%; height: auto; }
figure { margin: .8rem 0; }
figcaption { color: #555; font-size: .9rem; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .85rem; line-height: 1.35; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .9rem; }
.beside figure { margin: 0; }
.quiet { color: #555; font-size: .85rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .7rem;
         margin: 1rem 0; }
.card { border: 1px solid #ddd; border-radius: 6px; padding: .5rem .8rem; font-size: .9rem;
        line-height: 1.3; }
.card b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.card small { color: #555; display: block; }
.bad { border-color: #c8553d; } .bad b { color: #b04329; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .9rem; }
.pictures figure { border: 1px solid #ddd; border-radius: 6px; padding: .6rem; margin: 0; min-width: 0; }
.pictures figcaption { color: #222; font-size: .8rem; line-height: 1.35; margin-top: .4rem;
                       overflow-wrap: anywhere; }
.frame { height: 150px; background: #000; color: #bbb; font-size: .8rem; display: flex; align-items: center;
         justify-content: center; }
.frame img { max-width: 100%; max-height: 150px; }
"""


@dataclass(frozen=True)
class Card:
    """A figure that stands out.

    Args:
        value: what is shown large.
        text: what it is.
        note: a line in small print, such as its interval.
        bad: whether it calls for attention.
    """

    value: str
    text: str
    note: str = ""
    bad: bool = False


class Page:
    """A page that is put together step by step and saved as one HTML file.

    Every text is escaped; plots and pictures are embedded. Each method returns the page, so that calls can be
    chained.

    Args:
        title: the page's heading.

    >>> page = Page("Trial").heading("Scores").table(["part", "accuracy"], [["clean", 0.5]])
    >>> "0.500" in page.to_html()
    True
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> Self:
        """Begin a section."""
        return self._add(f"<h2>{html.escape(text)}</h2>")

    def subheading(self, text: str) -> Self:
        """Begin a part of a section."""
        return self._add(f"<h3>{html.escape(text)}</h3>")

    def text(self, text: str) -> Self:
        """Add a paragraph."""
        return self._add(f"<p>{html.escape(text)}</p>")

    def quiet(self, text: str) -> Self:
        """Add a paragraph in small print."""
        return self._add(f'<p class="quiet">{html.escape(text)}</p>')

    def warn(self, text: str) -> Self:
        """Add a paragraph that stands out."""
        return self._add(f'<p class="notice">{html.escape(text)}</p>')

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

    def figure(self, figure: "Figure | str | Path", caption: str) -> Self:
        """Add a plot, or a PNG file by its path, with a caption that also serves as its description."""
        data = Path(figure).read_bytes() if isinstance(figure, str | Path) else _png(figure)
        return self._add(_figure(data, caption))

    def figures(self, figures: Iterable[tuple["Figure", str]]) -> Self:
        """Add plots with their captions beside each other, as many as fit."""
        return self._add(
            f'<div class="beside">{"".join(_figure(_png(one), text) for one, text in figures)}</div>'
        )

    def cards(self, cards: Iterable[Card]) -> Self:
        """Add a few figures that stand out, beside each other."""
        return self._add(f'<div class="cards">{"".join(map(_card, cards))}</div>')

    def pictures(self, pictures: Iterable[tuple[bytes | None, str, Sequence[str]]]) -> Self:
        """Add small pictures beside each other.

        Args:
            pictures: for each the bytes of a JPEG, None where it cannot be shown; its name; lines below it.
        """
        return self._add(f'<div class="pictures">{"".join(_picture(*one) for one in pictures)}</div>')

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


def breakable(text: str) -> str:
    """Escape a text, and let its lines break after slashes and underscores: names are long.

    >>> breakable("Training/<a>.png")
    'Training/<wbr>&lt;a&gt;.png'
    """
    return html.escape(text, quote=True).replace("/", "/<wbr>").replace("_", "_<wbr>")


def _figure(png: bytes, caption: str) -> str:
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    text = html.escape(caption, quote=True)
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _png(figure: "Figure") -> bytes:
    from mri_tumor import plots

    return plots.png(figure)


def _card(card: Card) -> str:
    note = f"<small>{html.escape(card.note)}</small>" if card.note else ""
    kind = " bad" if card.bad else ""
    return f'<div class="card{kind}"><b>{html.escape(card.value)}</b>{html.escape(card.text)}{note}</div>'


def _picture(jpeg: bytes | None, name: str, lines: Sequence[str]) -> str:
    if jpeg is None:
        shown = "no picture"
    else:
        source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        shown = f'<img src="{source}" alt="{html.escape(name, quote=True)}" loading="lazy">'
    below = "<br>".join([*(html.escape(line) for line in lines), breakable(name)])
    return f'<figure><div class="frame">{shown}</div><figcaption>{below}</figcaption></figure>'


def _cell(value: object) -> str:
    if value is None:
        return "&ndash;"
    return html.escape(f"{value:.3f}" if isinstance(value, float) else str(value))
