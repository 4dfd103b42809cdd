import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_wheel_holds_all_that_the_demo_needs(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    script = (tmp_path / "installed" / "mri_tumor" / "examples" / "full_workflow.py").read_bytes()
    assert script == (ROOT / "examples" / "full_workflow.py").read_bytes()
    assert (tmp_path / "installed" / "mri_tumor" / "py.typed").is_file()
    asked = subprocess.run(
        [sys.executable, "-m", "mri_tumor.cli", "demo", "--help-options"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "--weights" in asked.stdout
