"""The commands over the dataset API: audit and prepare."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mri_tumor import dataset

Folder = Annotated[Path, typer.Argument(help="Class folders, or Training/ and Testing/ that hold them.")]
Groups = Annotated[
    Path | None, typer.Option(help="CSV with the columns path and group: what must stay together.")
]
Seed = Annotated[int, typer.Option(help="The seed of everything that is drawn.")]
Skip = Annotated[bool, typer.Option("--skip-unreadable", help="Leave unreadable pictures out and list them.")]


def audit(
    folder: Folder,
    test: Annotated[Path | None, typer.Option(help="A test set that lies elsewhere.")] = None,
    groups: Groups = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page with pictures.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the findings here, one a line.")] = None,
    catalog: Annotated[Path | None, typer.Option(help="Write the pictures with their groups here.")] = None,
    pairs: Annotated[int, typer.Option(min=0, help="Pairs of a kind that the page shows.")] = 12,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on leaks or conflicts.")] = False,
) -> None:
    """Find what is wrong before you train: copies, leaks, two labels, bad files, shortcuts."""
    pictures = dataset.scan(folder, groups=groups)
    other = dataset.scan(test) if test else None
    report = dataset.audit(pictures, other)
    typer.echo(report.summary())
    if html:
        report.to_html(html, pairs=pairs)
        typer.echo(f"{html} holds pictures of the set: do not pass it on if they must not be", err=True)
    if csv:
        report.to_csv(csv)
    if catalog:
        pictures.with_groups(report.train_groups if test else report).to_csv(catalog)
    if strict and (report.leaks or report.conflicts):
        raise typer.Exit(1)


def download(
    name: Annotated[str, typer.Argument(help="The data set: sartaj.")],
    directory: Annotated[Path, typer.Argument(help="Where it goes.")],
) -> None:
    """Fetch a public data set, every file checked. Its licence is not established: never redistribute."""
    typer.echo(dataset.download(name, directory))


def prepare(
    folder: Folder,
    output: Annotated[Path, typer.Argument(help="Where the shard folders go.")],
    size: Annotated[int, typer.Option(help="Width and height of the stored pictures.")] = 224,
    share: Annotated[float, typer.Option(help="Share of the training pictures that is trained on.")] = 0.8,
    groups: Groups = None,
    seed: Seed = 0,
    skip_unreadable: Skip = False,
) -> None:
    """Split by what belongs together and write TFRecord shards: train/, validation/ and, if there, test/."""
    preprocess = dataset.Preprocess(size=size)
    pictures = dataset.scan(folder, groups=groups)
    report = dataset.audit(pictures, on_error=_on_error(skip_unreadable))
    unreadable = {picture.id for picture in report.unreadable}
    pictures = pictures.select(where=lambda record: record.id not in unreadable).with_groups(report)
    testing = pictures.select(where=lambda record: record.split == "Testing")
    training = pictures.select(where=lambda record: record.split != "Testing")
    train, validation = dataset.split(training, (share, 1 - share), seed=seed)
    parts = {"train": train, "validation": validation, "test": testing}
    for name, part in parts.items():
        if len(part):
            dataset.write_tfrecords(part, output / name, preprocess=preprocess)
            typer.echo(f"{output / name}: {len(part)} pictures")
    for picture in report.unreadable:
        typer.echo(f"left out: {picture.reason}", err=True)


def _on_error(skip: bool) -> Literal["raise", "skip"]:
    return "skip" if skip else "raise"
