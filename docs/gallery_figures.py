"""The figures of an example, for its page: each one that a block has bound to a name."""

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_SEEN = "__figures_on_the_page__"


def scrape(_block: Any, variables: dict[str, Any], settings: dict[str, Any]) -> str:
    """Write the figures that are new since the last block and return the lines that show them.

    This library's plots are plain figures, unknown to pyplot, so the gallery's own scraper does not see them.
    """
    bound = variables["example_globals"]
    seen = bound.setdefault(_SEEN, [])
    paths = []
    for figure in [value for value in bound.values() if isinstance(value, Figure)]:
        if not any(figure is one for one in seen):
            seen.append(figure)
            path = next(variables["image_path_iterator"])
            figure.savefig(path, dpi=110)
            paths.append(path)
    return figure_rst(paths, settings["src_dir"])
