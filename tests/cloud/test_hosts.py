"""The hosts of a job, as SageMaker's variables name them, and jobs one of whose hosts fails."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mri_tumor import cloud
from mri_tumor.cloud.archive import pack
from mri_tumor.cloud.aws.jobs.source import TRAIN
from mri_tumor.cloud.container.hosts import PORT, WAIT, Hosts
from mri_tumor.cloud.process import ROOT
from mri_tumor.errors import ArgumentError


def test_a_machine_without_variables_is_alone() -> None:
    hosts = Hosts.of({})
    assert (hosts.several, hosts.first, hosts.place) == (False, True, 0)


def test_each_host_knows_its_place_and_the_others() -> None:
    names = ["algo-1", "algo-2", "algo-3"]
    for place, name in enumerate(names):
        hosts = Hosts.of({"SM_HOSTS": json.dumps(names), "SM_CURRENT_HOST": name})
        assert (hosts.several, hosts.first, hosts.place) == (True, place == 0, place)
        config = json.loads(hosts.tf_config)
        assert config["task"] == {"type": "worker", "index": place}
        assert config["cluster"] == {"worker": [f"algo-{one + 1}:{PORT + one}" for one in range(3)]}


def test_a_host_that_is_none_of_them() -> None:
    with pytest.raises(ArgumentError, match=r"SM_CURRENT_HOST is 'algo-9' and SM_HOSTS .*algo-1"):
        Hosts.of({"SM_HOSTS": '["algo-1"]', "SM_CURRENT_HOST": "algo-9"})


# --- jobs on two hosts, which are two processes of this machine ---

NAMES = ("127.0.0.1", "127.0.0.2")
ARGV = ["--width", "2", "--batch_size", "8", "--dropout", "0", "--augment", "false", "--patience", "null"]


class Host:
    """One host's process, on a folder that stands for `/opt/ml`."""

    def __init__(self, base: Path, environ: dict[str, str], arguments: list[str]) -> None:
        self.base, self.log = base, base / "log.txt"
        base.mkdir(exist_ok=True)
        environ = {**os.environ, **environ, "SM_MODEL_DIR": str(base / "model")}
        command = [sys.executable, str(ROOT / TRAIN), *arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

    def end(self, seconds: float = 240) -> int:
        return self.process.wait(seconds)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def reason(self) -> str:
        return (self.base / "output" / "failure").read_text().partition("\n\n")[0]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class TwoHosts:
    """Starts jobs on two hosts, and ends what still runs of them."""

    def __init__(self, folder: Path, shards: dict[str, Path]) -> None:
        self.folder, self.shards, self.stack = folder, shards, ExitStack()

    def start(self, epochs: int, *, wait: int = 240, lacking: str = "") -> list[Host]:
        """Start both; the host named `lacking` gets no validation pictures."""
        workers = [f"{name}:{port}" for name, port in zip(NAMES, ports(), strict=True)]
        hosts = []
        for place, name in enumerate(NAMES):
            config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": place}}
            environ = {
                "SM_HOSTS": json.dumps(NAMES),
                "SM_CURRENT_HOST": name,
                "SM_CHANNEL_TRAIN": str(self.shards["train"]),
                # The job's own ports may be in use, where other tests run beside this one.
                "TF_CONFIG": json.dumps(config),
                WAIT: str(wait),
            }
            if name != lacking:
                environ["SM_CHANNEL_VALIDATION"] = str(self.shards["validation"])
            hosts.append(Host(self.folder / name, environ, [*ARGV, "--epochs", str(epochs)]))
            self.stack.callback(hosts[-1].stop)
        return hosts


def ports() -> list[int]:
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("", 0))
        return [one.getsockname()[1], other.getsockname()[1]]


@pytest.fixture
def two(tmp_path: Path, shards: dict[str, Path]) -> Iterator[TwoHosts]:
    hosts = TwoHosts(tmp_path, shards)
    with hosts.stack:
        yield hosts


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1])
def test_a_host_that_does_not_come_ends_the_other(two: TwoHosts, place: int) -> None:
    hosts = two.start(2, wait=5, lacking=NAMES[place])
    failed, left = hosts[place], hosts[1 - place]
    assert failed.end() == left.end() == 1
    assert failed.reason().startswith("there is no channel 'validation'")
    assert left.reason().startswith(f"host {NAMES[1 - place]} waited 5 s for {NAMES[place]}. Expected: all 2")
    assert not (left.base / "model").exists()


@pytest.mark.slow
def test_a_host_that_is_killed_ends_the_other_and_the_job_can_go_on(two: TwoHosts, tmp_path: Path) -> None:
    first, second = two.start(40)
    deadline = time.monotonic() + 240
    while "epoch 3/40" not in first.said():
        assert time.monotonic() < deadline, first.said()[-2000:] + second.said()[-2000:]
        time.sleep(0.1)
    second.process.send_signal(signal.SIGKILL)
    assert first.end(120) == 1
    assert first.reason().startswith("worker 0 lost another worker")
    assert "the run goes on after its last whole epoch" in first.reason()
    # SageMaker gives all hosts the checkpoints that were kept.
    shutil.copytree(first.base / "checkpoints", second.base / "checkpoints")
    before = sorted(path.name for path in (second.base / "checkpoints").rglob("*"))
    first, second = two.start(40)
    assert (first.end(), second.end()) == (0, 0), first.said()[-2000:] + second.said()[-2000:]
    assert "epoch 1/40" not in first.said()
    assert "epoch 40/40" in first.said()
    # Only the first host writes a model and checkpoints, and says what is kept.
    cloud.validate_package(pack(first.base / "model", tmp_path / "model.tar.gz"))
    assert not (second.base / "model").exists()
    assert sorted(path.name for path in (second.base / "checkpoints").rglob("*")) == before
    assert ("best_val_loss" in first.said(), "best_val_loss" in second.said()) == (True, False)
