"""Small classifiers that were never trained, small networks to train, and evaluations of given answers."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from mri_tumor.dataset.catalog import Catalog, Record, scan
from mri_tumor.dataset.pipeline import Examples
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.labels import LABELS
from mri_tumor.manifest import Manifest
from mri_tumor.models.builders import backbone, build, set_frozen
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.engines import latency
from mri_tumor.models.evaluation import Evaluation, evaluate
from mri_tumor.models.fitting.pool import Pool
from mri_tumor.models.novelty import Density
from mri_tumor.models.prediction import Prediction
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.seen import Known, Seen
from mri_tumor.models.training import train


@pytest.fixture
def timed_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exports time one round of one batch size: large networks take most of their tests for it."""
    monkeypatch.setattr(latency, "BATCHES", (4,))
    monkeypatch.setattr(latency, "_LONGEST", 0)


@pytest.fixture(scope="session")
def make_manifest() -> Callable[..., Manifest]:
    """Return a function that makes a classifier's manifest, without the network's section."""

    def make(
        labels: Sequence[str] = LABELS, *, size: int = 32, kind: str = "model", **more: object
    ) -> Manifest:
        spec = Preprocess(size=size)
        data = {"labels": list(labels), "preprocess": spec.to_dict(), "preprocess_digest": spec.digest}
        return Manifest(kind, {"data": data, "recipe": {}, "training": {}, "decision": {}, **more})

    return make


@pytest.fixture(scope="session")
def make_classifier(make_manifest: Callable[..., Manifest]) -> Callable[..., Classifier]:
    """Return a function that makes a classifier with seeded weights, whose answers differ by picture."""

    def make(
        labels: Sequence[str] = LABELS, *, size: int = 32, name: str = "small_cnn", **options: object
    ) -> Classifier:
        keras.utils.set_random_seed(0)
        if name == "small_cnn":
            options = {"width": 2, **options}
        model = build(name, size=size, classes=len(labels), **options)
        # Untrained logits hardly depend on the picture: standardise the features, then spread them.
        rng = np.random.default_rng(0)
        light = rng.uniform(0, 255, (32, 1, 1, 1)) * rng.random((32, size, size, 1))
        features = np.asarray(backbone(model)(light.astype("uint8")))
        kernel = rng.normal(0, 2, (features.shape[1], len(labels))) / (features.std(axis=0) + 1e-3)[:, None]
        kernel /= np.sqrt(features.shape[1])
        model.get_layer("logits").set_weights([kernel, -features.mean(axis=0) @ kernel])
        return Classifier(model, make_manifest(labels, size=size))

    return make


