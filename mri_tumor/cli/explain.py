"""The command `explain`: for each picture what in it speaks for a class, drawn, and a table of it all."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from mri_tumor import models
from mri_tumor.cli.models import Engine, Model, pictures_of
from mri_tumor.errors import ArgumentError
from mri_tumor.files import check_replaceable, whole_folder
from mri_tumor.labels import NOTICE, display_name

TABLE = "explanations.csv"
"""The file that shows a folder to be one of this command's."""

_COLUMNS = (
    *("id", "file", "explained", "method", "layer", "probability", "label", "top", "reason"),
    *("peak_row", "peak_column", "size", "box_top", "box_bottom", "box_left", "box_right", "notice"),
)


def explain(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Pictures, or one folder of pictures or of shards.")],
    output: Annotated[Path, typer.Argument(help="The folder that is made: pictures and a table.")],
    method: Annotated[
        str, typer.Option(help="layercam, gradcam, gradcam++ or occlusion, which takes 100 times as long.")
    ] = "layercam",
    target: Annotated[
        str | None, typer.Option(help="The class to explain; by default the most likely one of each picture.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Look at this layer only, by name, or at the last one: last.")
    ] = None,
    engine: Engine = "auto",
) -> None:
    """Draw what in each picture speaks for a class, as a heat map over it, and write a table of it all.

    A heat map shows what the network went by. It is no proof of a lesion.
    """
    check_replaceable(output, _strange)
    classifier = models.Classifier.load(model, engine=engine)
    given = pictures_of(images)
    with whole_folder(output) as folder:
        # One by one: each explanation holds its picture and its heat.
        count = write(classifier.explanations(given, method=method, target=target, layer=layer), folder)
        if not count:
            raise ArgumentError("there is no picture to explain", "at least one", "check what was passed")
    typer.echo(f"{output}: {count} drawings and {TABLE}. {NOTICE}")


def write(found: "Iterable[models.Explanation]", folder: Path) -> int:
    """Write a drawing a picture, numbered in their order, and the table; return how many there are."""
    from mri_tumor import plots  # matplotlib takes a second

    count = 0
    # A name that is no Unicode is written as the bytes that it is.
    with (folder / TABLE).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        for count, one in enumerate(found, start=1):
            name = f"{count:05d}-{_file_name(one.id)}.png"
            plots.save(_drawn(one), folder / name)
            writer.writerow(_row(one, name))
    return count


def _drawn(one: "models.Explanation") -> Any:
    from mri_tumor import plots

    caption = Path(one.id).name or one.id
    how = one.method if one.layer is None else f"{one.method}, {one.layer}"
    note = f"{how}\n{one.notice}"
    return plots.heat_maps([one.picture], [one.overlay()], [_title(one)], caption=caption, note=note)


def _row(one: "models.Explanation", name: str) -> dict[str, object]:
    said = one.prediction
    row: dict[str, object] = {
        "id": one.id,
        "file": name,
        "explained": one.label,
        "method": one.method,
        "layer": one.layer or "",
        "probability": f"{one.probability:.4f}",
        "label": said.label or "",
        "top": said.top,
        "reason": said.reason or "",
        "size": len(one.heat),
        "notice": one.notice,
    }
    if (peak := one.peak) is not None and (box := one.box()) is not None:
        row |= dict(zip(("peak_row", "peak_column"), peak, strict=True))
        row |= dict(zip(("box_top", "box_bottom", "box_left", "box_right"), box, strict=True))
    return row


def _title(one: "models.Explanation") -> str:
    """Return which class is explained, and what the classifier answers."""
    said = one.prediction
    answer = f"no answer ({said.reason})" if said.label is None else f"answer: {display_name(said.label)}"
    return f"For {display_name(one.label).lower()} ({_share(one.probability)}); {answer}"


def _share(probability: float) -> str:
    """Return a probability that is neither 0 nor 1 as no 0 % and no 100 % either."""
    if 0.995 <= probability < 1:
        return ">99%"
    return "<1%" if 0 < probability < 0.005 else f"{probability:.0%}"


def _file_name(name: str) -> str:
    """Return a part of a file's name that every system takes, of a picture's id."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).stem).strip("-")[:60] or "picture"


def _strange(folder: Path) -> str:
    """Return what lies in a folder that an earlier call did not write there."""
    if not (folder / TABLE).is_file():
        return f"{folder} holds something, but no {TABLE}"
    with (folder / TABLE).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        own = {TABLE, *(row.get("file") for row in csv.DictReader(file))}
    others = sorted(path.name for path in folder.iterdir() if path.name not in own)
    return f"{folder} also holds {', '.join(others[:3])}" if others else ""
