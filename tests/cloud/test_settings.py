import pytest

from mri_tumor import dataset, models
from mri_tumor.cloud.container.settings import Settings, parse, value_of
from mri_tumor.errors import ArgumentError


def test_without_hyperparameters_all_defaults_hold() -> None:
    settings = parse([])
    assert settings == Settings()
    assert settings.recipe() == models.Recipe()


@pytest.mark.parametrize("form", ["json", "python"])
def test_json_and_python_say_the_same(form: str) -> None:
    true, none = {"json": ("true", "null"), "python": ("True", "None")}[form]
    settings = parse(
        [
            "--refit",
            true,
            "--epochs",
            "3",
            "--learning_rate",
            "1e-2",
            "--patience",
            none,
            "--model",
            "mobilenet_v2",
        ]
    )
    assert (settings.refit, settings.model) == (True, "mobilenet_v2")
    assert settings.recipe() == models.Recipe(epochs=3, learning_rate=0.01, patience=None)


def test_names_with_hyphens_and_equals_signs() -> None:
    assert parse(["--batch-size=8", "--seed", "-0"]).recipe() == models.Recipe(batch_size=8, seed=0)


def test_what_the_platform_adds_is_left_out() -> None:
    argv = [
        "--model_dir",
        "s3://bucket/model",
        "--sagemaker_program",
        "x.py",
        "--_tuning_objective_metric",
        "a",
    ]
    assert parse([*argv, "--epochs", "2"]) == Settings(choices={"epochs": 2})


@pytest.mark.parametrize("off", ["false", "False", "null", "None"])
def test_augmentation_can_be_off(off: str) -> None:
    assert parse(["--augment", off]).recipe().augment is None


@pytest.mark.parametrize("on", [[], ["--augment", "true"], ["--augment", '{"brightness": 0.1}']])
def test_augmentation_by_its_fields(on: list[str]) -> None:
    brightness = 0.1 if "brightness" in str(on) else dataset.Augment().brightness
    expected = dataset.Augment(rotation=5, mirror=False, brightness=brightness)
    assert parse([*on, "--rotation", "5", "--mirror", "False"]).recipe().augment == expected


def test_what_is_left_goes_to_the_network() -> None:
    assert parse(["--width", "8", "--dropout", "0.5"]).options == {"width": 8, "dropout": 0.5}


def test_texts_in_quotes_of_the_tuning() -> None:
    assert value_of('"small_cnn"') == value_of("'small_cnn'") == value_of("small_cnn") == "small_cnn"
    assert value_of('"0.5"') == 0.5


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--epochs"], "'--epochs' has no value"),
        (["epochs", "3"], "'epochs' has no --"),
        (["--epochs", "three"], "epochs is 'three'"),
        (["--epochs", "0"], "epochs is 0"),
        (["--learning_rate", "NaN"], "learning_rate is nan"),
        (["--refit", "1"], "refit is 1. Expected: true or false"),
        (["--model", "3"], "model is 3. Expected: a text"),
        (["--weights", "3"], "weights is 3. Expected: a text, or null"),
        (["--augment", "false", "--rotation", "3"], "augment is off, and rotation given"),
        (["--augment", "3"], "augment is 3"),
        (["--rotation", "900"], "rotation is 900"),
    ],
)
def test_errors_name_the_hyperparameter(argv: list[str], reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        parse(argv)


def test_the_known_names_are_listed() -> None:
    with pytest.raises(ArgumentError, match=r"model, weights, preset, refit.*epochs.*rotation"):
        parse(["epochs"])


def test_a_preset_and_changes_of_it() -> None:
    settings = parse(["--preset", "best", "--folds", "3", "--rotation", "5"])
    augment = dataset.Augment(rotation=5)
    assert settings.recipe() == models.Recipe.preset("best", folds=3, augment=augment)
    with pytest.raises(ArgumentError, match=r"quick.*fast, standard, best"):
        parse(["--preset", "quick"])
    with pytest.raises(ArgumentError, match="preset is 3"):
        parse(["--preset", "3"])


def test_several_hosts_share_each_batch() -> None:
    settings = parse(["--batch_size", "32"])
    assert settings.recipe_for(1) == settings.recipe()
    assert settings.recipe_for(4) == settings.recipe().replace(devices="workers")
    with pytest.raises(ArgumentError, match=r"3 hosts.*batch_size is 32.*multiple of 3.*batch_size=33"):
        settings.recipe_for(3)