@pytest.fixture(scope="session")
def make_deciding(make_classifier: Callable[..., Classifier]) -> Callable[..., Classifier]:
    """Return a function that makes a classifier with views, temperature, thresholds and density.

    Its thresholds are such that on noise every kind of answer comes up.
    """

    def make(labels: Sequence[str] = LABELS, **options: object) -> Classifier:
        plain = make_classifier(labels, **options)
        size = plain.preprocess.size
        rng = np.random.default_rng(1)
        light = rng.uniform(0, 255, (200, 1, 1, 1)) * rng.random((200, size, size, 1))
        seen = plain.observe(light.astype(np.uint8))
        density = Density.fit(seen.features, np.arange(200) % len(labels))
        far = float(np.quantile(density.distance(seen.features), 0.8))
        limits = {label: (0.75, 0.8, 0.7, 0.85)[place % 4] for place, label in enumerate(labels)}
        section = {
            "tta": "mirror",
            "temperature": 1.5,
            "conformal": {"method": "plain", "risk": 0.1, "thresholds": limits},
            "novelty": {"threshold": far, "false_alarms": 0.2},
        }
        seen_before = Seen.of([Known(("a.png",), ("p1",))])
        kept = {"seen": seen_before, "selected": Seen.of([Known(("b.png",), ("p2",))]), "density": density}
        return Classifier(plain.model, plain.manifest, **kept).with_decision(section)

    return make


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Evaluation]:
    """Return a function that evaluates a classifier with answers of its own on pictures that lie there."""

    def make(seed: int = 0, *, count: int = 40, leaked: object = "first", **more: object) -> Evaluation:
        rng = np.random.default_rng(seed)
        truth = np.random.default_rng(0).integers(0, 4, count)
        answers = {}
        records = []
        for place, true in enumerate(truth):
            path = tmp_path / f"{place}.png"
            if not path.exists():
                image = np.random.default_rng(place).integers(0, 255, (40 + place, 60)).astype(np.uint8)
                cv2.imwrite(str(path), image)
            records.append(Record(path.name, path, LABELS[true], f"patient <{place // 3}> {LABELS[true]}"))
            shares = rng.dirichlet(np.ones(4) + 2 * np.eye(4)[true])
            answers[path.name] = prediction(path.name, shares)
        found = [f"{place}.png" for place in range(count // 2)] if leaked == "first" else leaked
        return evaluate(Answering(answers), Catalog(records), leaked=found, draws=100, **more)

    return make


class Answering:
    """A classifier that was given its answers."""

    labels = LABELS

    def __init__(self, answers: dict[str, Prediction]) -> None:
        self.answers = answers

    def predict(self, images: Catalog) -> list[Prediction]:
        return [self.answers[name] for name in images.ids]


def prediction(name: str, shares: np.ndarray) -> Prediction:
    """Return a prediction that abstains where three classes cannot be ruled out."""
    top = LABELS[int(shares.argmax())]
    held = tuple(label for label, share in zip(LABELS, shares, strict=True) if share > 0.2)
    abstained = len(held) > 2
    return Prediction(
        name,
        None if abstained else top,
        top,
        {label: float(share) for label, share in zip(LABELS, shares, strict=True)},
        held,
        0.5,
        abstained,
        "ambiguous" if abstained else None,
    )


@pytest.fixture(scope="session")
def make_network() -> Callable[..., keras.Model]:
    """Return a function that makes a network of the library's form, small enough to train in a second."""

    def make(
        *, frozen: bool = False, seed: int = 0, width: int = 8, classes: int = 4, hidden: int = 0
    ) -> keras.Model:
        keras.utils.set_random_seed(seed)
        image = keras.Input((32, 32, 1), dtype="uint8", name="image")
        x = keras.layers.Rescaling(1 / 64, offset=-1.6)(image)
        x = keras.layers.Conv2D(width, 5, strides=4, activation="tanh", name="first")(x)
        x = keras.layers.Conv2D(width, 3, activation="relu", name="second")(x)
        x = keras.layers.Dropout(0.1)(keras.layers.GlobalAveragePooling2D(name="features")(x))
        if hidden:
            x = keras.layers.Dense(hidden, activation="relu")(x)
        model = keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name="tiny")
        set_frozen(model, frozen)
        return model

    return make


@pytest.fixture(scope="session")
def striped(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Return noisy pictures, 8 a class in groups of 2: upright, lying or slanting stripes, or none."""
    root, rng = tmp_path_factory.mktemp("striped"), np.random.default_rng(0)
    down, right = np.mgrid[:40, :40]
    for place, label in enumerate(LABELS):
        (root / label).mkdir()
        stripes = (right, down, np.zeros((40, 40), int), right + down)[place] // 4 % 2
        for number in range(8):
            noisy = 50 + 90 * stripes + rng.integers(0, 110, (40, 40))
            cv2.imwrite(str(root / label / f"{number}.png"), noisy.astype(np.uint8))
    pictures = scan(root)
    return pictures.with_groups({one.id: f"{one.label} {int(one.path.stem) // 2}" for one in pictures})


@pytest.fixture(scope="session")
def sides(striped: Catalog) -> tuple[Catalog, Catalog]:
    """Return training and validation pictures of other groups; the training classes are not of one size."""
    learnt = [one.id for one in striped if one.path.stem not in "67"]
    judged = [one.id for one in striped if one.path.stem in "67"]
    return striped.select(ids=learnt[:-2]), striped.select(ids=judged)


@pytest.fixture(scope="session")
def pool(sides: tuple[Catalog, Catalog]) -> Pool:
    """Return 22 training and 8 validation pictures of 32 pixels, numbered through."""
    train, validation = (Examples(part, Preprocess(size=32)) for part in sides)
    return Pool({"train": train, "validation": validation})


@pytest.fixture(scope="module")
def whole(
    make_network: Callable[..., keras.Model],
    sides: tuple[Catalog, Catalog],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., tuple[Classifier, Path]]:
    """Return a function that trains a frozen network once without an interruption, and gives its folder."""

    @functools.cache
    def run(recipe: Recipe, refit: bool = False) -> tuple[Classifier, Path]:
        folder = tmp_path_factory.mktemp("whole")
        return train(make_network(frozen=True), *sides, recipe=recipe, run_dir=folder, refit=refit), folder

    return run
