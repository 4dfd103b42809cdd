import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from mri_tumor import dataset, models
from mri_tumor.labels import LABELS, NOTICE
from mri_tumor.manifest import Manifest


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "c"
    keras.utils.set_random_seed(0)
    network = models.build("small_cnn", size=32, width=2)
    data = {"labels": list(LABELS), "preprocess": dataset.Preprocess(size=32).to_dict()}
    models.Classifier(network, Manifest("model", {"data": data})).save(folder)
    return folder


@pytest.fixture
def pictures(make_folder: Callable[..., Path]) -> list[Path]:
    return sorted(make_folder(per_class=1).rglob("*.png"))


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "explanations.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_drawing_a_picture_and_a_table_of_all(
    run: Callable[..., tuple], model: Path, pictures: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "explained"
    code, said, _ = run("explain", model, *pictures, out, "--engine", "tensorflow")
    assert code == 0
    assert said == f"{out}: 4 drawings and explanations.csv. {NOTICE}\n"
    rows, expected = table(out), models.Classifier.load(model).explain(pictures)
    assert [row["id"] for row in rows] == list(map(str, pictures))
    assert {path.name for path in out.iterdir()} == {"explanations.csv", *(row["file"] for row in rows)}
    for row, one in zip(rows, expected, strict=True):
        assert row["explained"] == row["top"] == row["label"] == one.label
        assert float(row["probability"]) == pytest.approx(one.probability, abs=1e-3)
        assert (row["method"], row["size"], row["notice"]) == ("layercam", "32", NOTICE)
        assert one.heat[int(row["peak_row"]), int(row["peak_column"])] > 0.99
        assert int(row["box_top"]) <= int(row["peak_row"]) < int(row["box_bottom"])
        drawn = cv2.imread(str(out / row["file"]))
        assert drawn.std() > 20
        assert np.ptp(drawn.astype(int), axis=2).max() > 60  # there is colour


def test_shards_a_class_and_a_layer(
    run: Callable[..., tuple], model: Path, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    catalog = dataset.scan(make_folder(per_class=1))
    spec = dataset.Preprocess(size=32)
    dataset.write_tfrecords(catalog, tmp_path / "shards", preprocess=spec)
    options = ("--method", "gradcam", "--target", "none", "--layer", "last", "--engine", "tensorflow")
    assert run("explain", model, tmp_path / "shards", tmp_path / "out", *options)[0] == 0
    rows = table(tmp_path / "out")
    assert [row["id"] for row in rows] == list(catalog.ids)
    assert {(row["explained"], row["method"], row["layer"]) for row in rows} == {("none", "gradcam", "last")}


def test_a_folder_of_class_folders(
    run: Callable[..., tuple], model: Path, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_folder(per_class=1)
    assert run("explain", model, folder, tmp_path / "out", "--engine", "tensorflow")[0] == 0
    expected = sorted(folder.rglob("*.png"))
    assert [row["id"] for row in table(tmp_path / "out")] == list(map(str, expected))


def test_any_folder_of_pictures(
    run: Callable[..., tuple], model: Path, pictures: list[Path], tmp_path: Path
) -> None:
    loose = tmp_path / "loose"
    (loose / "more").mkdir(parents=True)
    shutil.copy(pictures[0], loose / "b.png")
    shutil.copy(pictures[1], loose / "more" / "a.png")
    assert run("explain", model, loose, tmp_path / "out", "--engine", "tensorflow")[0] == 0
    assert [Path(row["id"]).name for row in table(tmp_path / "out")] == ["b.png", "a.png"]
    (tmp_path / "empty").mkdir()
    code, _, error = run("explain", model, tmp_path / "empty", tmp_path / "none")
    assert code == 1
    assert "holds no picture" in " ".join(error.split())
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", [b"a$_$b.png", b"x\xff.png"])
def test_any_name_that_a_file_can_have(
    run: Callable[..., tuple], model: Path, pictures: list[Path], tmp_path: Path, name: bytes
) -> None:
    picture = tmp_path / os.fsdecode(name)
    try:
        picture.write_bytes(pictures[0].read_bytes())
    except OSError:
        pytest.skip("this system has no files of that name")
    assert run("explain", model, picture, tmp_path / "out", "--engine", "tensorflow")[0] == 0
    assert name in (tmp_path / "out" / "explanations.csv").read_bytes()


def test_a_picture_without_heat_has_no_place(run: Callable[..., tuple], model: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey [1] ä.png"), np.full((40, 40), 90, np.uint8))
    code, *_ = run("explain", model, tmp_path / "grey [1] ä.png", tmp_path / "out", "--engine", "tensorflow")
    (row,) = table(tmp_path / "out")
    assert (code, row["peak_row"], row["box_top"]) == (0, "", "")
    assert row["file"] == "00001-grey-1.png"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "lime"), "method is 'lime'"),
        (("--target", "tumour"), "target is 'tumour'"),
        (("--layer", "conv9"), "has no layer 'conv9'"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(
    run: Callable[..., tuple],
    model: Path,
    pictures: list[Path],
    tmp_path: Path,
    options: tuple,
    message: str,
) -> None:
    code, _, error = run("explain", model, *pictures, tmp_path / "out", *options, "--engine", "tensorflow")
    assert code == 1
    assert message in " ".join(error.split())
    assert not (tmp_path / "out").exists()


def test_a_picture_that_cannot_be_read_leaves_the_earlier_folder_as_it_was(
    run: Callable[..., tuple], model: Path, pictures: list[Path], tmp_path: Path
) -> None:
    out, engine = tmp_path / "out", ("--engine", "tensorflow")
    assert run("explain", model, *pictures[:2], out, *engine)[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (tmp_path / "text.png").write_text("no picture")
    code, _, error = run("explain", model, *pictures, tmp_path / "text.png", out, *engine)
    assert code == 1
    assert "text.png" in error.replace("\n", "")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert run("explain", model, *pictures, out, *engine)[0] == 0
    assert len(table(out)) == 4


def test_a_folder_of_something_else_is_not_replaced(
    run: Callable[..., tuple], model: Path, pictures: list[Path]
) -> None:
    code, _, error = run("explain", model, pictures[0], pictures[0].parent)
    assert code == 1
    assert "no explanations.csv" in " ".join(error.split())
    assert pictures[0].is_file()


def test_what_somebody_put_into_an_earlier_folder_stays(
    run: Callable[..., tuple], model: Path, pictures: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run("explain", model, pictures[0], out, "--engine", "tensorflow")[0] == 0
    (out / "notes.txt").write_text("mine")
    code, _, error = run("explain", model, pictures[0], out)
    assert code == 1
    assert "also holds notes.txt" in " ".join(error.split())
    assert (out / "notes.txt").read_text() == "mine"
