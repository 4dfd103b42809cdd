import csv
import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mri_tumor import __version__, dataset
from mri_tumor.cli.demo import workflow_script
from mri_tumor.dataset.public.known_tables import KnownPicture
from mri_tumor.labels import LABELS, NOTICE
from mri_tumor.manifest import Manifest


def test_the_version_and_the_notice_are_said(run: Callable[..., tuple]) -> None:
    assert run("--version")[:2] == (0, f"{__version__}\n")
    assert "Not a medical device" in run("--help")[1].replace("\n", " ")


def test_an_error_of_ours_is_one_message_and_exit_code_1(run: Callable[..., tuple], tmp_path: Path) -> None:
    code, out, error = run("audit", tmp_path / "nowhere")
    assert (code, out) == (1, "")
    assert "CatalogError" in error
    assert "nowhere" in error
    assert "To do:" in error
    assert "Traceback" not in error


def test_a_mistyped_command_has_exit_code_2(run: Callable[..., tuple]) -> None:
    assert run("adit")[0] == 2


@pytest.fixture
def leaking(make_folder: Callable[..., Path]) -> Path:
    """Training and Testing, with one picture in both and one that cannot be read."""
    root = make_folder(split="Training")
    make_folder(split="Testing", seed=9)
    copy = (root / "Training" / "no_tumor" / "000.png").read_bytes()
    (root / "Testing" / "no_tumor" / "copy.png").write_bytes(copy)
    (root / "Training" / "no_tumor" / "text.png").write_text("no picture")
    return root


