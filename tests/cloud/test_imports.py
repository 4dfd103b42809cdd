import subprocess
import sys

import pytest

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


def test_the_job_imports_only_what_the_training_image_holds() -> None:
    script = (
        "import sys\n"
        "for name in ('rich', 'typer', 'starlette', 'uvicorn'):\n"
        "    sys.modules[name] = None\n"
        "import mri_tumor.cloud.container.job, mri_tumor.cloud.package\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
