"""Judging from the command line: a classifier by a test set, and a way to train by the five numbers."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mri_tumor import dataset, models
from mri_tumor.dataset.public.known_tables import KnownPicture
from mri_tumor.labels import NOTICE
from mri_tumor.models import Classifier, Recipe

RECIPE = Recipe(epochs=1, batch_size=16, augment=None, seed=7)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> dataset.Catalog:
    """Return phantoms in Training/ and Testing/, some of the test copied from training."""
    return dataset.make_phantoms(tmp_path_factory.mktemp("set") / "phantoms", per_class=20, size=48)


@pytest.fixture(scope="module")
def folder(phantoms: dataset.Catalog) -> Path:
    return phantoms.paths[0].parents[2]


@pytest.fixture(scope="module")
def model(phantoms: dataset.Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a classifier that was trained on the training phantoms."""
    run = tmp_path_factory.mktemp("run")
    parts = dataset.split(phantoms.select(split="Training"), (0.8, 0.2))
    models.train(models.build("small_cnn", size=32, width=4), *parts, recipe=RECIPE, run_dir=run)
    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE.to_dict()))
    return tmp_path / "recipe.json"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def test_a_classifier_is_judged_by_the_test_pictures_leaked_and_clean_apart(
    run: Callable[..., tuple], folder: Path, phantoms: dataset.Catalog, model: Path, tmp_path: Path
) -> None:
    page, table, card = (tmp_path / name for name in ("report.html", "pictures.csv", "numbers.json"))
    options = ("--groups", folder / "groups.csv", "--html", page, "--csv", table, "--json", card)
    code, out, error = run("evaluate", model, folder, *options)
    assert code == 0
    assert NOTICE in error
    tested = phantoms.select(split="Testing")
    leaked = dataset.audit(phantoms).leaked_ids
    assert leaked
    kept = {row["id"]: row for row in rows(table)}
    assert set(kept) == set(tested.ids)
    assert {name for name, row in kept.items() if row["leaked"] == "1"} == set(leaked)
    answers = {one.id: one.top for one in Classifier.load(model).predict(tested)}
    assert {name: row["predicted"] for name, row in kept.items()} == answers
    numbers = json.loads(card.read_text())
    assert [numbers[part]["n"] for part in ("all", "leaked", "clean")] == [
        len(tested), len(leaked), len(tested) - len(leaked)
    ]  # fmt: skip
    right = sum(answers[one.id] == one.label for one in tested)
    assert numbers["all"]["accuracy"] == pytest.approx(right / len(tested))
    assert numbers["floors"]
    assert "clean" in out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_test_set_alone_has_neither_leaks_nor_floors_and_elsewhere_it_has(
    run: Callable[..., tuple], folder: Path, model: Path, tmp_path: Path
) -> None:
    card = tmp_path / "numbers.json"
    code, _, error = run("evaluate", model, folder / "Training", "--json", card)
    assert code == 1  # it knows these files, and nothing says that they leaked
    assert "LeakageError" in error
    assert run("evaluate", model, folder / "Testing", "--train", folder / "Training", "--json", card)[0] == 0
    numbers = json.loads(card.read_text())
    assert numbers["floors"]
    assert numbers["leaked"]["n"] > 0
    fresh = dataset.make_phantoms(tmp_path / "fresh", per_class=6, size=48, seed=3)
    alone = fresh.paths[0].parents[1]
    assert run("evaluate", model, alone, "--json", card)[0] == 0
    numbers = json.loads(card.read_text())
    assert not numbers["floors"]
    assert (numbers["all"]["n"] > 0, numbers["leaked"], numbers["clean"]) == (True, None, None)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "the five numbers without --run"),
        (("--run", "RUN", "--preset", "fast", "--recipe", "FILE"), "the preset fast and the recipe"),
        (("--run", "RUN", "--preset", "quick"), "there is no preset 'quick'"),
    ],
)
def test_five_refuses_what_does_not_go_together(
    run: Callable[..., tuple], folder: Path, tmp_path: Path, file: Path, options: tuple, text: str
) -> None:
    given = [{"RUN": tmp_path / "run", "FILE": file}.get(option, option) for option in options]
    code, out, error = run("evaluate", "small_cnn", folder, "--protocol", "five", *given)
    assert (code, out) == (1, "")
    assert text in " ".join(error.split())
    assert not (tmp_path / "run").exists()


def test_five_needs_training_pictures(run: Callable[..., tuple], folder: Path, tmp_path: Path) -> None:
    options = ("--protocol", "five", "--run", tmp_path / "run")
    code, _, error = run("evaluate", "small_cnn", folder / "Testing", *options)
    assert code == 1
    assert "without the training pictures" in " ".join(error.split())


