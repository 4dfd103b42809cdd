"""`build` needs Keras alone: it runs on JAX, in an environment that TensorFlow was never installed in."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-keras" / "bin" / "python"

# One of each kind: JAX compiles what draws the weights for each shape anew, and the large ones have hundreds.
NAMES = ("small_cnn", "residual_cnn", "squeeze_excite_cnn", "mobilenet_v2", "vgg16")

PROGRAM = """
import importlib.util, json, sys
import numpy as np
from mri_tumor.models import build
models = {name: build(name, size=96) for name in sys.argv[1:]}
shapes = {name: list(model.output.shape) for name, model in models.items()}
answer = models["small_cnn"].predict(np.zeros((2, 96, 96, 1), np.uint8), verbose=0)
import keras
installed = [name for name in ("tensorflow", "torch") if importlib.util.find_spec(name)]
found = {"backend": keras.backend.backend(), "installed": installed, "answer": list(answer.shape)}
print(json.dumps(found | {"shapes": shapes}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.is_file(), reason="make test-all makes the environment without TensorFlow")
def test_networks_are_built_and_answer_on_jax() -> None:
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM, *NAMES], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["backend"] == "jax"
    assert found["installed"] == []
    assert found["shapes"] == {name: [None, 4] for name in NAMES}
    assert found["answer"] == [2, 4]
