"""AWS's own start-up of training containers runs our entry point: `make contract` makes its environment.

The toolkit and TensorFlow are resolved together there, as in AWS's image: `sagemaker-training`, TensorFlow,
Keras, numpy, OpenCV and what the job's plots and folds need; this library is not installed. It travels as a
tuning job of ours sends it: the archive of the source in the channel `code`.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mri_tumor import cloud
from mri_tumor.cloud.archive import pack
from mri_tumor.cloud.aws.jobs.source import ARCHIVE, TRAIN, pack_source
from mri_tumor.cloud.container.job import METRICS, Places
from mri_tumor.cloud.process import ROOT
from mri_tumor.models import Classifier

BIN = ROOT / ".venv-contract" / "bin"
SETTINGS = {
    "model": "small_cnn",
    "width": "2",
    "epochs": "2",
    "batch_size": "8",
    "dropout": "0.0",
    "seed": "3",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BIN / "train").exists(), reason="make contract installs AWS's toolkit first"),
]


class Container:
    """A folder that stands for `/opt/ml`, and AWS's toolkit that runs on it."""

    def __init__(
        self,
        base: Path,
        shards: Mapping[str, Path],
        hyperparameters: Mapping[str, str],
        hosts: tuple[str, ...] = ("127.0.0.1",),
        current: str = "127.0.0.1",
    ) -> None:
        self.base = base
        for name in ("input/config", "input/data/code", "model", "output/data", "checkpoints"):
            (base / name).mkdir(parents=True)
        for name, folder in shards.items():
            shutil.copytree(folder, base / "input" / "data" / name)
        archive = pack_source(base / "input" / "data" / "code" / ARCHIVE)
        own = {
            "sagemaker_program": TRAIN,
            "sagemaker_submit_directory": str(archive),
            "sagemaker_region": "eu-west-1",
        }
        channel = {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
        cards: dict[str, Any] = {
            "hyperparameters": {**hyperparameters, **own},
            "inputdataconfig": dict.fromkeys([*shards, "code"], channel),
            "resourceconfig": {"current_host": current, "hosts": list(hosts), "network_interface_name": "lo"},
        }
        for name, card in cards.items():
            (base / "input" / "config" / f"{name}.json").write_text(json.dumps(card))
        self.log = base / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(BIN / "train")],
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=base,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        foreign = ("SM_", "AWS_", "PYTHON", "VIRTUAL_ENV", "TF_CONFIG")
        others = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {
            **others,
            # Without the first, it looks for the name algo-1.
            "SM_STUDIO_LOCAL_MODE": "true",
            "SAGEMAKER_BASE_DIR": str(self.base),
            "TRAINING_JOB_NAME": "contract",
            "PATH": f"{BIN}{os.pathsep}{others['PATH']}",
        }

    def ended(self, seconds: float = 240) -> tuple[int, str]:
        """Wait for its end and return its status and its log."""
        try:
            status = self.process.wait(seconds)
        finally:
            # With the script, which the toolkit starts as a process of its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        return status, self.log.read_text(errors="replace")

    def classifier(self) -> Classifier:
        archive = pack(self.base / "model", self.base / "model.tar.gz")
        cloud.validate_package(archive)
        return Classifier.load(self.base / "model" / "classifier")

    def losses(self) -> list[float]:
        lines = (self.base / "output" / "data" / "history.csv").read_text().splitlines()
        column = lines[0].split(",").index("loss")
        return [float(line.split(",")[column]) for line in lines[1:]]


def test_the_toolkit_is_apart_from_this_environment() -> None:
    script = "import sagemaker_training, tensorflow, sys; print(tensorflow.__version__); import mri_tumor"
    done = subprocess.run([str(BIN / "python"), "-c", script], capture_output=True, text=True, cwd="/")
    assert done.stdout.startswith("2.")
    assert "No module named 'mri_tumor'" in done.stderr


@pytest.mark.parametrize(
    ("written", "recipe"),
    [
        # The toolkit reads the JSON and hands it on in a way of its own: nothing, and rotation=5.
        ({"patience": "null", "augment": '{"rotation": 5}'}, {"patience": None, "rotation": 5}),
        (
            {"augment": "False", "model": '"small_cnn"', "_tuning_objective_metric": "best_val_loss"},
            {"augment": None},
        ),
    ],
    ids=["JSON", "tuning"],
)
def test_a_job_ends_well_and_leaves_a_package(
    shards: dict[str, Path], tmp_path: Path, written: dict[str, str], recipe: dict[str, Any]
) -> None:
    container = Container(tmp_path / "ml", shards, {**SETTINGS, **written})
    status, log = container.ended()
    assert status == 0, log[-3000:]
    kept = container.classifier().manifest.sections["recipe"]
    assert kept["epochs"] == 2
    assert recipe.items() <= {**kept, **(kept["augment"] or {})}.items()
    assert len(container.losses()) == 2
    assert not (tmp_path / "ml" / "output" / "failure").exists()
    assert all(name in log for name in METRICS)
    series = "contract" if "_tuning_objective_metric" in written else ""
    assert (tmp_path / "ml" / "checkpoints" / series / "run" / "history.csv").is_file()


def test_a_failing_job_leaves_its_reason(shards: dict[str, Path], tmp_path: Path) -> None:
    container = Container(tmp_path / "ml", shards, {**SETTINGS, "epochs": "many"})
    status, log = container.ended()
    assert status != 0
    assert "epochs is 'many'" in log
    # The toolkit leaves a file that is there as it is; SageMaker shows its beginning as the reason.
    failure = Places.of({"SM_MODEL_DIR": str(tmp_path / "ml" / "model")}).failure.read_text()
    assert failure.startswith("epochs is 'many'")
    assert not list((tmp_path / "ml" / "model").iterdir())


def test_two_hosts_train_one_model(shards: dict[str, Path], tmp_path: Path) -> None:
    settings, hosts = {**SETTINGS, "augment": "false"}, ("127.0.0.1", "127.0.0.2")
    alone = Container(tmp_path / "alone", shards, settings)
    assert alone.ended()[0] == 0
    both = [Container(tmp_path / host, shards, settings, hosts, host) for host in hosts]
    for container in both:
        status, log = container.ended()
        assert status == 0, log[-3000:]
    assert both[0].losses() == pytest.approx(alone.losses(), rel=1e-3)
    assert both[0].classifier().labels == alone.classifier().labels
    # The first host alone writes what SageMaker packs and keeps.
    for place in ("model", "output/data", "checkpoints"):
        assert not list((both[1].base / place).iterdir())
