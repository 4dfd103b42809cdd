"""The directive `measured`: a figure that `figures.py` draws at build time, for light and for dark pages.

```{measured} leaks
What it shows.
```
"""

from pathlib import Path
from typing import Any, ClassVar

import figures
from docutils import nodes
from docutils.parsers.rst import Directive

MADE = "_made"


class Measured(Directive):
    """Show a figure under its caption, once for each of the page's two colour schemes."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"alt": str}

    def run(self) -> list[nodes.Node]:
        """Return the two images and the caption."""
        name = self.arguments[0]
        env = self.state.document.settings.env
        env.note_dependency(figures.__file__)
        for source in figures.SOURCES[name]:
            env.note_dependency(str(source))
        shown = nodes.figure(classes=["measured"])
        for style in figures.STYLES:
            image = nodes.image(uri=f"/{MADE}/{name}-{style}.svg", alt=self.options["alt"])
            image["classes"].append(f"only-{style}")
            shown += image
        caption = nodes.caption()
        parsed = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        for child in parsed.children:
            caption += child.children
        shown += caption
        return [shown]


def draw(app: Any) -> None:
    """Draw every figure, before any page is read."""
    folder = Path(app.srcdir) / MADE
    folder.mkdir(exist_ok=True)
    for name in figures.SOURCES:
        for style in figures.STYLES:
            (folder / f"{name}-{style}.svg").write_bytes(figures.svg(name, style))


def setup(app: Any) -> dict[str, bool]:
    """Make the directive known to Sphinx."""
    app.add_directive("measured", Measured)
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True}
