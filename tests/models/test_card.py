"""The model card says what the manifest and the numbers say, and of the rest that it is unknown."""

import contextlib
import dataclasses
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mri_tumor import dataset
from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.files import digest_of
from mri_tumor.labels import LABELS, NOTICE
from mri_tumor.manifest import Manifest
from mri_tumor.models.builders import build
from mri_tumor.models.calibration import calibrate
from mri_tumor.models.card import model_card
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.companions import identity
from mri_tumor.models.evaluation import Evaluation
from mri_tumor.models.judging.five_numbers import FiveNumbers
from mri_tumor.models.judging.text import with_interval
from mri_tumor.models.novelty import Density
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.seen import Known, Seen
from mri_tumor.models.training import train

Make = Callable[..., Classifier]
SECTIONS = [
    "What it is",
    "What it is for",
    "What it must not be used for",
    "How to use it",
    "What it was trained on",
    "How it was trained",
    "How well it does",
    "How it decides, and its calibration",
    "Limits",
]


def body(card: str) -> str:
    """Return a card without its front matter."""
    return card.split("\n---\n", 1)[1]


def with_sections(classifier: Classifier, **sections: Any) -> Classifier:
    """Return a classifier whose manifest says something else."""
    kept = classifier.manifest.sections | sections
    return Classifier(classifier.model, Manifest("model", kept), density=classifier.density)


@pytest.fixture(scope="module")
def plain(make_classifier: Make) -> Classifier:
    return make_classifier()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dataset.Catalog:
    return dataset.make_phantoms(tmp_path_factory.mktemp("phantoms"), per_class=24, size=64)


@pytest.fixture(scope="module")
def trained(pictures: dataset.Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run with folds and refit."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    learnt, judged = dataset.split(pictures.select(split="Training"), (0.7, 0.3), seed=1)
    network = build("small_cnn", size=32, width=2, frozen=True)
    recipe = Recipe.preset("fast", folds=3, seed=1)
    train(network, learnt, judged, recipe=recipe, run_dir=folder, refit=True)
    return folder


def test_a_card_of_empty_sections_has_every_section_and_says_what_is_unknown(plain: Classifier) -> None:
    card = model_card(plain)
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == SECTIONS
    assert f"> **{NOTICE}**" in card
    assert 'license: "unknown"' in card
    assert "model-index" not in card
    for unknown in (
        "Recipe: not recorded.",
        "Which pictures the network learnt from: not recorded.",
        "How training went: not recorded.",
        "Whether training and validation share pictures: not recorded.",
        "How training and validation pictures were divided: not recorded.",
        "Not measured: this card was made without an evaluation",
        "**Not calibrated.**",
    ):
        assert unknown in card
    assert "| glioma | Glioma | not recorded | not recorded |" in card


def test_an_old_manifest_with_nothing_but_its_data_has_a_card(plain: Classifier) -> None:
    sections = {"data": plain.manifest.sections["data"]}
    old = Classifier(plain.model, Manifest("model", sections, versions={}))
    assert re.findall(r"^## (.*)$", model_card(old), re.MULTILINE) == SECTIONS
    assert "Made with: not recorded." in model_card(old)
    assert "None" not in model_card(old).replace("reason`: None", "")


def test_network_labels_and_preprocessing_are_those_of_the_manifest(plain: Classifier) -> None:
    card, spec = model_card(plain, licence="apache-2.0"), plain.preprocess.to_dict()
    assert f"small\\_cnn (`width` 2), {plain.model.count_params()} parameters" in card
    assert "in this order: glioma, meningioma, none, pituitary." in card
    assert "brought to 32 x 32 pixels" in card
    assert all(f"`{name}` " in card for name in spec)
    assert f"`{plain.preprocess.digest}`" in card
    assert f"`{plain.manifest.digest}`" in card
    assert "drawn at random" in card
    assert "Licence of the weights: apache-2.0." in card


@pytest.mark.parametrize(
    ("leakage", "text"),
    [
        ({}, "share pictures: not recorded"),
        ({"checked": False}, "was **not checked**"),
        ({"checked": True, "shared_pictures": 0, "shared_groups": 0}, "share no picture and no known group"),
        (
            {"allowed": True, "checked": True, "shared_pictures": 3, "shared_groups": 2},
            "**Training and validation share 3 pictures and 2 groups**",
        ),
    ],
)
def test_what_the_leak_check_found_is_said(plain: Classifier, leakage: dict, text: str) -> None:
    assert text in model_card(with_sections(plain, training={"leakage": leakage}))


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (
            {"groups": None},
            ["Groups are not known", "| known groups |  | none |", "of one patient is unknown"],
        ),
        ({"groups": 12}, ["| known groups |  | 12 |", "they need not be patients"]),
        (
            {"division": {"digest": "abc", "by": "image", "seed": 3, "fractions": [0.5]}},
            ["picture by picture"],
        ),
        (
            {"division": {"digest": "abc", "by": "group", "seed": 3, "fractions": [0.5]}},
            ["by group", "`abc`"],
        ),
        ({"division": {"digest": "abc", "by": None}}, ["in a way that is not recorded", "`abc`"]),
        ({"count": 7, "counts": {"none": 5}}, ["| none | No tumour | 5 |", "| all |  | 7 |"]),
    ],
)
def test_what_is_known_of_the_pictures_is_said(plain: Classifier, data: dict, texts: list[str]) -> None:
    card = model_card(with_sections(plain, data=plain.manifest.sections["data"] | data))
    assert all(text in card for text in texts)


