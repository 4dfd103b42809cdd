import json
import logging
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mri_tumor import cloud, dataset
from mri_tumor.cloud.aws.names import new_name
from mri_tumor.errors import ArgumentError, TrainingError


def largest_difference(found: list, expected: list) -> float:
    assert [one.id for one in found] == [one.id for one in expected]
    return max(
        abs(one.probabilities[label] - other.probabilities[label])
        for one, other in zip(found, expected, strict=True)
        for label in other.probabilities
    )


def test_a_job_leaves_a_package(estimator: cloud.Estimator) -> None:
    manifest = cloud.validate_package(estimator.model_data)
    assert manifest.sections["recipe"]["epochs"] == 2
    assert manifest.sections["recipe"]["augment"]["rotation"] == 10.0
    assert [row["epoch"] for row in estimator.history] == [0.0, 1.0]
    assert estimator.history[0]["val_loss"] > 0


def test_the_job_has_the_platforms_files(estimator: cloud.Estimator, shards: dict[str, Path]) -> None:
    base = estimator.model_data.parent / "ml"
    config = base / "input" / "config"
    assert json.loads((config / "hyperparameters.json").read_text()) == estimator.hyperparameters
    assert json.loads((config / "inputdataconfig.json").read_text()).keys() == shards.keys()
    assert json.loads((config / "resourceconfig.json").read_text())["hosts"] == ["algo-1"]
    assert (base / "checkpoints" / "run" / "history.csv").is_file()
    assert "epoch 2/2" in (base.parent / "log.txt").read_text()


def test_the_endpoint_says_what_the_classifier_says(
    estimator: cloud.Estimator, endpoint: cloud.Predictor, catalog: dataset.Catalog, shards: dict[str, Path]
) -> None:
    classifier = estimator.classifier()
    assert endpoint.labels == classifier.labels
    assert endpoint.manifest.digest == classifier.manifest.digest
    sources = {
        "catalog": catalog,
        "paths": catalog.paths,
        "dataset": dataset.load(shards["validation"], batch_size=7),
        "shuffled": dataset.load(shards["train"], batch_size=7, shuffle=True, seed=4),
        "shards": shards["validation"],
        "bytes": [Path(path).read_bytes() for path in catalog.paths[:3]],
        "array": dataset.read_image(catalog.paths[0]),
    }
    for name, source in sources.items():
        difference = largest_difference(endpoint.predict(source), classifier.predict(source))
        assert difference <= 1e-5, name


def test_raw_pictures_are_prepared_by_the_endpoint(
    endpoint: cloud.Predictor, catalog: dataset.Catalog
) -> None:
    some = catalog[:6]
    found = endpoint.predict_raw(some)
    # Within 2 grey levels after preprocessing, and what that makes of the probabilities.
    assert largest_difference(found, endpoint.predict(some)) < 0.02
    assert [one.id for one in endpoint.predict_raw(some.paths)] == [str(path) for path in some.paths]
    assert endpoint.predict_raw(Path(some.paths[2]).read_bytes())[0].probabilities == found[2].probabilities


def test_evaluation_takes_the_endpoint_for_a_classifier(
    endpoint: cloud.Predictor, estimator: cloud.Estimator, shards: dict[str, Path]
) -> None:
    from mri_tumor import models

    there = models.evaluate(endpoint, shards["validation"])
    here = models.evaluate(estimator.classifier(), shards["validation"])
    assert there.all.accuracy == here.all.accuracy


class InterruptAt(logging.Handler):
    """Does what Ctrl-C does once the job logs a line that starts so."""

    def __init__(self, start: str) -> None:
        super().__init__()
        self.start = start

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self.start):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
def test_an_interrupted_job_ends_and_goes_on_when_fitted_again(
    shards: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"width": 2, "epochs": 12, "patience": None, "batch_size": 8, "augment": False}
    estimator = cloud.Estimator(hyperparameters=settings, output=tmp_path, job_name="again")
    logger = logging.getLogger("mri_tumor.cloud.local")
    watcher = InterruptAt("epoch 3/12")
    logger.addHandler(watcher)
    try:
        with caplog.at_level(logging.INFO), pytest.raises(KeyboardInterrupt):
            estimator.fit(shards)
    finally:
        logger.removeHandler(watcher)
    history = tmp_path / "again" / "ml" / "checkpoints" / "run" / "history.csv"
    done = len(history.read_text().splitlines()) - 1
    assert 3 <= done < 12
    caplog.clear()
    with caplog.at_level(logging.INFO):
        estimator.fit(shards)
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("epoch ")]
    # The epoch that was logged last may have been interrupted before its checkpoint was whole.
    assert lines[0].startswith((f"epoch {done}/12", f"epoch {done + 1}/12"))
    assert [row["epoch"] for row in estimator.history] == list(range(12))


