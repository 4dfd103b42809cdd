"""Jobs on this machine as processes: followed, stopped, waited for twice, begun anew."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mri_tumor import cloud
from mri_tumor.cloud import channels, local
from mri_tumor.cloud.channels import check_channels
from mri_tumor.cloud.local import LocalJob, read_history
from mri_tumor.errors import ArgumentError, TrainingError

from .s3_servers import Bucket

GOOD = """
import os, pathlib
print("job:  val_loss 0.5")
(pathlib.Path(os.environ["SM_MODEL_DIR"]) / "a").write_text("x")
"""
BAD = "import sys\nsys.exit(1)\n"
CHATTY = """
import os, threading
def watch():
    while os.read(0, 4096):
        pass
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
while True:
    print("x" * 200)
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LocalJob]:
    """Return a function that starts a job, always of the same name, whose script is the given text."""
    entry = tmp_path / "entry.py"
    monkeypatch.setattr(local, "_ENTRY", entry)

    def start(text: str) -> LocalJob:
        entry.write_text(text)
        one = LocalJob(tmp_path / "job")
        one.start({}, {})
        return one

    return start


def in_time(act: Callable[[], object], seconds: float = 20) -> list[object]:
    """Call in a thread that must end; return what came of it, an exception too."""
    found: list[object] = []

    def call() -> None:
        try:
            found.append(act())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"
    return found


def test_a_job_is_waited_for_any_number_of_times(job: Callable[..., LocalJob]) -> None:
    good = job(GOOD)
    for _ in range(3):
        assert in_time(good.wait) == [None]
        assert good.status == "Completed"
    assert good.metrics() == {"val_loss": 0.5}
    bad = job(BAD)
    for _ in range(3):
        (error,) = in_time(bad.wait)
        assert isinstance(error, TrainingError)
        assert "exit status 1" in str(error)
        assert bad.status == "Failed"


def test_a_job_that_nobody_waits_for_is_packed_too(job: Callable[..., LocalJob]) -> None:
    one = job(GOOD)
    deadline = time.monotonic() + 20
    while one.status == "InProgress" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert one.status == "Completed"
    assert one.model_data.is_file()


def test_the_metrics_are_those_of_this_job(job: Callable[..., LocalJob]) -> None:
    in_time(job(GOOD).wait)
    bad = job(BAD)
    in_time(bad.wait)
    assert bad.metrics() == {}
    assert LocalJob(bad.folder.parent / "none").metrics() == {}


def test_whoever_waited_can_start_the_next_one_at_once(job: Callable[..., LocalJob]) -> None:
    for text in (BAD, GOOD) * 8:
        in_time(job(text).wait)


def test_a_job_can_be_stopped_while_it_talks(job: Callable[..., LocalJob]) -> None:
    for _ in range(4):
        one = job(CHATTY)
        time.sleep(0.2)
        one.stop()
        assert one.status == "Stopped"
        (error,) = in_time(lambda one=one: one.wait(logs=False))
        assert "was stopped" in str(error)


def test_after_ctrl_c_a_job_is_stopped(job: Callable[..., LocalJob]) -> None:
    one = job(CHATTY)
    logger = logging.getLogger("mri_tumor.cloud.local")

    def interrupt(record: logging.LogRecord) -> bool:
        raise KeyboardInterrupt

    logger.addFilter(interrupt)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KeyboardInterrupt):
            one.wait()
    finally:
        logger.setLevel(level)
        logger.removeFilter(interrupt)
    assert one.status == "Stopped"
    job(GOOD).wait()


def test_a_model_that_cannot_be_packed_is_an_error(
    job: Callable[..., LocalJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, archive: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local, "pack", full)
    one = job(GOOD)
    (error,) = in_time(one.wait)
    assert isinstance(error, TrainingError)
    assert "cannot be packed" in str(error)
    assert "No space" in str(error)
    assert one.status == "Failed"


def test_the_history_of_a_job_without_one(job: Callable[..., LocalJob]) -> None:
    one = job(BAD)
    in_time(one.wait)
    with pytest.raises(TrainingError, match="job job has left no history"):
        one.history()


def test_the_history_of_folds_names_each(tmp_path: Path) -> None:
    for number in range(11):
        (tmp_path / f"fold-{number}").mkdir()
        rows = "".join(f"{epoch},{number + epoch / 10}\n" for epoch in range(2))
        (tmp_path / f"fold-{number}" / "history.csv").write_text(f"epoch,loss\n{rows}")
    found = read_history(tmp_path / "history.csv")
    assert [row["fold"] for row in found] == [float(number) for number in range(11) for _ in range(2)]
    assert found[-1] == {"fold": 10.0, "epoch": 1.0, "loss": 10.1}


def test_channels_in_s3_are_fetched_for_a_job_here_and_found_again(
    moto_s3: Bucket, shards: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    places = {name: f"s3://{moto_s3.name}/{name}" for name in shards}
    for name, place in places.items():
        cloud.upload(shards[name], place)
    settings = {"model": "small_cnn", "width": 2, "epochs": 1, "batch_size": 8, "augment": False}
    estimator = cloud.Estimator(hyperparameters=settings, output=tmp_path, job_name="one")
    assert estimator.fit(places).status == "Completed"
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="mri_tumor"):
        assert estimator.fit(places).status == "Completed"
    fetched = [line for line in caplog.messages if line.startswith("fetched ")]
    assert len(fetched) == 2
    assert all("fetched 0 files" in line and "2 were there already" in line for line in fetched)


@pytest.mark.parametrize("name", [3, None, "a b", "a" * 65, ""])
def test_a_channels_name_is_named(shards: dict[str, Path], name: object) -> None:
    with pytest.raises(ArgumentError, match="a channel is named"):
        check_channels({**shards, name: shards["train"]})  # type: ignore[dict-item]


def test_the_data_of_a_job_is_known_by_what_is_sent(tmp_path: Path) -> None:
    """Hidden files are not sent, so they make no other data of it."""
    folder = tmp_path / "one"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a").write_text("a")
    before = channels._digest(folder)
    (folder / ".DS_Store").write_text("x")
    shutil.copytree(folder, tmp_path / "two")
    assert channels._digest(folder) == channels._digest(tmp_path / "two") == before
    (folder / "inner" / "a").write_text("b")
    assert channels._digest(folder) != before


@pytest.mark.parametrize("output", ["s3://bucket/x", 3, None])
def test_a_job_here_leaves_nothing_in_s3(output: object) -> None:
    with pytest.raises(ArgumentError, match=r"output is .*a folder of this machine"):
        cloud.Estimator(output=output)  # type: ignore[arg-type]