def test_a_run_with_folds_and_refit_is_told_network_by_network(trained: Path) -> None:
    classifier = Classifier.load(trained)
    card, section = model_card(classifier), classifier.manifest.sections["training"]
    assert "3 networks were trained" in card
    counts = ", ".join(dict.fromkeys(str(fold["refit"]["count"]) for fold in section["folds"]))
    assert f"each was then trained anew, as it had been selected, on {counts} pictures" in card
    for number, fold in enumerate(section["folds"]):
        strength, tried = fold["best_strength"], fold["epochs_run"]
        accuracy, loss = 100 * fold["best_val_accuracy"], fold["best_val_loss"]
        chosen = f"strength {strength:.6g} of {tried} tried"
        assert f"| fold {number + 1} | the head | {chosen} | {accuracy:.1f} | {loss:.4f} |" in card
        assert f"| fold {number + 1}, refit | the head | as selected | - | - |" in card
    recipe = classifier.manifest.sections["recipe"]
    assert f"Recipe, digest `{digest_of(recipe)}`" in card
    assert all(f"`{name}" in card for name in recipe)
    assert "Hashes of the pictures it was trained on lie beside it" in card


@pytest.mark.parametrize(
    ("training", "rows"),
    [
        # As the first releases wrote it.
        ({"epochs_run": 5, "best_epoch": 1}, ["| the network | the whole network | epoch 2 of 5 | - | - |"]),
        (
            {
                "epochs_run": 5,
                "best_epoch": 1,
                "top_kept": False,
                "phases": {
                    "head": {
                        "epochs_run": 5,
                        "best_epoch": 1,
                        "best_val_accuracy": 0.5,
                        "best_val_loss": 1.0,
                    },
                    "top": {"epochs_run": 2, "best_epoch": 0},
                },
            },
            [
                "| the network | the head | epoch 2 of 5 | 50.0 | 1.0000 |",
                "| the network | top of the backbone, set aside | epoch 1 of 2 | - | - |",
            ],
        ),
    ],
)
def test_phases_are_told(plain: Classifier, training: dict, rows: list[str]) -> None:
    card = model_card(with_sections(plain, training=training))
    assert all(row in card for row in rows)
    assert "It learnt from the training pictures and was selected by the validation pictures." in card


