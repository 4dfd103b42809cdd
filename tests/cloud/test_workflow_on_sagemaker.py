"""The example of the whole story, run as its reader would: against the server that stands for SageMaker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.client import SageMakerServer

from mri_tumor.cloud import process

EXAMPLE = process.ROOT / "examples" / "sagemaker_workflow.py"
SMALL = ["--per-class", "16", "--epochs", "2"]


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *SMALL, "--out", str(folder), *arguments],
        capture_output=True,
        text=True,
        env=process.with_library(os.environ),
        timeout=400,
    )


@pytest.mark.slow
def test_the_example_runs_on_sagemaker_and_leaves_nothing_that_costs(
    aws: SageMakerServer, tmp_path: Path
) -> None:
    place = ["--role", aws.role, "--output", f"s3://{aws.bucket}/example"]
    done = run(*place, "--spot", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "ok       bucket" in done.stdout
    assert "job mri-tumor-" in done.stdout
    assert "endpoint mri-tumor-" in done.stdout
    assert "s3://" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert aws.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert aws.client("sagemaker").list_models()["Models"] == []


@pytest.mark.slow
def test_what_is_missing_is_said_before_anything_is_created(aws: SageMakerServer, tmp_path: Path) -> None:
    mark = aws.mark()
    done = run("--role", aws.role, "--output", "s3://there-is-none/x", folder=tmp_path)
    assert done.returncode == 1
    assert "missing  bucket" in done.stdout
    assert not [call for call in aws.calls(mark) if call[1].startswith(("Create", "Put"))]
    assert run("--role", aws.role, folder=tmp_path).returncode == 2
