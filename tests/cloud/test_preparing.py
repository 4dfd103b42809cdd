"""Shards written by several processes of this machine, and the job that each of them runs."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mri_tumor import cloud, dataset
from mri_tumor.cloud import process
from mri_tumor.cloud.container.preparing import error_of, main, message_of, run
from mri_tumor.cloud.units import pack_unit, write_card
from mri_tumor.dataset.shards.writing import Compression
from mri_tumor.dataset.tfrecord import plan_of
from mri_tumor.errors import ArgumentError, CatalogError, MriTumorError, ReadError, ShardError

from .conftest import SPEC


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Leave the process's logging as it was: a job sets up its own."""
    root, ours = logging.getLogger(), logging.getLogger("mri_tumor")
    before = root.handlers[:], root.level, ours.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], level, own = before
    root.setLevel(level)
    ours.setLevel(own)


@pytest.fixture
def broken(catalog: dataset.Catalog, tmp_path: Path) -> dataset.Catalog:
    """Return the catalog, with one picture cut off in its middle."""
    record = catalog[13]
    path = tmp_path / "cut.jpg"
    path.write_bytes(record.path.read_bytes()[:400])
    return dataset.Catalog([*catalog[:13], replace(record, path=path), *catalog[14:]])


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[Any]]:
    """Return a list that all child processes come into as they start."""
    started: list[subprocess.Popen[Any]] = []
    start = process.start

    def noted(*arguments: Any, **options: Any) -> subprocess.Popen[Any]:
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(process, "start", noted)
    return started


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("processes", "shards", "compression"),
    [(2, 3, None), pytest.param(3, 2, "gzip", marks=pytest.mark.slow)],
)
def test_the_shards_are_those_of_one_process(
    catalog: dataset.Catalog,
    tmp_path: Path,
    children: list[subprocess.Popen[Any]],
    processes: int,
    shards: int,
    compression: Compression,
) -> None:
    how: dict[str, Any] = {"preprocess": SPEC, "shards": shards, "compression": compression}
    expected = dataset.write_tfrecords(catalog, tmp_path / "expected", **how)
    manifest = cloud.prepare(catalog, tmp_path / "shards", instance_count=processes, **how)
    assert contents(tmp_path / "shards") == contents(tmp_path / "expected")
    assert manifest == expected
    dataset.verify_tfrecords(tmp_path / "shards")
    assert len(children) == 2  # never more than shards
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "shards"]


def test_a_picture_that_cannot_be_read_is_named_and_nothing_is_left(
    broken: dataset.Catalog, tmp_path: Path, children: list[subprocess.Popen[Any]]
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ReadError, match=rf"process 2 failed: picture '{broken.ids[13]}'.*To do: "):
        cloud.prepare(broken, tmp_path / "shards", preprocess=SPEC, shards=4)
    assert sorted(tmp_path.iterdir()) == before
    assert all(child.poll() is not None for child in children)


def test_ctrl_c_ends_all_processes_and_leaves_nothing(
    catalog: dataset.Catalog, tmp_path: Path, children: list[subprocess.Popen[Any]]
) -> None:
    class Interrupt(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "unit 1 of 10" in record.getMessage():
                signal.raise_signal(signal.SIGINT)

    logger = logging.getLogger("mri_tumor.cloud.local_preparing")
    handler = Interrupt()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KeyboardInterrupt):
            cloud.prepare(catalog, tmp_path / "shards", preprocess=SPEC, shards=20)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert len(children) == 2
    assert all(child.poll() is not None for child in children)
    assert not list(tmp_path.iterdir())


SCRIPT = """
import sys
from pathlib import Path
from mri_tumor import cloud, dataset
from mri_tumor.cloud import process

start = process.start
def noted(*arguments, **options):
    child = start(*arguments, **options)
    print(child.pid, flush=True)
    return child
process.start = noted
catalog = dataset.Catalog.from_csv(sys.argv[1])
cloud.prepare(catalog, sys.argv[2], preprocess=dataset.Preprocess(size=32), shards=40)
"""


@pytest.mark.slow
def test_a_call_that_is_killed_takes_its_processes_along_and_is_taken_up_again(
    catalog: dataset.Catalog, tmp_path: Path
) -> None:
    expected = dataset.write_tfrecords(catalog, tmp_path / "expected", preprocess=SPEC, shards=40)
    catalog.to_csv(tmp_path / "catalog.csv")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "catalog.csv"), str(tmp_path / "shards")]
    notes = tmp_path / ".partial-shards" / "notes"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        numbers = [int(caller.stdout.readline()) for _ in range(2)]
        while not (notes.is_dir() and any(notes.iterdir())):
            assert caller.poll() is None
            time.sleep(0.01)
        caller.kill()
    until_gone(numbers)
    assert not (tmp_path / "shards").exists()
    finished = {path.name.removesuffix(".json") for path in notes.glob("part-*.json")}
    kept = {
        path.name: path.stat().st_mtime_ns
        for path in (notes.parent / "new").iterdir()
        if path.name in finished
    }
    again = dataset.Catalog.from_csv(tmp_path / "catalog.csv")
    assert cloud.prepare(again, tmp_path / "shards", preprocess=SPEC, shards=40) == expected
    assert contents(tmp_path / "shards") == contents(tmp_path / "expected")
    assert kept
    assert (
        kept.items()
        <= {path.name: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}.items()
    )


