"""`mri-tumor`: the commands and how they fail."""

import sys
from typing import NoReturn

import typer
from rich.console import Console

from mri_tumor import __version__
from mri_tumor.cli import account, cloud, dataset, demo, evaluate, explain, models, serve
from mri_tumor.errors import MriTumorError
from mri_tumor.labels import NOTICE
from mri_tumor.progress import to_console

app = typer.Typer(
    name="mri-tumor",
    help=f"Brain-MRI pictures to a tumour classifier whose reported numbers are true.\n\n{NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(demo.demo)
for command in (
    dataset.download,
    dataset.audit,
    dataset.prepare,
    models.train,
    models.calibrate,
    evaluate.evaluate,
    models.predict,
    explain.explain,
    models.export,
    models.card,
    serve.serve,
    cloud.package,
    cloud.deploy,
    account.endpoints,
    account.doctor,
):
    app.command()(command)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Show the version and leave.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; an error of ours, or of a file's, is one readable message and exit code 1."""
    to_console()
    try:
        app()
    except MriTumorError as error:
        _fail("\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])]))
    except OSError as error:
        if error.strerror is None:
            raise
        _fail(f"{error.filename2 or error.filename or 'a file'}: {error.strerror}")


def _fail(message: str) -> NoReturn:
    # Messages hold paths and brackets: shown as they are, never read as markup.
    Console(stderr=True).print(message, style="red", markup=False)
    sys.exit(1)
