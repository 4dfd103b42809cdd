"""The commands over the cloud API: package and deploy."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mri_tumor import cloud
from mri_tumor.cloud.instances import LOCAL
from mri_tumor.labels import NOTICE


def package(
    model: Annotated[Path, typer.Argument(help="A folder that Classifier.save or a training run wrote.")],
    archive: Annotated[Path, typer.Argument(help="Where the archive goes.")] = Path("model.tar.gz"),
) -> None:
    """Build the model.tar.gz that an endpoint takes, and check it."""
    cloud.package(model, archive)
    cloud.validate_package(archive)
    typer.echo(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB, valid")


def deploy(
    archive: Annotated[str, typer.Argument(help="A model.tar.gz: a path, or s3://...")],
    instance_type: Annotated[
        str, typer.Option(help="local: this machine; ml.<family>.<size> or serverless: SageMaker.")
    ] = "local",
    role: Annotated[str | None, typer.Option(help="On SageMaker: the ARN of the execution role.")] = None,
    output: Annotated[
        str | None, typer.Option(help="On SageMaker: the s3:// folder for the archive.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="On SageMaker: the endpoint's name.")] = None,
) -> None:
    """Serve an archive: on this machine until Ctrl-C, on SageMaker until it is deleted."""
    given = {"role": role, "output": output, "name": name}
    options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if instance_type == LOCAL:
        with cloud.deploy(archive, instance_type=instance_type, **options) as endpoint:
            _wait(endpoint.name)
        return
    endpoint = cloud.deploy(archive, instance_type=instance_type, **options)
    typer.echo(f"{endpoint.name} is in service. {NOTICE}")
    typer.echo(f"It costs money until it is deleted: mri-tumor endpoints --delete {endpoint.name}")


def _wait(name: str) -> None:
    typer.echo(f"{name}: POST image/jpeg or image/png to {name}/invocations. {NOTICE}")
    typer.echo("Ctrl-C stops it.")
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        typer.echo("stopped")