def test_audit_shows_a_planted_leak_and_writes_everything(
    run: Callable[..., tuple], leaking: Path, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("catalog.csv", "findings.csv", "audit.html")]
    options = zip(("--catalog", "--csv", "--html"), files, strict=True)
    code, out, error = run("audit", leaking, *(part for option in options for part in option), "--pairs", 3)
    assert code == 0
    assert "Testing/no_tumor/copy.png" in out
    assert "Unreadable, left out: 1" in out
    assert "audit.html holds pictures of the set" in error
    group = {record.id: record.group for record in dataset.Catalog.from_csv(files[0])}
    assert group["Testing/no_tumor/copy.png"] == group["Training/no_tumor/000.png"]
    with files[1].open(encoding="utf-8", newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["pixel-identical", "unreadable"]
    assert "data:image/jpeg" in files[2].read_text(encoding="utf-8")


def test_a_strict_audit_fails_on_leaks_only_once_they_are_said(
    run: Callable[..., tuple], leaking: Path, tmp_path: Path
) -> None:
    code, out, _ = run("audit", leaking, "--strict", "--csv", tmp_path / "findings.csv")
    assert code == 1
    assert "Testing/no_tumor/copy.png" in out
    assert (tmp_path / "findings.csv").is_file()
    # Something that is merely odd does not count.
    assert run("audit", leaking / "Training", "--strict")[0] == 0


def test_a_test_set_that_lies_elsewhere(run: Callable[..., tuple], leaking: Path) -> None:
    _, out, _ = run("audit", leaking / "Training", "--test", leaking / "Testing")
    assert "no_tumor/copy.png = no_tumor/000.png, the same file" in out


def test_prepare_keeps_its_split_and_divides_by_it(
    run: Callable[..., tuple], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder(per_class=10)
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("prepare", root, first, "--size", 16, "--seed", 7)[0] == 0
    assert run("prepare", root, second, "--size", 16, "--split", first / "split.json")[0] == 0
    for part in ("train", "validation"):
        made = [dataset.verify_tfrecords(folder / part) for folder in (first, second)]
        assert made[0] == made[1]
        assert made[0].sections["data"]["division"]["seed"] == 7
    assert (first / "split.json").read_bytes() == (second / "split.json").read_bytes()

    table = tmp_path / "groups.csv"
    rows = [f"{record.id},{record.label} {place % 5}" for place, record in enumerate(dataset.scan(root))]
    table.write_text("\n".join(["path,group", *rows]), encoding="utf-8")
    third, fourth = tmp_path / "third", tmp_path / "fourth"
    assert run("prepare", root, third, "--size", 16, "--groups", table)[0] == 0
    assert run("prepare", root, fourth, "--size", 16, "--split", third / "split.json")[0] == 0
    assert (third / "split.json").read_bytes() == (fourth / "split.json").read_bytes()
    division = dataset.verify_tfrecords(fourth / "train").sections["data"]["division"]
    split = Manifest.read(fourth / "split.json", kind="split").sections["split"]
    assert division["digest"] == split["digest"]

    (root / "no_tumor" / "000.png").unlink()
    code, _, error = run("prepare", root, second, "--split", first / "split.json")
    assert code == 1
    assert "'no_tumor/000.png'" in error


def test_a_split_with_other_parts_makes_no_folders(
    run: Callable[..., tuple], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder(per_class=4)
    parts = dict(zip(("../train", "b"), dataset.split(dataset.scan(root), (0.5, 0.5)), strict=True))
    dataset.write_split(tmp_path / "split.json", parts)
    code, _, error = run("prepare", root, tmp_path / "out", "--split", tmp_path / "split.json")
    assert code == 1
    assert "train and validation" in " ".join(error.split())
    assert not (tmp_path / "out").exists()


def test_prepare_stops_at_a_bad_picture_or_leaves_it_out_and_says_of_leaks(
    run: Callable[..., tuple], leaking: Path, tmp_path: Path
) -> None:
    code, _, error = run("prepare", leaking, tmp_path / "out", "--size", 16)
    assert code == 1
    assert "text.png" in error
    assert not (tmp_path / "out").exists()
    code, out, error = run("prepare", leaking, tmp_path / "out", "--size", 16, "--skip-unreadable")
    assert code == 0
    assert "left out: " in error
    assert "1 of 17 test pictures are also in training" in error
    assert f"{tmp_path / 'out' / 'test'}: 17 pictures" in out


def test_prepare_keeps_known_groups_together(
    run: Callable[..., tuple],
    make_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = make_folder(per_class=8)
    pictures = dataset.scan(root)
    together = {
        name: name.split("/")[0] for name in pictures.ids if name.endswith(("1.png", "2.png", "3.png"))
    }
    table = [
        KnownPicture(
            "figshare", one.id, one.digest, 1, "", "00" * 32, together[one.id], None, None, frozenset()
        )
        for one in pictures
        if one.id in together
    ]
    monkeypatch.setattr(
        sys.modules["mri_tumor.dataset.known"],
        "known_pictures",
        lambda source: table if source == "figshare" else [],
    )
    code, _, error = run("prepare", root, tmp_path / "out", "--size", 16, "--share", 0.5, "--known")
    assert code == 0
    assert "unknown: 20" in error
    parts = dataset.read_split(tmp_path / "out" / "split.json", pictures)
    for group in set(together.values()):
        members = {name for name, own in together.items() if own == group}
        assert sum(members <= set(part.ids) for part in parts.values()) == 1
    # Pictures of no known set are no error.
    assert (
        run("prepare", make_folder(name="new", seed=3), tmp_path / "new out", "--size", 16, "--known")[0] == 0
    )


def test_shards_do_not_come_among_the_pictures(
    run: Callable[..., tuple], make_folder: Callable[..., Path]
) -> None:
    root = make_folder()
    for output in (root, root / "shards", root / "x" / ".." / "shards"):
        code, _, error = run("prepare", root, output)
        assert code == 1
        assert "a folder outside" in " ".join(error.split())
    assert not (root / "shards").exists()


def test_three_classes(run: Callable[..., tuple], make_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = make_folder(folders=("glioma", "meningioma", "pituitary"))
    assert "none" in run("audit", root)[2]
    classes = "glioma, meningioma,pituitary"
    assert run("audit", root, "--classes", classes)[0] == 0
    assert run("prepare", root, tmp_path / "out", "--size", 16, "--classes", classes)[0] == 0
    labels = dataset.verify_tfrecords(tmp_path / "out" / "train").sections["data"]["labels"]
    assert labels == ["glioma", "meningioma", "pituitary"]


def test_a_file_that_cannot_be_written_is_one_message(
    run: Callable[..., tuple], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code, _, error = run("audit", make_folder(), "--csv", tmp_path / "file" / "findings.csv")
    assert code == 1
    assert "Traceback" not in error
    assert "file" in error


def test_download_says_what_must_be_fetched_by_hand(run: Callable[..., tuple], tmp_path: Path) -> None:
    code, out, error = run("download", "figshare", tmp_path / "x")
    assert (code, out) == (1, "")
    assert "https://doi.org/10.6084/m9.figshare.1512427" in error
    assert list(tmp_path.iterdir()) == []


def test_from_pictures_to_a_package(
    run: Callable[..., tuple], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder(per_class=10)
    shards, model = tmp_path / "shards", tmp_path / "run" / "classifier"
    assert run("prepare", root, shards, "--size", 32)[0] == 0
    parts = [dataset.verify_tfrecords(shards / part) for part in ("train", "validation")]
    assert [part.sections["data"]["count"] for part in parts] == [32, 8]

    assert run("train", shards, tmp_path / "run", "--epochs", 1)[0] == 0
    picture = root / "glioma_tumor" / "000.png"
    code, out, error = run("predict", model, picture)
    assert code == 0
    assert NOTICE in error
    row = next(csv.DictReader(io.StringIO(out)))
    assert row["id"] == str(picture)
    assert sum(float(row[label]) for label in LABELS) == pytest.approx(1, abs=1e-3)
    told = json.loads(run("predict", tmp_path / "run", picture, "--json")[1])  # a run's folder serves too
    assert told["probabilities"][row["label"]] == pytest.approx(float(row[row["label"]]), abs=1e-4)

    code, out, _ = run("export", model, tmp_path / "saved", "--pictures", root)
    assert code == 0
    assert "saved_model in float32" in out
    assert "says what the classifier says" in out
    assert (tmp_path / "saved" / "saved_model.pb").is_file()
    assert run("package", model, tmp_path / "model.tar.gz")[0] == 0
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        assert "1/saved_model.pb" in archive.getnames()


def test_the_card_of_a_classifier_with_and_without_numbers(
    run: Callable[..., tuple], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    shards, model = tmp_path / "shards", tmp_path / "run" / "classifier"
    run("prepare", make_folder(per_class=6), shards, "--size", 32)
    run("train", shards, tmp_path / "run", "--epochs", 1)
    code, out, _ = run("card", model)
    assert code == 0
    assert out.startswith('---\nlicense: "unknown"\n')
    assert "Not measured: this card was made without" in out

    numbers, five, card = tmp_path / "numbers.json", tmp_path / "five.json", model / "README.md"
    others = make_folder(per_class=2, seed=9, name="others", suffix=".jpg")  # other ids than those trained on
    assert run("evaluate", model, others, "--json", numbers)[0] == 0
    protocols = {"official": json.loads(numbers.read_text())}
    five.write_text(json.dumps({"name": "this way", "protocols": protocols}))
    options = ("--evaluation", numbers, "--five", five, "--licence", "mit", "--name", "Mine")
    code, out, _ = run("card", model, *options, "--output", card)
    assert code == 0
    assert out == f"{card}: the model card. {NOTICE}\n"
    text = card.read_text()
    assert text.startswith('---\nlicense: "mit"\n')
    assert all(part in text for part in ("# Mine\n", "| evaluated, all | 8 |", "| official, all | 8 |"))
    assert run("predict", model, others / "no_tumor" / "000.jpg")[0] == 0  # the card beside it does no harm

    code, _, error = run("card", model, "--five", numbers)
    assert code == 1
    assert "does not hold such numbers" in " ".join(error.split())


def test_the_demo_is_the_example(run: Callable[..., tuple]) -> None:
    assert workflow_script().name == "full_workflow.py"
    assert "--weights" in run("demo", "--help-options")[1]


def test_a_salt_makes_other_groups_of_patients(
    run: Callable[..., tuple], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pydicom = pytest.importorskip("pydicom.data")
    picture = Path(pydicom.get_testdata_file("MR_small.dcm")).read_bytes()
    for name in LABELS:
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "1.dcm").write_bytes(picture)

    def groups(*options: str) -> set[str]:
        table = tmp_path / "catalog.csv"
        assert run("audit", tmp_path / "set", "--catalog", table, *options)[0] == 0
        with table.open(newline="", encoding="utf-8") as file:
            return {row["group"] for row in csv.DictReader(file)}

    public = groups()
    secret = groups("--salt", "one of our own")
    monkeypatch.setenv("MRI_TUMOR_SALT", "one of our own")
    assert public != secret == groups()
    assert len(public) == len(secret) == 1