@pytest.mark.parametrize("kind", ["gpu", "ml.m5", "", None, "serverless"])
def test_jobs_run_on_known_kinds_of_machines(kind: object) -> None:
    with pytest.raises(ArgumentError, match="instance_type is"):
        cloud.Estimator(kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"spot": True},
        {"instance_count": 2},
        {"role": "arn:aws:iam::123456789012:role/r"},
        {"kms_key": "k"},
        {"input_mode": "FastFile"},
        {"max_run": 60},
    ],
)
def test_what_only_sagemaker_honours_is_refused_here(options: dict, archive: Path) -> None:
    with pytest.raises(ArgumentError, match=f"{next(iter(options))} cannot be honoured"):
        cloud.Estimator(**options)
    with pytest.raises(ArgumentError, match="memory_mb, name, output, role cannot be honoured"):
        cloud.deploy(archive, name="a", output="s3://bucket/x", role="r", memory_mb=2048)


def test_a_misspelt_argument_is_named_with_what_was_meant(archive: Path) -> None:
    cases = [
        (cloud.Estimator, {"sopt": True}, "'sopt'.*did you mean 'spot'"),
        (cloud.Estimator, {"instance_typ": "x"}, "did you mean 'instance_type'"),
        (lambda **given: cloud.deploy(archive, **given), {"rol": "x"}, "did you mean 'role'"),
        (lambda **given: cloud.batch_predict(archive, [], **given), {"quite": 1}, "correct the name"),
    ]
    for call, given, reason in cases:
        with pytest.raises(ArgumentError, match=f"there is no argument .*{reason}"):
            call(**given)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"instance_count": 0}, "instance_count is 0"),
        ({"input_mode": "Pipe"}, "'FastFile'"),
        ({"max_wait": 7200}, "spot=True"),
        ({"spot": True, "max_run": 7200, "max_wait": 3600}, "at least max_run"),
        ({"max_run": 29 * 24 * 3600}, "28 days"),
        ({"environment": {"a-b": "1"}}, "environment is"),
        ({"environment": {"A": 1}}, "environment is"),
    ],
)
def test_machines_have_limits(options: dict, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        cloud.Estimator("ml.m5.large", output="s3://bucket/x", **options)


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        ({"model": "it's"}, "no '"),
        ({"note": "x" * 2501}, "2500 characters"),
        ({f"name{number}": 1 for number in range(101)}, "at most 100"),
        ({"a name": 1}, "letters, digits, '.', '_' and '-'"),
        ({"weights": Path("a.h5")}, "passed to fit as channels"),
        ({"rate": float("nan")}, "'rate' is nan"),
        ([1], "no mapping"),
    ],
)
def test_hyperparameters_that_would_not_arrive(hyperparameters: object, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        cloud.Estimator(hyperparameters=hyperparameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a b", "a_b", "-a", "a" * 64, 3])
def test_job_names_of_the_platform(name: object) -> None:
    with pytest.raises(ArgumentError, match="63"):
        cloud.Estimator(job_name=name)  # type: ignore[arg-type]


def test_new_names_differ_and_fit() -> None:
    names = {new_name() for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert cloud.Estimator(job_name=name).job_name == name


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda inputs: inputs.pop("train"), r"\['validation'\]"),
        (lambda inputs: inputs.pop("validation"), r"\['train'\]"),
        (lambda inputs: inputs.update(train="missing"), "'train' is 'missing'"),
        (lambda inputs: inputs.update({"a b": inputs["train"]}), "'a b'"),
        (lambda inputs: inputs.update(train=3), "'train' is '3'"),
    ],
)
def test_channels_are_checked_before_anything_starts(
    shards: dict[str, Path], tmp_path: Path, change: Callable[[dict], None], reason: str
) -> None:
    inputs = dict(shards)
    change(inputs)
    with pytest.raises(ArgumentError, match=reason):
        cloud.Estimator(output=tmp_path).fit(inputs)
    assert not list(tmp_path.iterdir())


