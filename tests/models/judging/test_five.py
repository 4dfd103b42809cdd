"""The five numbers on phantoms: what is trained on what, resumed, pooled, and refused."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mri_tumor import LABELS
from mri_tumor.dataset import audit, make_phantoms
from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.reader import read_image
from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch
from mri_tumor.models.judging.five import five
from mri_tumor.models.judging.five_numbers import FiveNumbers
from mri_tumor.models.prediction import Prediction
from mri_tumor.models.seen import Known, Seen

FEW = {"n": 3, "draws": 50}


def look(path: Path) -> np.ndarray:
    return cv2.resize(read_image(path), (8, 8), interpolation=cv2.INTER_AREA).ravel() / 255


class NearestMean:
    """A classifier by the nearest mean; it knows what it was trained on, as a Classifier does."""

    def __init__(self, train: Catalog) -> None:
        self.labels = train.classes
        looks = np.array([look(path) for path in train.paths])
        self.means = np.array(
            [looks[train.label_indices == place].mean(axis=0) for place in range(len(self.labels))]
        )
        digests = tuple(record.digest for record in train)
        self.seen = Seen.of([Known(train.ids, train.groups, digests)])

    def predict(self, images: Catalog) -> list[Prediction]:
        return [self._one(record) for record in images]

    def _one(self, record: Record) -> Prediction:
        apart = np.linalg.norm(self.means - look(record.path), axis=1)
        shares = np.exp(-apart) / np.exp(-apart).sum()
        top = self.labels[int(shares.argmax())]
        named = dict(zip(self.labels, map(float, shares), strict=True))
        return Prediction(record.id, top, top, named, (top,), 0.1)


class Trainer:
    """A way to train that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Catalog]] = []

    def __call__(self, train: Catalog, validation: Catalog | None, folder: Path) -> NearestMean:
        assert validation is None
        assert folder.is_dir()
        self.asked.append((folder.name, train))
        return NearestMean(train)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return make_phantoms(tmp_path_factory.mktemp("phantoms"), per_class=14, size=64)


@pytest.fixture(scope="module")
def sides(pictures: Catalog) -> dict[str, object]:
    report = audit(pictures)
    pairs = [pair for pair in report.pairs if pair.leak]
    train = pictures.select(split="Training")
    twins = {name for pair in pairs for name in (pair.first, pair.second)} & set(train.ids)
    assert twins
    return {
        "train": train,
        "test": pictures.select(split="Testing"),
        "leaked": report.leaked_ids,
        "twins": twins,
    }


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    drawn = make_phantoms(tmp_path_factory.mktemp("second"), per_class=10, size=64, seed=5)
    three = ("glioma", "meningioma", "pituitary")
    return Catalog((record for record in drawn if record.label in three), three)


@pytest.fixture(scope="module")
def whole(sides, second, tmp_path_factory) -> tuple[FiveNumbers, Trainer, Path]:
    run, trainer = tmp_path_factory.mktemp("run"), Trainer()
    return five(trainer, **sides, second=second, run_dir=run, name="nearest mean", **FEW), trainer, run


def test_each_training_gets_its_own_pictures(whole, sides, second) -> None:
    _, trainer, _ = whole
    asked = dict(trainer.asked)
    folds = [f"fold-{number}" for number in range(3)]
    assert list(asked) == ["official", "twins-removed", *folds, *(f"second-{name}" for name in folds)]
    train = sides["train"]
    assert asked["official"] == train
    assert set(asked["twins-removed"].ids) == set(train.ids) - sides["twins"]
    for place, name in enumerate(folds):
        assert 0 < len(asked[name]) < len(train)
        assert asked[f"second-fold-{place}"].classes == second.classes


def test_every_protocol_is_scored_with_its_floors(whole, sides, second) -> None:
    found, _, _ = whole
    assert list(found.evaluations) == [
        "official",
        "twins removed",
        "grouped 3-fold",
        "second set, grouped 3-fold",
    ]
    removed = found.evaluations["twins removed"]
    assert (removed.twins_removed, found.evaluations["official"].twins_removed) == (True, False)
    official = found.evaluations["official"]
    assert official.truth.ids == sides["test"].ids
    assert (official.leaked.n, official.clean.n) == (
        len(sides["leaked"]),
        len(sides["test"]) - len(sides["leaked"]),
    )
    pooled = found.evaluations["grouped 3-fold"]
    assert sorted(pooled.truth.ids) == sorted(sides["train"].ids)
    assert pooled.leaked is None
    assert pooled.all.groups == len(set(sides["train"].groups))
    assert "accuracy" in pooled.all.intervals
    assert found.evaluations["second set, grouped 3-fold"].all.n == len(second)
    for one in found.evaluations.values():
        assert [floor.name for floor in one.floors] == ["majority", "size", "thumbnail"]
        assert all(floor.all.n == one.all.n for floor in one.floors)
        assert one.all.decisions.coverage == one.all.accuracy
    # The leaked copies are their own nearest neighbours, until their twins are taken away.
    thumbnail = {name: one.floors[2].leaked for name, one in found.evaluations.items() if one.leaked}
    assert thumbnail["official"].accuracy == 1


def test_held_out_pictures_are_judged_by_the_training_that_has_not_seen_their_group(whole) -> None:
    _, trainer, run = whole
    asked = dict(trainer.asked)
    for number in range(3):
        with (run / f"fold-{number}.csv").open(encoding="utf-8") as file:
            groups = {row["group"] for row in csv.DictReader(file)}
        assert groups
        assert not groups & set(asked[f"fold-{number}"].groups)


