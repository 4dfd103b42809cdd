"""The commands over the dataset API: download, audit and prepare."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mri_tumor import dataset
from mri_tumor.dataset.patients import PUBLIC_SALT
from mri_tumor.errors import ArgumentError, CatalogError
from mri_tumor.files import write_text
from mri_tumor.labels import LABELS

Folder = Annotated[Path, typer.Argument(help="Class folders, or Training/ and Testing/ that hold them.")]
Groups = Annotated[
    Path | None, typer.Option(help="CSV with the columns path and group: what must stay together.")
]
Classes = Annotated[
    str | None, typer.Option(help="Other classes than the four: their names in order, split by commas.")
]
Salt = Annotated[
    str,
    typer.Option(
        envvar="MRI_TUMOR_SALT",
        help="What makes the groups of DICOM patients other ones in each project; keep it secret.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="The seed of everything that is drawn.")]
Share = Annotated[
    float, typer.Option(min=0.01, max=0.99, help="Share of the training pictures that is trained on.")
]
Split = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="Divide as the split.json of an earlier call says."),
]
Known = Annotated[
    bool, typer.Option("--known", help="Recognise pictures of public sets and keep their groups together.")
]
Skip = Annotated[bool, typer.Option("--skip-unreadable", help="Leave unreadable pictures out and list them.")]


def audit(
    folder: Folder,
    test: Annotated[Path | None, typer.Option(help="A test set that lies elsewhere.")] = None,
    groups: Groups = None,
    classes: Classes = None,
    salt: Salt = PUBLIC_SALT,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page with pictures.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the findings here, one a line.")] = None,
    catalog: Annotated[Path | None, typer.Option(help="Write FOLDER's pictures and groups here.")] = None,
    pairs: Annotated[int, typer.Option(min=0, help="Pairs of a kind that the page shows.")] = 12,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on leaks or conflicts.")] = False,
) -> None:
    """Find what is wrong before you train: copies, leaks, two labels, bad files, shortcuts."""
    pictures = dataset.scan(folder, _names(classes), groups, salt=salt)
    other = dataset.scan(test, _names(classes), salt=salt) if test else None
    report = dataset.audit(pictures, other)
    typer.echo(report.summary())
    if html:
        report.to_html(html, pairs=pairs)
        if pairs:
            typer.echo(f"{html} holds pictures of the set: do not pass it on unless you may", err=True)
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
    output: Annotated[Path, typer.Argument(help="Where the shard folders and split.json go.")],
    size: Annotated[int, typer.Option(help="Width and height of the stored pictures.")] = 224,
    share: Share = 0.8,
    split: Split = None,
    groups: Groups = None,
    classes: Classes = None,
    salt: Salt = PUBLIC_SALT,
    seed: Seed = 0,
    known: Known = False,
    skip_unreadable: Skip = False,
) -> None:
    """Split by what belongs together and write TFRecord shards: train/, validation/ and, if there, test/."""
    _check_outside(output, folder)
    preprocess = dataset.Preprocess(size=size)
    pictures = dataset.scan(folder, _names(classes), groups, salt=salt)
    report = dataset.audit(pictures, on_error=_on_error(skip_unreadable))
    unreadable = {picture.id for picture in report.unreadable}
    pictures = pictures.select(where=lambda record: record.id not in unreadable).with_groups(report)
    pictures = _with_known_groups(pictures) if known else pictures
    testing = pictures.select(where=lambda record: record.split == "Testing")
    training = pictures.select(where=lambda record: record.split != "Testing")
    parts = _read_parts(split, training) if split else _parts(training, share, seed)
    for name, part in (parts | {"test": testing}).items():
        if len(part):
            dataset.write_tfrecords(part, output / name, preprocess=preprocess)
            typer.echo(f"{output / name}: {len(part)} pictures")
    if split:
        # The file as it is: the shards' manifests name its division.
        write_text(output / "split.json", split.read_text(encoding="utf-8"))
    else:
        dataset.write_split(output / "split.json", parts)
    typer.echo(f"{output / 'split.json'}: which picture lies where{f', as in {split}' if split else ''}")
    for picture in report.unreadable:
        typer.echo(f"left out: {picture.reason}", err=True)
    if report.leaked_ids:
        typer.echo(
            f"{len(report.leaked_ids)} of {len(testing)} test pictures are also in training; "
            f"'mri-tumor audit {folder} --csv FILE' names them all",
            err=True,
        )


def _with_known_groups(pictures: dataset.Catalog) -> dataset.Catalog:
    found = dataset.known(pictures)
    typer.echo(found.summary(), err=True)
    return pictures.with_groups(found) if found.matches else pictures


def _parts(training: dataset.Catalog, share: float, seed: int) -> dict[str, dataset.Catalog]:
    train, validation = dataset.split(training, (share, round(1 - share, 6)), seed=seed)
    return {"train": train, "validation": validation}


def _read_parts(path: Path, training: dataset.Catalog) -> dict[str, dataset.Catalog]:
    parts = dataset.read_split(path, training)
    # A part's name becomes a folder: what a file says must not decide where that lies.
    if set(parts) != {"train", "validation"}:
        raise CatalogError(
            f"{path} has the parts {', '.join(parts)}",
            "train and validation",
            "use dataset.read_split and dataset.write_tfrecords for other parts",
        )
    return parts


def _check_outside(output: Path, folder: Path) -> None:
    if output.resolve().is_relative_to(folder.resolve()):
        raise ArgumentError(
            f"{output} lies in the pictures' folder {folder}",
            "a folder outside, because what lies in there is taken for pictures",
            "choose another folder",
        )


def _names(classes: str | None) -> tuple[str, ...]:
    return LABELS if classes is None else tuple(name.strip() for name in classes.split(","))


def _on_error(skip: bool) -> Literal["raise", "skip"]:
    return "skip" if skip else "raise"