def test_before_a_job_has_ended_there_is_nothing_to_deploy() -> None:
    estimator = cloud.Estimator()
    for use in (
        lambda: estimator.model_data,
        estimator.classifier,
        estimator.deploy,
        lambda: estimator.history,
        lambda: estimator.status,
        estimator.wait,
        estimator.stop,
    ):
        with pytest.raises(TrainingError, match="call fit"):
            use()


def test_variables_reach_the_job_and_its_end_can_be_waited_for(
    shards: dict[str, Path], tmp_path: Path
) -> None:
    settings = {"model": "small_cnn", "width": 2, "epochs": 1, "batch_size": 8, "augment": False}
    variables = {"MRI_TUMOR_TEST": "there"}
    estimator = cloud.Estimator(hyperparameters=settings, output=tmp_path, environment=variables)
    estimator.fit(shards, wait=False)
    assert estimator.status == "InProgress"
    environ = Path(f"/proc/{estimator._job._child.pid}/environ")
    if environ.is_file():
        deadline = time.monotonic() + 10
        while not (found := environ.read_bytes()) and time.monotonic() < deadline:
            time.sleep(0.05)  # the system fills it a moment after the start
        assert b"MRI_TUMOR_TEST=there" in found
    estimator.wait()
    assert estimator.status == "Completed"
    assert estimator.model_data.is_file()
    assert estimator.metrics["loss"] == pytest.approx(estimator.history[-1]["loss"], rel=1e-3)


def test_one_job_of_a_name_runs_at_a_time(shards: dict[str, Path], tmp_path: Path) -> None:
    settings = {"epochs": 500, "patience": None}
    first = cloud.Estimator(hyperparameters=settings, output=tmp_path, job_name="twice")
    first.fit(shards, wait=False)
    child = first._job._child
    for other in (first, cloud.Estimator(output=tmp_path, job_name="twice")):
        with pytest.raises(TrainingError, match=r"job twice is running already.*another job_name"):
            other.fit(shards)
    assert child.poll() is None
    first.stop()
    assert first.status == "Stopped"
    settings = {"width": 2, "epochs": 1, "batch_size": 8}
    shutil.rmtree(tmp_path / "twice" / "ml" / "checkpoints")
    second = cloud.Estimator(hyperparameters=settings, output=tmp_path, job_name="twice")
    assert second.fit(shards).status == "Completed"
    assert repr(second) == "Estimator('local', job twice)"


def test_a_stopped_job_leaves_no_model_and_says_so(shards: dict[str, Path], tmp_path: Path) -> None:
    estimator = cloud.Estimator(hyperparameters={"epochs": 500}, output=tmp_path, job_name="long")
    estimator.fit(shards, wait=False)
    estimator.stop()
    assert estimator.status == "Stopped"
    with pytest.raises(TrainingError, match=r"job long was stopped.*same job_name"):
        estimator.wait()
    with pytest.raises(TrainingError, match="has left no model"):
        _ = estimator.model_data


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        ({"epochs": "many"}, "epochs is 'many'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"rotation": 999}, "rotation is 999"),
        ({"preset": "fastest"}, "fastest"),
        ({"refit": "perhaps"}, "refit is 'perhaps'"),
        ({"epocs": 3}, "no option epocs.*did you mean 'epochs'"),
        ({"model": "smal_cnn"}, "there is no network 'smal_cnn'"),
        ({"model": "mobilenet_v2", "width": 8}, "no option width"),
    ],
)
def test_hyperparameters_are_read_before_a_job_starts(
    shards: dict[str, Path], tmp_path: Path, hyperparameters: dict, reason: str
) -> None:
    with pytest.raises(ArgumentError, match=reason):
        cloud.Estimator(hyperparameters=hyperparameters, output=tmp_path).fit(shards)
    assert not list(tmp_path.iterdir())


def test_a_failed_job_says_why(shards: dict[str, Path], tmp_path: Path) -> None:
    estimator = cloud.Estimator(hyperparameters={"width": "many"}, output=tmp_path, job_name="failing")
    with pytest.raises(
        TrainingError, match=r"job failing failed \(its log is .*\): width is 'many'"
    ) as caught:
        estimator.fit(shards, logs=False)
    assert str(tmp_path / "failing" / "log.txt") in str(caught.value)
    assert not (tmp_path / "failing" / "model.tar.gz").exists()
    assert estimator.status == "Failed"
    with pytest.raises(TrainingError, match="has left no model"):
        _ = estimator.model_data