def test_an_unknown_protocol_is_mistyped(run: Callable[..., tuple], folder: Path) -> None:
    assert run("evaluate", "small_cnn", folder, "--protocol", "six")[0] == 2


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """Take what the five numbers are asked for, and train nothing."""
    found = []

    def five(trainer: object, train: object, test: object, **options: object) -> SimpleNamespace:
        found.append(SimpleNamespace(trainer=trainer, train=train, test=test, **options))
        return SimpleNamespace(summary=lambda: "the numbers")

    monkeypatch.setattr(models, "five", five)
    return found


def test_five_is_asked_with_groups_leaks_and_twins_as_the_audit_found_them(
    run: Callable[..., tuple],
    folder: Path,
    file: Path,
    tmp_path: Path,
    asked: list,
    phantoms: dataset.Catalog,
) -> None:
    second = tmp_path / "second"
    dataset.make_phantoms(second, per_class=6, size=48, seed=2)
    for picture in (second / "Training" / "no_tumor").iterdir():
        picture.unlink()
    (second / "Training" / "no_tumor").rmdir()
    options = ("--run", tmp_path / "run", "--recipe", file, "--size", 32, "--refit", "--seed", 4)
    given = ("evaluate", "small_cnn", folder, "--protocol", "five", *options)
    assert run(*given, "--second", second / "Training")[:2] == (0, "the numbers\n")
    one = asked[0]
    report = dataset.audit(phantoms)
    assert one.twins == {leak.train for leak in report.leaks}
    assert set(one.leaked.leaked_ids) == set(report.leaked_ids)
    assert all([*one.train.groups, *one.test.groups])
    assert one.second.classes == ("glioma", "meningioma", "pituitary")
    assert (one.seed, one.run_dir) == (4, tmp_path / "run")
    digest = RECIPE.replace(seed=4).digest[:12]
    assert one.name == f"small_cnn at 32, recipe {digest}, refit"


def test_five_knows_the_twins_of_a_public_set_wherever_its_training_lies(
    run: Callable[..., tuple], folder: Path, tmp_path: Path, asked: list,
    monkeypatch: pytest.MonkeyPatch, phantoms: dataset.Catalog,
) -> None:  # fmt: skip
    def known(number: int, one: dataset.Record) -> KnownPicture:
        leaked = frozenset({"leaked"}) if one.id in tested[:1] else frozenset()
        cluster = "shared" if one.id in (*tested[:1], *learnt[:2]) else f"own {number}"
        return KnownPicture(
            "sartaj", one.id, one.digest, 1, "", "00" * 32, f"g{number}", cluster, None, leaked
        )

    learnt, tested = (phantoms.select(split=part).ids for part in ("Training", "Testing"))
    rows = [known(number, one) for number, one in enumerate(phantoms)]
    module = sys.modules["mri_tumor.dataset.known"]
    monkeypatch.setattr(module, "known_pictures", lambda source: rows if source == "sartaj" else [])
    options = ("--protocol", "five", "--known", "--run", tmp_path / "run")
    assert run("evaluate", "small_cnn", folder, *options)[0] == 0
    assert run("evaluate", "small_cnn", folder / "Testing", "--train", folder / "Training", *options)[0] == 0
    together, apart = asked
    assert together.leaked.twin_ids == set(learnt[:2])
    assert apart.twins == {name.removeprefix("Training/") for name in learnt[:2]}
    assert apart.leaked.leaked_ids == {tested[0].removeprefix("Testing/")}
    for one in asked:
        assert all(group.startswith("sartaj g") for group in [*one.train.groups, *one.test.groups])


@pytest.mark.slow
def test_the_five_numbers_of_a_small_network(
    run: Callable[..., tuple], folder: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, card = tmp_path / "numbers.csv", tmp_path / "numbers.json"
    options = ("--protocol", "five", "--run", tmp_path / "run", "--recipe", file, "--size", 32)
    given = ("evaluate", "small_cnn", folder, *options, "--csv", table, "--json", card)
    code, out, error = run(*given)
    assert code == 0
    assert NOTICE in error
    assert out.startswith(f"small_cnn at 32, recipe {RECIPE.digest[:12]}\n")
    protocols = ("official", "twins removed", "grouped 5-fold")
    assert {row["protocol"] for row in rows(table)} == set(protocols)
    assert list(json.loads(card.read_text())["protocols"]) == list(protocols)
    made = {path.name for path in (tmp_path / "run").iterdir() if path.is_dir()}
    assert made == {"official", "twins-removed", *(f"fold-{number}" for number in range(5))}
    official = Classifier.load(tmp_path / "run" / "official")
    assert Recipe.from_dict(official.manifest.sections["recipe"]) == RECIPE

    # What is finished is not done again, and another recipe is another run.
    monkeypatch.setattr(models, "train", None)
    assert run(*given)[:2] == (0, out)
    code, _, error = run(*given, "--seed", 1)
    assert code == 1
    assert "another name, seed" in " ".join(error.split())