def test_what_is_finished_is_not_done_again(whole, sides, second) -> None:
    found, _, run = whole
    (run / "fold-1.csv").rename(run / "kept")
    again = Trainer()
    resumed = five(again, **sides, second=second, run_dir=run, name="nearest mean", **FEW)
    assert [name for name, _ in again.asked] == ["fold-1"]
    assert resumed == found
    assert (run / "fold-1.csv").read_bytes() == (run / "kept").read_bytes()


def test_rows_hold_every_number(whole, tmp_path: Path) -> None:
    found, _, _ = whole
    found.to_csv(tmp_path / "five.csv")
    with (tmp_path / "five.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["protocol", "part", "n", "groups", "metric", "value", "low", "high"]
    table = {(row["protocol"], row["part"], row["metric"]): row for row in rows}
    assert len(table) == len(rows)
    pooled = found.evaluations["grouped 3-fold"].all
    accuracy = table["grouped 3-fold", "all", "accuracy"]
    assert float(accuracy["value"]) == pytest.approx(pooled.accuracy, abs=1e-6)
    assert float(accuracy["low"]) == pytest.approx(pooled.intervals["accuracy"].low, abs=1e-6)
    for metric in (
        "recall none",
        "coverage",
        "set_size",
        "floor size accuracy",
        "by group macro_f1",
        "log_loss",
    ):
        assert ("official", "clean", metric) in table
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["name"] == "nearest mean"
    lines = found.summary().splitlines()
    assert lines[0] == "nearest mean"
    assert any(line.startswith("twins removed, clean") for line in lines)
    assert max(map(len, lines)) < 110


def test_twins_come_from_what_knows_them(sides, tmp_path: Path) -> None:
    class Knows:
        leaked_ids = sides["leaked"]
        twin_ids = frozenset(sides["twins"])

    trainer = Trainer()
    arguments = sides | {"leaked": Knows(), "twins": None}
    five(trainer, **arguments, run_dir=tmp_path, **FEW)
    assert set(sides["train"].ids) - set(dict(trainer.asked)["twins-removed"].ids) == sides["twins"]


def test_a_folder_of_other_numbers_is_refused(whole, sides, second) -> None:
    _, _, run = whole
    with pytest.raises(ArgumentError, match="holds the numbers of another name"):
        five(Trainer(), **sides, second=second, run_dir=run, name="other", **FEW)
    with pytest.raises(ArgumentError, match="another second, train"):
        five(
            Trainer(),
            **sides | {"train": sides["train"][1:]},
            run_dir=run,
            name="nearest mean",
            **FEW | {"n": 3},
        )
    with pytest.raises(ArgumentError, match="another n"):
        five(Trainer(), **sides, second=second, run_dir=run, name="nearest mean", n=2)


def test_a_plan_that_is_damaged_is_no_plan(sides, tmp_path: Path) -> None:
    for text in ("{", "[]"):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(ArgumentError, match="holds the numbers of another"):
            five(Trainer(), **sides, run_dir=tmp_path, **FEW)


def test_what_cannot_be_judged_is_refused(sides, tmp_path: Path) -> None:
    train, test = sides["train"], sides["test"]

    def refused(error: type[Exception], match: str, **changed: object) -> None:
        trainer = changed.pop("fit", Trainer())
        with pytest.raises(error, match=match):
            five(trainer, **sides | {"run_dir": tmp_path / match[:6]} | FEW | changed)

    refused(ArgumentError, "train is a str", train="folder")
    refused(ArgumentError, "test holds no picture", test=test[:0])
    refused(ArgumentError, "second is a list", second=[])
    refused(ArgumentError, "test has the classes", test=Catalog(test, LABELS[::-1]))
    refused(LeakageError, "both hold 1 files", train=Catalog([*train, test[0]]), leaked=test.ids)
    refused(ArgumentError, "twins is None, and leaked is a tuple", twins=None)
    refused(ArgumentError, "1 twins are not in train, such as 'x'", twins=["x"])
    refused(ArgumentError, "twins are all of train", twins=train.ids)
    refused(ArgumentError, "draws is 0", draws=0)
    refused(ArgumentError, "n is 1", n=1)
    refused(ArgumentError, "none of the 1 leaked ids", leaked=["x"])
    refused(ArgumentError, "classifier is a str", fit=lambda *_: "model")


def test_a_classifier_that_does_not_fit_is_refused(sides, tmp_path: Path) -> None:
    def turned(train: Catalog, validation: None, folder: Path) -> NearestMean:
        return NearestMean(Catalog(train, LABELS[::-1]))

    with pytest.raises(ManifestMismatch, match="the classifier of official has the labels"):
        five(turned, **sides, run_dir=tmp_path / "turned", **FEW)

    def greedy(train: Catalog, validation: None, folder: Path) -> NearestMean:
        return NearestMean(sides["train"])

    # The official test may be judged by a classifier of all of it; a fold may not.
    with pytest.raises(LeakageError, match="was trained on"):
        five(greedy, **sides, run_dir=tmp_path / "greedy", **FEW)
    assert [path.name for path in sorted((tmp_path / "greedy").glob("*.csv"))] == [
        "official.csv",
        "twins-removed.csv",
    ]
