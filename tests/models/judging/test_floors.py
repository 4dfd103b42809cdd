"""Floors: what they answer, that they stand beside the model, and the measured ones on real pictures."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from mri_tumor import LABELS
from mri_tumor.dataset.catalog import Catalog, Record, scan
from mri_tumor.dataset.pipeline import load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch, ReadError
from mri_tumor.models.evaluation import evaluate
from mri_tumor.models.judging.floors import floor_answers, look_at
from mri_tumor.models.prediction import Prediction


class Always:
    """A classifier that says the same of every picture of a catalog."""

    labels = LABELS

    def predict(self, images):
        shares = {label: float(label == "glioma") for label in LABELS}
        ids = images.ids if isinstance(images, Catalog) else [f"{place}" for place in range(len(images))]
        return [Prediction(name, "glioma", "glioma", shares) for name in ids]


class OfDataset(Always):
    def predict(self, images):
        names = [name.decode() for batch in images for name in batch["id"].numpy()]
        shares = {label: float(label == "glioma") for label in LABELS}
        return [Prediction(name, "glioma", "glioma", shares) for name in names]


def picture(path: Path, seed: int, size: tuple[int, int]) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (6, 6)).astype(np.uint8)
    cv2.imwrite(str(path), cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Catalog, Catalog]:
    """Training pictures of two sizes, and test pictures whose size and looks name different classes."""
    train = [("a", 0, (90, 60), "glioma"), ("b", 1, (90, 60), "glioma"), ("c", 2, (60, 60), "none")]
    test = [("d", 2, (90, 60), "none"), ("e", 1, (60, 60), "glioma"), ("f", 0, (90, 60), "glioma")]
    catalogs = []
    for rows in (train, test):
        for name, seed, size, _ in rows:
            picture(tmp_path / f"{name}.png", seed, size)
        catalogs.append(
            Catalog(Record(f"{name}.png", tmp_path / f"{name}.png", label) for name, *_, label in rows)
        )
    return catalogs[0], catalogs[1]


def test_each_floor_answers_by_what_it_sees(sides: tuple[Catalog, Catalog]) -> None:
    found = floor_answers(*map(look_at, sides))
    assert found["majority"] == ("glioma",) * 3
    assert found["size"] == ("glioma", "none", "glioma")
    assert found["thumbnail"] == ("none", "glioma", "glioma")


def test_brightness_and_contrast_do_not_count_for_thumbnails(sides: tuple[Catalog, Catalog]) -> None:
    train, test = map(look_at, sides)
    dim = type(test)(test.labels, test.sizes, (test.thumbnails // 2 + 40).astype(np.uint8))
    assert floor_answers(train, dim)["thumbnail"] == ("none", "glioma", "glioma")
    blank = type(test)(test.labels, test.sizes, np.zeros_like(test.thumbnails))
    assert len(floor_answers(train, blank)["thumbnail"]) == 3


def test_looks_can_be_taken_apart(sides: tuple[Catalog, Catalog]) -> None:
    looks = look_at(sides[0])
    part = looks.take(np.array([2, 0]))
    assert part.labels.tolist() == ["none", "glioma"]
    assert part.sizes.tolist() == [[60, 60], [90, 60]]
    assert np.array_equal(part.thumbnails[1], looks.thumbnails[0])


def test_floors_stand_beside_the_model(sides: tuple[Catalog, Catalog]) -> None:
    train, test = sides
    found = evaluate(Always(), test, train=train, leaked=["d.png"])
    assert found.floors is not None
    assert {floor.name: round(floor.all.accuracy, 3) for floor in found.floors} == {
        "majority": 0.667,
        "size": 0.333,
        "thumbnail": 1.0,
    }
    assert all((floor.leaked.n, floor.clean.n) == (1, 2) for floor in found.floors)
    assert found.to_dict()["floors"]["size"]["clean"]["accuracy"] == 0.5
    assert "floor thumbnail %" in found.summary()
    assert found.floors_note == ""


def test_without_floors_it_says_why(sides: tuple[Catalog, Catalog]) -> None:
    train, test = sides
    unasked = evaluate(Always(), test)
    assert unasked.floors is None
    assert "no training pictures were given" in unasked.summary()
    fileless = evaluate(OfDataset(), load(test, Preprocess(size=32)), train=train)
    assert fileless.floors is None
    assert "the data is no Catalog" in fileless.to_dict()["floors_note"]


def test_training_pictures_that_cannot_serve_are_refused(
    sides: tuple[Catalog, Catalog], tmp_path: Path
) -> None:
    train, test = sides
    with pytest.raises(ArgumentError, match="train is a str"):
        evaluate(Always(), test, train="folder")
    with pytest.raises(ArgumentError, match="train holds no picture"):
        evaluate(Always(), test, train=train[:0])
    with pytest.raises(LeakageError, match=r"both hold 1 files, such as .*d\.png"):
        evaluate(Always(), test, train=Catalog([*train, test[0]]))
    stroke = Catalog([Record("s.png", tmp_path / "s.png", "stroke")], classes=("stroke",))
    with pytest.raises(ManifestMismatch, match="train has the labels stroke"):
        evaluate(Always(), test, train=stroke)
    gone = Catalog([*train, Record("gone.png", tmp_path / "gone.png", "none")])
    with pytest.raises(ReadError, match=r"gone\.png"):
        evaluate(Always(), test, train=gone)


@pytest.mark.realdata
@pytest.mark.slow
def test_the_floors_of_the_official_test(shared: Path) -> None:
    """They are those that were measured before, within a point.

    The reference's 99.2 and 35.6 were measured on 259 and 135 pictures, one of which is on the other side.
    """
    table = shared / "data" / "sartaj_groups.csv"
    pictures = scan(shared / "data" / "sartaj", groups=table)
    with table.open(encoding="utf-8", newline="") as file:
        leaked = {row["path"] for row in csv.DictReader(file) if row["test_neardup_in_train"] == "1"}
    test = pictures.select(split="Testing")
    found = evaluate(Always(), test, train=pictures.select(split="Training"), leaked=leaked)
    floors = {floor.name: floor for floor in found.floors or ()}
    assert floors["majority"].all.accuracy == pytest.approx(0.188, abs=0.0005)
    assert floors["size"].all.accuracy == pytest.approx(0.627, abs=0.01)
    nearest = floors["thumbnail"]
    scored = [part.accuracy for part in (nearest.all, nearest.leaked, nearest.clean) if part is not None]
    assert scored == pytest.approx([0.774, 0.992, 0.356], abs=0.01)
    assert (nearest.leaked.n, nearest.clean.n) == (260, 134)
