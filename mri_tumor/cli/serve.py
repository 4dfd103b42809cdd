"""`mri-tumor serve`: a classifier over HTTP, on this machine."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mri_tumor.cli.models import Engine
from mri_tumor.labels import NOTICE


def serve(
    model: Annotated[
        Path,
        typer.Argument(help="A model.tar.gz, or a folder that Classifier.save or a training run wrote."),
    ],
    host: Annotated[
        str, typer.Option(help="Another address than this machine's own is open to everybody who reaches it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8080,
    queue: Annotated[
        int, typer.Option(min=0, help="Requests that wait at most; more are refused (429).")
    ] = 64,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Requests answered at the same time.", show_default="a core each, at most 4"
        ),
    ] = None,
    engine: Engine = "auto",
) -> None:
    """Serve a classifier over HTTP until Ctrl-C: pictures in, predictions out, as SageMaker does it.

    No encryption and no authentication: for research on this machine, not for the open network.
    """
    from mri_tumor.cloud.serving.gate import Limits
    from mri_tumor.cloud.serving.listener import address_of, bind
    from mri_tumor.cloud.serving.service import Service, end_on_signals

    with bind(host, port) as taken, tempfile.TemporaryDirectory(prefix="mri_tumor-serve-") as folder:
        end_on_signals()
        url = address_of(taken)

        def ready() -> None:
            typer.echo(f"{url}: POST image/jpeg or image/png to {url}/invocations. {NOTICE}")
            typer.echo("Ctrl-C stops it.")

        Service(model, Path(folder), Limits(queue=queue, workers=workers), engine).run(taken, ready)
