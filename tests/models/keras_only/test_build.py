"""`build` needs Keras alone: it runs on JAX, in an environment that TensorFlow was never installed in."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from mri_tumor.models import available

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-keras" / "bin" / "python"

PROGRAM = """
import importlib.util, json, sys
import numpy as np
from mri_tumor.models import build
models = {name: build(name, size=96) for name in sys.argv[1:]}
shapes = {name: list(model.output.shape) for name, model in models.items()}
pictures = np.zeros((2, 96, 96, 1), np.uint8)
answers = {name: list(models[name].predict(pictures, verbose=0).shape) for name in ("small_cnn", "vgg16")}
import keras
installed = [name for name in ("tensorflow", "torch") if importlib.util.find_spec(name)]
print(json.dumps({"backend": keras.backend.backend(), "installed": installed, "shapes": shapes, "answers": answers}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.is_file(), reason="make test-all makes the environment without TensorFlow")
def test_every_network_is_built_on_jax() -> None:
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM, *available()], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["backend"] == "jax"
    assert found["installed"] == []
    assert found["shapes"] == {name: [None, 4] for name in available()}
    assert found["answers"] == {"small_cnn": [2, 4], "vgg16": [2, 4]}
