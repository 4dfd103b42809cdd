"""The commands over the models API: train, calibrate, predict, export and card."""

import csv
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mri_tumor import dataset, models
from mri_tumor.cli.dataset import Groups
from mri_tumor.dataset.folders import pictures_below
from mri_tumor.errors import ArgumentError
from mri_tumor.files import write_text
from mri_tumor.labels import NOTICE
from mri_tumor.manifest import FILE_NAME as MANIFEST
from mri_tumor.manifest import Manifest
from mri_tumor.models.recipe import PRESETS

Model = Annotated[Path, typer.Argument(help="A folder that Classifier.save or a training run wrote.")]
Engine = Annotated[
    str,
    typer.Option(
        help="What works the network out: tensorflow, openvino, onnx; auto: openvino where it is installed "
        "and says the same, tensorflow elsewhere."
    ),
]
Weights = Annotated[str | None, typer.Option(help="imagenet, or a .weights.h5 file.")]
Preset = Annotated[str | None, typer.Option(help=f"A named recipe: {', '.join(PRESETS)}.")]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", help="A recipe as JSON, as Recipe.to_dict gives it; no preset then."),
]
Seed = Annotated[
    int | None, typer.Option(help="The seed of everything that is drawn; by default the recipe's, or 0.")
]


def train(
    shards: Annotated[Path, typer.Argument(help="The folder that `prepare` wrote: train/ and validation/.")],
    run: Annotated[Path, typer.Argument(help="The run's folder; an interrupted run goes on there.")],
    model: Annotated[str, typer.Option(help="One of the builders.")] = "small_cnn",
    weights: Weights = None,
    preset: Preset = None,
    recipe: RecipeFile = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The optimizer's rate at the start.")] = None,
    copies: Annotated[int | None, typer.Option(help="Augmented copies a picture, frozen backbone.")] = None,
    folds: Annotated[int | None, typer.Option(help="Train so many networks, answer by all.")] = None,
    seed: Seed = None,
    refit: Annotated[bool, typer.Option("--refit", help="Train anew on all for the epochs chosen.")] = False,
) -> None:
    """Train a classifier on shards; everything the run makes lies in its folder."""
    import keras

    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    given |= {"copies": copies, "folds": folds}
    chosen = recipe_of(preset, recipe, seed=seed).replace(
        **{name: value for name, value in given.items() if value is not None}
    )
    section = Manifest.load(shards / "train", kind="shards").sections["data"]
    keras.utils.set_random_seed(chosen.seed)
    network = models.build(
        model, weights=weights, size=section["preprocess"]["size"], classes=len(section["labels"])
    )
    models.train(network, shards / "train", shards / "validation", recipe=chosen, run_dir=run, refit=refit)
    typer.echo(f"{run / 'classifier'}: the classifier. {NOTICE}")


def recipe_of(preset: str | None, path: Path | None, *, seed: int | None) -> "models.Recipe":
    """Return the recipe that a command asks for: a preset, a file's, or the default one, with another seed.

    Raises:
        ArgumentError: both are given, the preset is unknown, or the file holds no recipe.
    """
    changes: dict[str, Any] = {} if seed is None else {"seed": seed}
    if path is None:
        return models.Recipe(**changes) if preset is None else models.Recipe.preset(preset, **changes)
    if preset is not None:
        raise ArgumentError(f"the preset {preset} and the recipe {path}", "one of them", "leave one out")
    try:
        card = json.loads(path.read_bytes())
    except ValueError as error:
        raise ArgumentError(f"{path} is not JSON ({error})", "a recipe as JSON", "write it anew") from error
    return models.Recipe.from_dict(card).replace(**changes)


def calibrate(
    model: Model,
    pictures: Annotated[
        Path, typer.Argument(help="Class folders or shards new to it, or the folder of its run with folds.")
    ],
    output: Annotated[Path, typer.Argument(help="Where the calibrated classifier goes.")],
    risk: Annotated[float, typer.Option(help="How often a set may miss the true class, 0-1.")] = 0.1,
    method: Annotated[str, typer.Option(help="plain or aps.")] = "plain",
    groups: Groups = None,
    seed: Annotated[int, typer.Option(help="What the folds are drawn from.")] = 0,
    allow_reuse: Annotated[
        bool, typer.Option("--allow-reuse", help="Take pictures that training selected by; recorded.")
    ] = False,
) -> None:
    """Fit temperature, prediction sets and the threshold of novelty on pictures new to a classifier."""
    classifier = models.Classifier.load(model)
    written = (pictures / MANIFEST).is_file()  # shards, or a run
    data = pictures if written else dataset.scan(pictures, classifier.labels, groups)
    options: dict[str, Any] = {"risk": risk, "method": method, "seed": seed, "allow_reuse": allow_reuse}
    calibrated = models.calibrate(classifier, data, **options)
    calibrated.save(output)
    typer.echo(f"{output}: the calibrated classifier. {NOTICE}")


