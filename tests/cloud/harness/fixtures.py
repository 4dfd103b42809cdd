"""The fixtures that tests of the cloud room get."""

from collections.abc import Iterator

import pytest

from harness.client import SageMakerServer


@pytest.fixture(scope="session")
def sagemaker_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SageMakerServer]:
    """Return a server that stands for SageMaker, S3 and the rest of AWS."""
    with SageMakerServer(tmp_path_factory.mktemp("sagemaker")) as server:
        yield server


@pytest.fixture
def aws(sagemaker_server: SageMakerServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[SageMakerServer]:
    """Return the server, with an environment that leads boto3 and the SDK to it and nowhere else."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in sagemaker_server.environment.items():
        monkeypatch.setenv(name, value)
    yield sagemaker_server
    sagemaker_server.clear()