def until_gone(numbers: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(is_running(number) for number in numbers):
        assert time.monotonic() < deadline, "a process outlived its parent"
        time.sleep(0.05)


def is_running(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"volume_size": 50}, "volume_size cannot be honoured"),
        ({"role": "arn:aws:iam::123456789012:role/x"}, "role cannot be honoured"),
        ({"max_run": 60, "image": "x"}, "image, max_run cannot be honoured"),
        ({"instance_count": 0}, "instance_count is 0"),
        ({"instance_type": "m5.large"}, "instance_type is 'm5.large'"),
        ({"directory": "s3://bucket/shards"}, "a folder of this machine"),
        ({"shards": 41}, "shards is 41 for 40 pictures"),
        ({"preprocess": 32}, "preprocess is 32"),
        ({"compression": "zip"}, "compression is 'zip'"),
    ],
)
def test_what_means_nothing_here_is_refused(
    catalog: dataset.Catalog, tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ArgumentError, match=reason):
        cloud.prepare(**{"catalog": catalog, "directory": tmp_path / "shards", **options})
    assert not list(tmp_path.iterdir())


def test_other_things_stay_where_they_are(catalog: dataset.Catalog, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="no shard folder"):
        cloud.prepare(catalog, tmp_path)
    with pytest.raises(CatalogError, match="empty"):
        cloud.prepare(dataset.Catalog([]), tmp_path / "shards")
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_the_job_writes_packed_units_with_the_same_bytes(catalog: dataset.Catalog, tmp_path: Path) -> None:
    dataset.write_tfrecords(catalog, tmp_path / "expected", preprocess=SPEC, shards=3)
    plan = plan_of(catalog, SPEC, 3, None)
    for host in range(2):
        units = tmp_path / f"host-{host}"
        units.mkdir()
        for place in range(3)[host::2]:
            pack_unit(plan.share(place), units)
        run(units, tmp_path / "shards", tmp_path / "notes", threads=2)
        assert all(path.suffix == ".tar" for path in units.iterdir())
    run(tmp_path / "nothing", tmp_path / "shards", tmp_path / "notes")
    expected = contents(tmp_path / "expected")
    assert contents(tmp_path / "shards") == {name: expected[name] for name in expected if name[0] == "p"}
    assert sorted(contents(tmp_path / "notes")) == [f"part-0000{n}-of-00003.tfrecord.json" for n in range(3)]


def arguments(base: Path) -> list[str]:
    places = {name: base / name for name in ("units", "shards", "notes")} | {
        "message": base / "output" / "message"
    }
    return [word for name, place in places.items() for word in (f"--{name}", str(place))]


def test_a_failure_goes_to_the_message_where_there_is_a_place_for_it(
    broken: dataset.Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "units").mkdir()
    write_card(plan_of(broken, SPEC, 4, None).share(1), tmp_path / "units")
    assert main(arguments(tmp_path), {}) == 1
    assert not (tmp_path / "output").exists()
    (tmp_path / "output").mkdir()
    assert main(arguments(tmp_path), {}) == 1
    message = (tmp_path / "output" / "message").read_text(encoding="utf-8")
    assert message.startswith(f"ReadError: picture '{broken.ids[13]}'")
    printed = capsys.readouterr().out
    assert message in printed
    assert "Traceback" not in printed


def test_a_message_is_no_longer_than_what_the_platform_keeps(tmp_path: Path) -> None:
    pictures = dataset.Catalog([dataset.Record("ä" * 900, tmp_path / "gone.jpg", "none")])
    for name in ("units", "output"):
        (tmp_path / name).mkdir()
    write_card(plan_of(pictures, SPEC, 1, None).share(0), tmp_path / "units")
    assert main(arguments(tmp_path), {}) == 1
    message = (tmp_path / "output" / "message").read_bytes()
    assert 990 < len(message) <= 1000
    assert message.decode().startswith("ReadError: picture 'ää")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ReadError("picture 'a': bad", "a picture", "mend it"), ReadError),
        (ShardError("full", "room", "make room"), ShardError),
        (OSError("disk"), ShardError),
    ],
)
def test_the_client_says_what_the_job_said(error: Exception, kind: type[MriTumorError]) -> None:
    found = error_of(message_of(error), "job 1", "see the log")
    assert type(found) is kind
    assert str(found).startswith("job 1 failed: ")
    assert str(found).count("To do: ") == 1
    assert ("see the log" in str(found)) is isinstance(error, OSError)


def test_the_entry_runs_from_the_librarys_archive_with_what_the_image_holds(
    catalog: dataset.Catalog, tmp_path: Path
) -> None:
    """As in a container: nothing of ours is installed, and neither are the extras and the command line's."""
    from mri_tumor.cloud.archive import extract
    from mri_tumor.cloud.aws.jobs.source import pack_source

    source = extract(pack_source(tmp_path / "sourcedir.tar.gz"), tmp_path / "source")
    absent = ("rich", "typer", "starlette", "uvicorn", "pydicom", "nibabel", "sagemaker", "boto3")
    doubtful = ("sklearn", "scipy", "matplotlib", "pandas")  # nobody has looked whether the image holds them
    for name in (*absent, *doubtful):
        (source / f"{name}.py").write_text(f"raise ImportError({name!r})")
    (tmp_path / "units").mkdir()
    pack_unit(plan_of(catalog, SPEC, 4, None).share(0), tmp_path / "units")
    entry = source / "mri_tumor" / "cloud" / "container" / "prepare.py"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, str(entry), *arguments(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "part-00000-of-00004.tfrecord: 10 pictures, unit 1 of 1" in done.stdout
    dataset.write_tfrecords(catalog, tmp_path / "expected", preprocess=SPEC, shards=4)
    name = "part-00000-of-00004.tfrecord"
    assert (tmp_path / "shards" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
    shutil.rmtree(source)
