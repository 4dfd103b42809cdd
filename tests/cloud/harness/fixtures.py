"""The fixtures that tests of the cloud room get."""

import functools
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from harness.client import SageMakerServer


@pytest.fixture(scope="session")
def sagemaker_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SageMakerServer]:
    """Return a server that stands for SageMaker, S3 and the rest of AWS."""
    with SageMakerServer(tmp_path_factory.mktemp("sagemaker")) as server:
        yield server


@pytest.fixture
def aws(sagemaker_server: SageMakerServer) -> Iterator[SageMakerServer]:
    """Return the server, with an environment that leads boto3 and the SDK to it and nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        lead_to(sagemaker_server, patch)
        yield sagemaker_server
    sagemaker_server.clear()


def lead_to(server: SageMakerServer, patch: pytest.MonkeyPatch) -> None:
    """Lead boto3 and the SDK to a server, for as long as a patch lasts."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE"):
        patch.delenv(name, raising=False)
    for name, value in server.environment.items():
        patch.setenv(name, value)
    create = botocore.session.Session.create_client

    @functools.wraps(create)
    def create_client(self: Any, *arguments: Any, **options: Any) -> Any:
        # The SDK names the address of STS itself, which no variable can change.
        if "amazonaws.com" in str(options.get("endpoint_url")):
            options["endpoint_url"] = server.url
        return create(self, *arguments, **options)

    patch.setattr(botocore.session.Session, "create_client", create_client)
