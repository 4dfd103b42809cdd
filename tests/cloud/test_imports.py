import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mri_tumor import cloud
from mri_tumor.cloud.archive import pack
from mri_tumor.cloud.aws.jobs.source import TRAIN
from mri_tumor.cloud.process import ROOT, with_library

HEAVY = ("tensorflow", "keras", "sagemaker", "boto3", "matplotlib", "sklearn", "cv2", "uvicorn", "starlette")


@pytest.mark.parametrize(
    "module",
    [
        "mri_tumor.cloud",
        "mri_tumor.cloud.estimator",
        "mri_tumor.cloud.predictor",
        "mri_tumor.cloud.storage",
        "mri_tumor.cloud.container.inference",
    ],
)
def test_importing_the_client_side_loads_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# What AWS's TensorFlow training image holds, as far as it is known, and what these need.
IMAGE = ("tensorflow", "keras", "numpy", "opencv-python-headless", "pillow", "h5py", "boto3", "sagemaker")
# What a job takes of what the SDK there pulls in by way of mlflow: the measure of novelty needs scikit-learn.
PULLED = ("scikit-learn", "scipy", "matplotlib")
# What comes in the same way, and no job may use. Keras itself needs rich.
UNUSED = ("typer", "starlette", "uvicorn", "mlflow", "mlflow-skinny", "mlflow-tracing")
# A job does without it.
DOUBTFUL = ("matplotlib",)

RUN = """
import importlib.metadata as metadata, re, runpy, sys

roots, refused, script, sys.argv[:] = sys.argv[1].split(), sys.argv[2].split(), sys.argv[3], sys.argv[3:]

def plain(name):
    return re.sub("[-_.]+", "-", name).lower()

def closure(names):
    found, rest = set(), [plain(name) for name in names]
    while rest:
        name = rest.pop()
        if name in found or name in refused:
            continue
        found.add(name)
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        rest += [plain(re.match(r"[\\w.-]+", line)[0]) for line in needed if "extra ==" not in line]
    return found

allowed = closure(roots)
owners = {name: {plain(one) for one in owned} for name, owned in metadata.packages_distributions().items()}

class Image:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in owners and top != "mri_tumor" and not owners[top] & allowed:
            raise ModuleNotFoundError(f"the training image does not hold {top}", name=name)
        return None

sys.meta_path.insert(0, Image())
runpy.run_path(script, run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize("doubtful", [(), DOUBTFUL], ids=["image", "without matplotlib"])
def test_a_whole_job_needs_only_what_the_training_image_holds(
    shards: dict[str, Path], tmp_path: Path, doubtful: tuple[str, ...]
) -> None:
    base = tmp_path / "ml"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SM_")},
        "SM_MODEL_DIR": str(base / "model"),
        "SM_OUTPUT_DATA_DIR": str(base / "output" / "data"),
        "SM_CHANNEL_TRAIN": str(shards["train"]),
        "SM_CHANNEL_VALIDATION": str(shards["validation"]),
    }
    settings = [
        "--model",
        "small_cnn",
        "--width",
        "2",
        "--epochs",
        "1",
        "--batch_size",
        "8",
        "--rotation",
        "10",
    ]
    refused = " ".join((*UNUSED, *doubtful))
    command = [sys.executable, "-c", RUN, " ".join(IMAGE + PULLED), refused, str(ROOT / TRAIN), *settings]
    done = subprocess.run(command, env=with_library(environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    cloud.validate_package(pack(base / "model", tmp_path / "model.tar.gz"))
    kept = {path.name for path in (base / "output" / "data").iterdir()}
    assert {"manifest.json", "history.csv"} <= kept
    assert ("curves.png" in kept) == (not doubtful)


@pytest.mark.parametrize("missing", ["typer", "starlette", "uvicorn", "mlflow", "openvino", "pydicom"])
def test_the_list_of_the_image_is_held(missing: str) -> None:
    script = f"import {missing}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.py"
        path.write_text(script)
        command = [sys.executable, "-c", RUN, " ".join(IMAGE), " ".join(UNUSED), str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
    assert f"does not hold {missing}" in done.stderr
