"""The command that judges: a classifier by pictures, or a way of training by the five numbers."""

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from mri_tumor import dataset, models
from mri_tumor.cli.dataset import Groups
from mri_tumor.cli.models import Preset, RecipeFile, Seed, Weights, recipe_of
from mri_tumor.errors import ArgumentError
from mri_tumor.files import write_text
from mri_tumor.labels import LABELS, NOTICE, label_of


class Protocol(Enum):
    """What `evaluate` does."""

    TEST = "test"
    FIVE = "five"


def evaluate(
    model: Annotated[str, typer.Argument(help="A classifier's folder; with five, one of the builders.")],
    pictures: Annotated[
        Path, typer.Argument(help="Class folders; or Training/ and Testing/: then Testing/ is judged.")
    ],
    protocol: Annotated[
        Protocol, typer.Option(help="test: judge the classifier. five: train and judge by the five numbers.")
    ] = Protocol.TEST,
    train: Annotated[
        Path | None, typer.Option(help="The training pictures, where they lie elsewhere: floors and leaks.")
    ] = None,
    groups: Groups = None,
    known: Annotated[
        bool, typer.Option("--known", help="Leaks, twins and groups as known of public sets, not by audit.")
    ] = False,
    second: Annotated[Path | None, typer.Option(help="five: a second set, judged by grouped folds.")] = None,
    second_groups: Annotated[Path | None, typer.Option(help="five: its groups, as in --groups.")] = None,
    run: Annotated[Path | None, typer.Option(help="five: the folder of all runs; taken up again.")] = None,
    weights: Weights = None,
    preset: Preset = None,
    recipe: RecipeFile = None,
    size: Annotated[int, typer.Option(help="five: width and height that the network takes.")] = 224,
    refit: Annotated[bool, typer.Option("--refit", help="five: train anew on all after selection.")] = False,
    seed: Seed = None,
    html: Annotated[Path | None, typer.Option(help="test: write the report as one page.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row a picture; with five a row a number.")] = None,
    card: Annotated[Path | None, typer.Option("--json", help="Write all numbers as JSON.")] = None,
) -> None:
    """Judge by pictures: leaked and clean apart, with intervals, beside what needs no learning."""
    chosen = recipe_of(preset, recipe, seed=seed)
    found = _pictures(pictures, train, groups, known)
    if protocol is Protocol.FIVE:
        trainer = _Trainer(model, weights, chosen, size, refit)
        numbers: Any = _five(trainer, found, run, second, second_groups, known)
    else:
        classifier = models.Classifier.load(model)
        numbers = models.evaluate(
            classifier, found.test, leaked=found.leaked, train=found.train, seed=seed or 0
        )
        if html:
            numbers.to_html(html)
    typer.echo(numbers.summary())
    if csv:
        numbers.to_csv(csv)
    if card:
        write_text(card, json.dumps(numbers.to_dict(), indent=1) + "\n")
    typer.echo(NOTICE, err=True)


@dataclass(frozen=True)
class _Pictures:
    """What is judged by, what was trained on if that is known, and what the two share."""

    test: dataset.Catalog
    train: dataset.Catalog | None
    leaked: Any
    twins: frozenset[str] | None


@dataclass(frozen=True)
class _Trainer:
    """Trains a network on a catalog; four fifths learn and one fifth selects, by group."""

    model: str
    weights: str | None
    recipe: "models.Recipe"
    size: int
    refit: bool

    @property
    def name(self) -> str:
        origin = "" if self.weights is None else f", weights {Path(self.weights).name}"
        refit = ", refit" if self.refit else ""
        return f"{self.model} at {self.size}{origin}, recipe {self.recipe.digest[:12]}{refit}"

    def __call__(self, train: dataset.Catalog, validation: Any, folder: Path) -> "models.Classifier":
        import keras

        learnt, selecting = dataset.split(train, (0.8, 0.2), seed=self.recipe.seed)
        keras.utils.set_random_seed(self.recipe.seed)
        network = models.build(self.model, weights=self.weights, size=self.size, classes=len(train.classes))
        return models.train(network, learnt, selecting, recipe=self.recipe, run_dir=folder, refit=self.refit)


def _five(
    trainer: _Trainer,
    found: _Pictures,
    run: Path | None,
    second: Path | None,
    second_groups: Path | None,
    known: bool,
) -> "models.FiveNumbers":
    if run is None or found.train is None:
        missing = "--run" if run is None else "the training pictures"
        raise ArgumentError(
            f"the five numbers without {missing}",
            "a folder with Training/ and Testing/, and --run, where the runs go",
            "pass them",
        )
    other = None if second is None else _second(second, second_groups, known)
    options: dict[str, Any] = {
        "run_dir": run,
        "second": other,
        "name": trainer.name,
        "seed": trainer.recipe.seed,
    }
    return models.five(trainer, found.train, found.test, leaked=found.leaked, twins=found.twins, **options)


def _pictures(folder: Path, train: Path | None, groups: Path | None, known: bool) -> _Pictures:
    pictures = dataset.scan(folder, groups=groups)
    pictures = _known_groups(pictures, groups) if known else pictures
    parts = set(pictures.splits) - {None}
    if train is not None:
        learnt, test = dataset.scan(train), pictures
        learnt = _known_groups(learnt, None) if known else learnt
    elif parts == {"Training", "Testing"}:
        learnt, test = pictures.select(split="Training"), pictures.select(split="Testing")
    else:
        return _Pictures(pictures, None, None, None)
    if known:
        twins = None if train is None else dataset.known(learnt).twin_ids
        return _Pictures(test, learnt, dataset.known(pictures), twins)
    report = dataset.audit(learnt, test)
    twins = frozenset(leak.train for leak in report.leaks)
    return _Pictures(
        test.with_groups(report.test_groups), learnt.with_groups(report.train_groups), report, twins
    )


def _known_groups(pictures: dataset.Catalog, groups: Path | None) -> dataset.Catalog:
    return pictures if groups else pictures.with_groups(dataset.known(pictures))


def _second(folder: Path, groups: Path | None, known: bool) -> dataset.Catalog:
    """Read a set that may lack some of the four classes."""
    there = {label_of(path.name) for path in folder.iterdir() if path.is_dir()}
    classes = tuple(label for label in LABELS if label in there)
    pictures = dataset.scan(folder, classes, groups)
    return _known_groups(pictures, groups) if known else pictures
