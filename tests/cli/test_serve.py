"""`mri-tumor serve` as a process of its own: what it says, answers, and how it ends."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from mri_tumor import LABELS, cloud, dataset, models
from mri_tumor.cloud.process import with_library
from mri_tumor.cloud.serving.listener import bind, listen
from mri_tumor.labels import NOTICE
from mri_tumor.manifest import Manifest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

Start = Callable[..., subprocess.Popen]


@pytest.fixture(scope="module")
def classifier() -> models.Classifier:
    keras.utils.set_random_seed(0)
    spec = dataset.Preprocess(size=32)
    data = {"labels": list(LABELS), "preprocess": spec.to_dict(), "preprocess_digest": spec.digest}
    return models.Classifier(models.build("small_cnn", size=32, width=2), Manifest("model", {"data": data}))


@pytest.fixture(scope="module")
def sources(classifier: models.Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the three kinds of model that can be served."""
    root = tmp_path_factory.mktemp("models")
    classifier.save(root / "saved")
    # Saved twice it would be two files: Keras dates them.
    shutil.copytree(root / "saved", root / "run" / "classifier")
    cloud.package(root / "saved", root / "model.tar.gz")
    return root


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Return the folder where the server's temporary folders lie."""
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.fixture
def start(temporary: Path) -> Iterator[Start]:
    started = []

    def serve(*arguments: object) -> subprocess.Popen:
        command = [sys.executable, "-m", "mri_tumor.cli", "serve", *map(str, arguments)]
        environment = with_library(os.environ) | {"TMPDIR": str(temporary)}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment))
        return started[-1]

    yield serve
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("model", "sign"),
    [
        ("model.tar.gz", signal.SIGINT),
        pytest.param("saved", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("run", signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_it_answers_until_it_is_told_to_stop(
    start: Start, sources: Path, temporary: Path, classifier: models.Classifier, model: str, sign: int
) -> None:
    process = start(sources / model, "--port", 0)
    line = process.stdout.readline()
    assert NOTICE in line
    assert process.stdout.readline() == "Ctrl-C stops it.\n"
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1), np.uint8)
    with cloud.Predictor(line.split(": ")[0]) as predictor:
        assert predictor.manifest.digest == classifier.manifest.digest
        found = predictor.predict(pictures)
    for one, other in zip(found, classifier.predict(pictures), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    process.send_signal(sign)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in error
    assert not any(temporary.glob("mri_tumor-*"))


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_while_it_loads_it_leaves_nothing(
    start: Start, sources: Path, temporary: Path, sign: int
) -> None:
    process = start(sources / "model.tar.gz", "--port", 0)
    while process.poll() is None and not any(temporary.glob("mri_tumor-serve-*/package")):
        pass
    process.send_signal(sign)
    out, error = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in error
    assert not any(temporary.glob("mri_tumor-*"))


@pytest.fixture
def _signals_as_before() -> Iterator[None]:
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.usefixtures("_signals_as_before")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--port", "TAKEN"), "EndpointError: port TAKEN of 127.0.0.1 cannot be taken"),
        (("--host", "no.such.host.invalid"), "ArgumentError: the host 'no.such.host.invalid' is not known"),
        (("--port", "0"), "nowhere cannot be unpacked (No such file or directory)"),
    ],
)
def test_what_cannot_be_served_is_one_message(run: Callable[..., tuple], options: tuple, text: str) -> None:
    with bind() as taken:
        listen(taken)
        port = str(taken.getsockname()[1])
        code, out, error = run("serve", "nowhere", *(one.replace("TAKEN", port) for one in options))
    assert (code, out) == (1, "")
    assert text.replace("TAKEN", port) in " ".join(error.split())
    assert "To do:" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("options", [("--port", 65536), ("--queue", -1), ("--workers", 0)])
def test_mistyped_options_have_exit_code_2(run: Callable[..., tuple], options: tuple) -> None:
    assert run("serve", "model.tar.gz", *options)[0] == 2
