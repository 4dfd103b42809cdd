"""The commands over an AWS account: what is missing, and what is left there."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mri_tumor import cloud
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.inventory import delete as delete_resource
from mri_tumor.errors import ArgumentError, CloudError


def endpoints(
    delete: Annotated[
        list[str] | None, typer.Option(help="Delete the one of this name; may be repeated.")
    ] = None,
    delete_all: Annotated[
        bool, typer.Option("--delete-all", help="Delete everything that is listed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --delete-all.")] = False,
) -> None:
    """List what this library created on SageMaker (endpoints, configurations, models), or delete it."""
    found = cloud.resources()
    if not delete and not delete_all:
        _show(found)
        return
    wanted = found if delete_all else _named(found, delete or [])
    if delete_all and found and not yes:
        _show(found)
        typer.confirm(f"Delete all {len(found)}?", abort=True)
    failed: list[str] = []
    for one in wanted:
        try:
            delete_resource(one)
        except CloudError as error:
            failed.append(f"the {one.kind} {one.name} ({error.found})")
        else:
            typer.echo(f"deleted: {one.kind} {one.name}")
    if failed:
        raise CloudError(
            f"could not be deleted: {'; '.join(failed)}", "nothing that is left", "call it again"
        )
    if not wanted:
        typer.echo("there is nothing to delete")


def doctor(
    role: Annotated[str | None, typer.Option(help="The ARN of the execution role.")] = None,
    output: Annotated[str | None, typer.Option(help="The s3:// folder for jobs and endpoints.")] = None,
    policy: Annotated[
        bool, typer.Option("--policy", help="Show the IAM policy that you need for this role and output.")
    ] = False,
) -> None:
    """Say what is missing for SageMaker: packages, region, credentials, role, bucket. Nothing is created."""
    if policy:
        if role is None or output is None:
            raise ArgumentError("--policy is given", "--role and --output with it", "add them")
        typer.echo(json.dumps(cloud.policy(S3Address.parse(output).bucket, role), indent=2))
        return
    found = cloud.doctor(role, output)
    for finding in found:
        mark = typer.style("ok     ", fg="green") if finding.good else typer.style("missing", fg="red")
        typer.echo(f"{mark}  {finding.what}: {finding.text}")
    if not all(finding.good for finding in found):
        raise typer.Exit(1)


def _show(found: list[cloud.Resource]) -> None:
    if not found:
        typer.echo("nothing of this library is left on SageMaker")
        return
    table = Table("kind", "name", "status", "created", box=None)
    for one in found:
        table.add_row(one.kind, one.name, one.status, f"{one.created:%Y-%m-%d %H:%M %Z}")
    Console(soft_wrap=True).print(table)
    running = sum(one.kind == "endpoint" for one in found)
    if running:
        typer.echo(f"{running} of them cost money: endpoints; mri-tumor endpoints --delete NAME deletes one")


def _named(found: list[cloud.Resource], names: list[str]) -> list[cloud.Resource]:
    unknown = sorted(set(names) - {one.name for one in found})
    if unknown:
        raise ArgumentError(
            f"{unknown[0]} is none that this library created",
            "a name that mri-tumor endpoints lists",
            "check the name and the region",
        )
    return [one for one in found if one.name in names]