def test_the_calibration_is_told_as_its_report_has_it(trained: Path) -> None:
    found = calibrate(Classifier.load(trained), trained, risk=0.2, folds=3)
    card, section = model_card(found), found.manifest.sections["decision"]
    report = section["calibration"]
    assert f"Temperature: {section['temperature']:.6g};" in card
    assert "risk 0.2 a class" in card
    assert f"Calibrated by {report['n']} pictures of {report['groups']} groups" in card
    assert "each answered by a network that neither learnt from it nor" in card
    for name, share in report["coverage"].items():
        value, low, high = (f"{100 * share[end]:.1f}" for end in ("value", "low", "high"))
        row = f"| coverage, {name}: the set holds the true class | at least 80.0 | {value} ({low}-{high}) |"
        assert row in card
    assert f"| abstained: gave no class |  | {100 * report['abstention']['value']:.1f}" in card
    assert f"called novel | at most 1.0 | {100 * report['false_alarms']['value']:.1f}" in card
    before, after = report["before"], report["after"]
    assert f"| Brier score | {before['brier']:.6g} | {after['brier']:.6g} |" in card
    assert "exchangeable" in card
    assert "rough sieve" in card
    assert "Checked: nothing was trained on them" not in card  # the other networks were


def test_reuse_is_told(plain: Classifier, pictures: dataset.Catalog) -> None:
    selected = Seen.of([Known(pictures.ids[:2], pictures.groups[:2])])
    light = np.random.default_rng(0).integers(0, 256, (80, 32, 32, 1)).astype(np.uint8)
    density = Density.fit(plain.observe(light).features, np.arange(80) % 4)
    knowing = Classifier(plain.model, plain.manifest, selected=selected, density=density)
    found = calibrate(knowing, pictures, risk=0.2, folds=3, allow_reuse=True)
    card = model_card(found)
    groups = found.manifest.sections["decision"]["calibration"]["reuse"]["selected_groups"]
    assert f"**Reuse**: training had selected by 2 of these pictures and {groups} of their groups" in card
    assert "trained on some of them: **not checked**" in card


def test_pictures_that_are_new_to_the_classifier_are_said_to_be(
    plain: Classifier, pictures: dataset.Catalog
) -> None:
    others = Seen.of([Known(("elsewhere.png",), ("elsewhere",))])
    knowing = Classifier(plain.model, plain.manifest, seen=others, selected=others)
    card = model_card(calibrate(knowing, pictures, risk=0.2, folds=3))
    assert "Checked: nothing was trained on them and nothing was selected by them." in card


def test_sets_without_a_report_were_not_measured(make_deciding: Make) -> None:
    card = model_card(make_deciding())
    assert "What this calibration was worth: not measured." in card
    assert "the mean of the picture and its mirror image" in card
    assert "`prediction_set`: the classes that cannot be ruled out" in card
    assert "promised" not in card


def test_the_numbers_are_told_from_objects_and_from_files_alike(
    plain: Classifier, judged: Callable[..., Evaluation], tmp_path: Path
) -> None:
    found = judged()
    five = FiveNumbers("small", {"official": found, "grouped 3-fold": judged(1, leaked=None)})
    files = {"evaluation": tmp_path / "evaluation.json", "five": tmp_path / "five.json"}
    for path, numbers in zip(files.values(), (found, five), strict=True):
        path.write_text(json.dumps(numbers.to_dict()))
    card = model_card(plain, evaluation=found, five=five, name="a | b")
    assert card == model_card(plain, **files, name="a | b")
    accuracy = with_interval(found.clean, "accuracy")
    assert f"| evaluated, clean | 20 | {found.clean.groups} | {accuracy} |" in card
    assert f"| official, clean | 20 | {found.clean.groups} | {accuracy} |" in card
    assert "# a \\| b\n" in card
    assert '- name: "a | b"' in card