def predict(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Pictures, or one folder of pictures or of shards.")],
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    engine: Engine = "auto",
    precision: Annotated[
        str | None, typer.Option(help="What the engine computes in; other than float32 only if it agrees.")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="A folder of pictures or shards to check a precision by, and int8 to calibrate; once."
        ),
    ] = None,
) -> None:
    """Predict pictures; a table as CSV on standard output."""
    classifier = models.Classifier.load(model)
    if engine != "tensorflow" or precision is not None:
        checked = None if pictures is None else pictures_of([pictures])
        classifier = models.Classifier.load(model, engine=engine, precision=precision, pictures=checked)
    predictions = classifier.predict(pictures_of(images))
    if json_lines:
        for prediction in predictions:
            typer.echo(json.dumps(prediction.to_dict()))
    else:
        writer = csv.writer(sys.stdout)
        writer.writerow(["id", "label", "top", *classifier.labels, "prediction_set", "novelty", "reason"])
        for prediction in predictions:
            writer.writerow(_row(prediction, classifier.labels))
    typer.echo(NOTICE, err=True)


def pictures_of(paths: list[Path]) -> Any:
    """Return what paths on the command line stand for: files, a folder of shards, or all pictures below one.

    Raises:
        ArgumentError: a folder holds no picture.
    """
    if len(paths) > 1 or not paths[0].is_dir() or (paths[0] / MANIFEST).is_file():
        return paths if len(paths) > 1 else paths[0]
    found = pictures_below(paths[0])
    if not found:
        inside = [str(one.parent) for one in sorted(paths[0].glob(f"*/{MANIFEST}"))]
        raise ArgumentError(
            f"{paths[0]} holds no picture",
            "pictures, in folders or not, or the folder of one set of shards",
            f"pass one of {', '.join(inside)}" if inside else "check the folder",
        )
    return found


def _row(prediction: "models.Prediction", labels: tuple[str, ...]) -> list[str]:
    """Return what is said of a picture; what was not calibrated is empty."""
    shares = [f"{prediction.probabilities[label]:.4f}" for label in labels]
    kept = "" if prediction.prediction_set is None else "|".join(prediction.prediction_set)
    novelty = "" if prediction.novelty is None else f"{prediction.novelty:.4f}"
    return [
        prediction.id,
        prediction.label or "",
        prediction.top,
        *shares,
        kept,
        novelty,
        prediction.reason or "",
    ]


def export(
    model: Model,
    directory: Annotated[Path, typer.Argument(help="Where the exported model goes.")],
    form: Annotated[
        str, typer.Option("--format", help="saved_model, onnx, litert or openvino.")
    ] = "saved_model",
    precision: Annotated[
        str, typer.Option(help="float32; but for saved_model float16 or int8; for openvino bfloat16.")
    ] = "float32",
    pictures: Annotated[
        Path | None,
        typer.Option(help="A folder of pictures or shards to measure by, and for int8 to calibrate by."),
    ] = None,
) -> None:
    """Export a classifier for a server, and say how far what was written lies from it."""
    classifier = models.Classifier.load(model)
    measured = None if pictures is None else pictures_of([pictures])
    report = classifier.export(directory, form, precision=precision, pictures=measured)
    typer.echo(report.summary())
    typer.echo(f"{directory}: exported as {form}")


def card(
    model: Model,
    five: Annotated[
        Path | None,
        typer.Option(help="What `evaluate --protocol five --json` wrote: of its way of training."),
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="What `evaluate --json` wrote: of this classifier.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Of the weights, as Hugging Face calls it: apache-2.0, other, ...")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the model is called.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write it here, such as README.md; else to standard output.")
    ] = None,
) -> None:
    """Write the model card of a classifier: what it is, was made from, is good for, and is not."""
    classifier = models.Classifier.load(model)
    text = models.model_card(classifier, five=five, evaluation=evaluation, licence=licence, name=name)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_text(output, text)
        typer.echo(f"{output}: the model card. {NOTICE}")
