"""The commands over the cloud API: package and deploy."""

import time
from pathlib import Path
from typing import Annotated

import typer

from mri_tumor import cloud
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
    archive: Annotated[Path, typer.Argument(help="A model.tar.gz.")],
    instance_type: Annotated[str, typer.Option(help="local: this machine.")] = "local",
) -> None:
    """Serve an archive on this machine until Ctrl-C."""
    with cloud.deploy(archive, instance_type=instance_type) as endpoint:
        typer.echo(f"{endpoint.name}: POST image/jpeg or image/png to {endpoint.name}/invocations. {NOTICE}")
        typer.echo("Ctrl-C stops it.")
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            typer.echo("stopped")
