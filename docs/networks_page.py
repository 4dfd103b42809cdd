"""What `networks.md` shows of the library's own table of backbones, made when the pages are built."""

from mri_tumor.models.networks.applications import APPLICATIONS

GIVEN = {
    "inside": "0 to 255, and scales them itself",
    "-1 to 1": "-1 to 1",
    "standardised": "less ImageNet's mean, by its deviation",
    "less the mean": "0 to 255 less ImageNet's mean",
}
MARK = "<!-- networks -->"


def fill(page: str) -> str:
    """Return the page with the table of networks in its place."""
    if page.count(MARK) != 1:
        raise ValueError(f"the page has {page.count(MARK)} places for the table. Expected: 1")
    return page.replace(MARK, table())


def table() -> str:
    """Return a table: one network a row."""
    rows = [
        f"| `{name}` | {one.source} | {GIVEN[one.scaling]} | {one.least} | {_widths(one.widths)} "
        f"| {', '.join(f'`{layer}`' for layer in one.maps)} |"
        for name, one in APPLICATIONS.items()
    ]
    head = "| network | published | is given | pixels, from | `alpha` | pooled beside the last map |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _widths(widths: tuple[float, ...]) -> str:
    return ", ".join(f"{width:g}" for width in widths) or "-"
