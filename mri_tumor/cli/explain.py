"""The command `explain`: for each picture what in it speaks for a class, drawn, and a table of it all."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from mri_tumor import models
from mri_tumor.cli.models import Engine, Model
from mri_tumor.errors import ArgumentError
from mri_tumor.files import check_replaceable, whole_folder
from mri_tumor.labels import NOTICE, display_name
from mri_tumor.progress import track

TABLE = "explanations.csv"
"""The file that shows a folder to be one of this command's."""

_AT_ONCE = 256

_COLUMNS = (
    *("id", "file", "explained", "method", "probability", "label", "top", "reason"),
    *("peak_row", "peak_column", "size", "box_top", "box_bottom", "box_left", "box_right", "notice"),
)


def explain(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Pictures, or one shard folder.")],
    output: Annotated[Path, typer.Argument(help="The folder that is made: pictures and a table.")],
    method: Annotated[
        str, typer.Option(help="layercam, gradcam, gradcam++ or occlusion, which takes 200 times as long.")
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
    # A few hundred at a time: each explanation holds its picture and its heat.
    parts: list[Any] = (
        [images[0]]
        if len(images) == 1
        else [images[start : start + _AT_ONCE] for start in range(0, len(images), _AT_ONCE)]
    )
    with whole_folder(output) as folder:
        count = write(
            (classifier.explain(part, method=method, target=target, layer=layer) for part in parts), folder
        )
        if not count:
            raise ArgumentError("there is no picture to explain", "at least one", "check what was passed")
    typer.echo(f"{output}: {count} drawings and {TABLE}. {NOTICE}")


def write(parts: "Iterable[list[models.Explanation]]", folder: Path) -> int:
    """Write a drawing a picture, numbered in their order, and the table; return how many there are."""
    from mri_tumor import plots  # matplotlib takes a second

    count = 0
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        for found in parts:
            for one in track(found, "drawing"):
                count += 1
                name = f"{count:05d}-{_file_name(one.id)}.png"
                plots.save(_drawn(one), folder / name)
                writer.writerow(_row(one, name))
    return count


def _drawn(one: "models.Explanation") -> Any:
    from mri_tumor import plots

    caption = Path(one.id).name or one.id
    return plots.heat_maps([one.picture], [one.overlay()], [_title(one)], caption=caption, note=one.notice)


def _row(one: "models.Explanation", name: str) -> dict[str, object]:
    said = one.prediction
    row: dict[str, object] = {
        "id": one.id,
        "file": name,
        "explained": one.label,
        "method": one.method,
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
    said = one.prediction
    text = f"{display_name(one.label)}: {one.probability:.0%}"
    return f"{text} (no answer: {said.reason})" if said.abstained else text


def _file_name(name: str) -> str:
    """Return a part of a file's name that every system takes, of a picture's id."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).stem).strip("-")[:60] or "picture"


def _strange(folder: Path) -> str:
    return "" if (folder / TABLE).is_file() else f"{folder} holds something, but no {TABLE}"