def test_the_front_matter_has_the_form_of_hugging_face(
    plain: Classifier, judged: Callable[..., Evaluation]
) -> None:
    yaml = pytest.importorskip("yaml")
    found = judged()
    five = FiveNumbers("small", {"official": found, "grouped 3-fold": judged(1, leaked=None)})
    card = model_card(plain, evaluation=found, five=five, licence="mit", name="tumours: 'a' \"b\" #1")
    fields = next(yaml.safe_load_all(card.split("\n---\n")[0]))
    assert fields["license"] == "mit"
    assert (fields["library_name"], fields["pipeline_tag"]) == ("keras", "image-classification")
    assert fields["metrics"] == ["accuracy", "f1"]
    (entry,) = fields["model-index"]
    assert entry["name"] == "tumours: 'a' \"b\" #1"
    assert [one["dataset"]["config"] for one in entry["results"]] == [
        "evaluation",
        "official",
        "grouped 3-fold",
    ]
    for one in entry["results"]:
        assert {"type", "name", "split"} <= set(one["dataset"])
        assert all({"type", "value"} <= set(metric) for metric in one["metrics"])
    assert entry["results"][0]["metrics"][0]["value"] == pytest.approx(found.clean.accuracy, abs=1e-4)


def test_a_saved_classifier_has_the_same_card(trained: Path, tmp_path: Path) -> None:
    found = calibrate(Classifier.load(trained), trained, risk=0.2, folds=3)
    found.save(tmp_path / "saved")
    assert model_card(Classifier.load(tmp_path / "saved")) == model_card(found)


def test_the_code_in_the_card_runs(
    make_deciding: Make, pictures: dataset.Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_deciding()
    made.save(tmp_path / "saved")
    card = model_card(made)
    (tmp_path / "saved" / "README.md").write_text(card)
    (tmp_path / "saved" / "slice.png").write_bytes(pictures.paths[0].read_bytes())
    monkeypatch.chdir(tmp_path / "saved")
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code.group(1), {})
    assert out.getvalue().startswith("slice.png ")


def test_labels_of_ones_own_are_no_markup(make_classifier: Make) -> None:
    card = model_card(make_classifier(("a|b", "<script>x</script>", "**c**")))
    assert "| a\\|b | a\\|b | not recorded | not recorded |" in card
    assert "<script>" not in body(card)
    assert "\\*\\*c\\*\\*" in body(card)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"licence": "Apache 2.0"}, "licence is 'Apache 2.0'"),
        ({"licence": 3}, "licence is 3"),
        ({"licence": ""}, "licence is ''"),
        ({"name": " "}, "name is ' '"),
        ({"name": 3}, "name is 3"),
        ({"evaluation": 3}, "evaluation is a int"),
        ({"five": {}}, "five is a dict"),
    ],
)
def test_bad_arguments_are_refused(plain: Classifier, arguments: dict, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        model_card(plain, **arguments)


def test_no_classifier_is_refused(plain: Classifier) -> None:
    with pytest.raises(ArgumentError, match="classifier is a Functional"):
        model_card(plain.model)


def test_numbers_of_other_labels_are_refused(
    make_classifier: Make, judged: Callable[..., Evaluation]
) -> None:
    other = make_classifier(LABELS[::-1])
    with pytest.raises(ManifestMismatch, match="the evaluation has the labels glioma, meningioma"):
        model_card(other, evaluation=judged())
    with pytest.raises(ManifestMismatch, match="the five numbers has the labels glioma, meningioma"):
        model_card(other, five=FiveNumbers("", {"official": judged()}))


def test_a_classifier_that_selected_on_the_evaluated_pictures_says_so(
    plain: Classifier, judged: Callable[..., Evaluation]
) -> None:
    from mri_tumor.models.seen import Shared

    found = dataclasses.replace(judged(), selected=Shared(("0.png",), ()))
    assert "Its training was selected by 1 pictures" in model_card(plain, evaluation=found)


def test_an_evaluation_names_its_classifier_and_another_one_is_refused(
    plain: Classifier, judged: Callable[..., Evaluation]
) -> None:
    own = dataclasses.replace(judged(), classifier=identity(plain.manifest))
    assert "name the classifier that was asked" in model_card(plain, evaluation=own)
    strange = dataclasses.replace(own, classifier="0" * 64)
    with pytest.raises(ManifestMismatch, match="evaluation is of the classifier 000000000000"):
        model_card(plain, evaluation=strange)
    assert "nothing in them shows which one" in model_card(plain, evaluation=judged())
