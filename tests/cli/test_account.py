"""The commands over an account: doctor and endpoints."""

import datetime
import json

import pytest
from typer.testing import CliRunner

from mri_tumor import cloud
from mri_tumor.cli import account
from mri_tumor.cli.app import app
from mri_tumor.cloud import Resource
from mri_tumor.errors import ArgumentError

ROLE = "arn:aws:iam::123456789012:role/study"
WHEN = datetime.datetime(2026, 11, 26, 12, 0, tzinfo=datetime.UTC)
FOUND = [
    Resource("endpoint", "mri-tumor-a", "InService", WHEN),
    Resource("endpoint configuration", "mri-tumor-a-1", "", WHEN),
    Resource("model", "mri-tumor-a-1", "", WHEN),
]


@pytest.fixture
def deleted(monkeypatch: pytest.MonkeyPatch) -> list[Resource]:
    """Return what the command deletes of three resources; AWS itself is asked in tests/cloud."""
    gone: list[Resource] = []
    monkeypatch.setattr(cloud, "resources", lambda: FOUND, raising=False)
    monkeypatch.setattr(account, "delete_resource", gone.append)
    return gone


def run(*arguments: str, answer: str | None = None) -> str:
    done = CliRunner().invoke(app, arguments, input=answer)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_endpoints_are_listed(deleted: list[Resource]) -> None:
    shown = run("endpoints")
    assert "mri-tumor-a " in shown
    assert "InService" in shown
    assert "1 of them cost money" in shown
    assert not deleted


def test_one_is_deleted_by_its_name(deleted: list[Resource]) -> None:
    assert "deleted: endpoint mri-tumor-a" in run("endpoints", "--delete", "mri-tumor-a")
    assert deleted == FOUND[:1]
    with pytest.raises(ArgumentError, match="others is none"):
        run("endpoints", "--delete", "others")


def test_all_are_deleted_after_a_question(deleted: list[Resource]) -> None:
    run("endpoints", "--delete-all", answer="n\n")
    assert not deleted
    run("endpoints", "--delete-all", answer="y\n")
    assert deleted == FOUND
    run("endpoints", "--delete-all", "--yes")
    assert deleted == FOUND * 2


def test_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "resources", list, raising=False)
    assert "nothing of this library" in run("endpoints")
    assert "nothing to delete" in run("endpoints", "--delete-all")


def test_the_doctor_shows_the_policy() -> None:
    document = json.loads(run("doctor", "--policy", "--role", ROLE, "--output", "s3://my-bucket/x"))
    assert document == cloud.policy("my-bucket", ROLE)
    with pytest.raises(ArgumentError, match="--role and --output"):
        run("doctor", "--policy")


def test_the_doctor_fails_where_something_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [cloud.Finding("packages", True, "boto3 1"), cloud.Finding("region", False, "none is set")]
    monkeypatch.setattr(cloud, "doctor", lambda role, output: found, raising=False)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "missing  region: none is set" in done.output
