"""The commands over the models API: train, predict and export."""

import csv
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mri_tumor import models
from mri_tumor.labels import NOTICE
from mri_tumor.manifest import Manifest

Model = Annotated[Path, typer.Argument(help="A folder that Classifier.save or a training run wrote.")]


def train(
    shards: Annotated[Path, typer.Argument(help="The folder that `prepare` wrote: train/ and validation/.")],
    run: Annotated[Path, typer.Argument(help="The run's folder; an interrupted run goes on there.")],
    model: Annotated[str, typer.Option(help="One of the builders.")] = "small_cnn",
    weights: Annotated[str | None, typer.Option(help="imagenet, or a .weights.h5 file.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The optimizer's rate at the start.")] = None,
    copies: Annotated[int | None, typer.Option(help="Augmented copies a picture, frozen backbone.")] = None,
    seed: Annotated[int, typer.Option(help="The seed of everything that is drawn.")] = 0,
    refit: Annotated[bool, typer.Option("--refit", help="Train anew on all for the epochs chosen.")] = False,
) -> None:
    """Train a classifier on shards; everything the run makes lies in its folder."""
    import keras

    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "copies": copies}
    recipe = models.Recipe(seed=seed).replace(
        **{name: value for name, value in given.items() if value is not None}
    )
    section = Manifest.load(shards / "train", kind="shards").sections["data"]
    keras.utils.set_random_seed(seed)
    network = models.build(
        model, weights=weights, size=section["preprocess"]["size"], classes=len(section["labels"])
    )
    models.train(network, shards / "train", shards / "validation", recipe=recipe, run_dir=run, refit=refit)
    typer.echo(f"{run / 'classifier'}: the classifier. {NOTICE}")


def predict(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Pictures, or one shard folder.")],
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Predict pictures; a table as CSV on standard output."""
    classifier = models.Classifier.load(model)
    source = images[0] if len(images) == 1 else images
    predictions = classifier.predict(source)
    if json_lines:
        for prediction in predictions:
            typer.echo(json.dumps(prediction.to_dict()))
    else:
        writer = csv.writer(sys.stdout)
        writer.writerow(["id", "label", *classifier.labels])
        for prediction in predictions:
            shares = (f"{prediction.probabilities[label]:.4f}" for label in classifier.labels)
            writer.writerow([prediction.id, prediction.label or "", *shares])
    typer.echo(NOTICE, err=True)


def export(
    model: Model,
    directory: Annotated[Path, typer.Argument(help="Where the exported model goes.")],
    form: Annotated[str, typer.Option("--format", help="What to export to.")] = "saved_model",
) -> None:
    """Export a classifier for a server."""
    models.Classifier.load(model).export(directory, format=form)
    typer.echo(f"{directory}: exported as {form}")
