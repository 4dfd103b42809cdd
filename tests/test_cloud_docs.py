"""The pages about SageMaker: what they show runs, against the server that stands for AWS."""

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import cv2
import pytest
import typer
from typer.testing import CliRunner

from mri_tumor import LABELS, cloud, dataset, models
from mri_tumor.cli.app import app
from mri_tumor.cloud.aws import policy
from mri_tumor.cloud.aws.endpoints import hosting
from mri_tumor.cloud.aws.jobs import processing, training, transform, tuner
from mri_tumor.cloud.aws.terms import GivenTerms
from mri_tumor.manifest import Manifest

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "tests" / "cloud")]

import policy_page  # noqa: E402
from harness.client import SageMakerServer  # noqa: E402
from harness.fixtures import aws, sagemaker_server  # noqa: E402, F401
from harness.s3 import keys_under  # noqa: E402

PAGES = {
    path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "how_to").glob("cloud_*.md")
}
BUCKET, ROLE = policy_page.BUCKET, policy_page.ROLE


README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[tuple[int, str]]:
    """Return the blocks of a language, each with the line that it begins in."""
    text = README if page == "README" else PAGES[page]
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, one.start()) + 1, one[1]) for one in found]


WITH_CODE = [page for page in PAGES if blocks(page, "python")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the pages take for granted: pictures, shards, a package."""
    folder = tmp_path_factory.mktemp("pages")
    pictures = dataset.make_phantoms(folder / "pictures", per_class=10, seed=0)
    parts = dataset.split(pictures.with_groups(dataset.audit(pictures)).select(split="Training"), (0.7, 0.3))
    spec = dataset.Preprocess(size=32)
    for name, part in zip(("train", "validation"), parts, strict=True):
        dataset.write_tfrecords(part, folder / "shards" / name, preprocess=spec)
    data = {"labels": list(LABELS), "preprocess": spec.to_dict(), "preprocess_digest": spec.digest}
    network = models.build("small_cnn", size=32, width=2)
    cloud.package(models.Classifier(network, Manifest("model", {"data": data})), folder / "model.tar.gz")
    cv2.imwrite(str(folder / "picture.png"), dataset.read_image(pictures.paths[0]))
    return folder


@pytest.fixture
def reader(
    aws: SageMakerServer,  # noqa: F811
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SageMakerServer]:
    """Put a reader before an account that has what the pages name, and expect that nothing is left there."""
    s3, iam, kms = (aws.client(service) for service in ("s3", "iam", "kms"))
    here = {"LocationConstraint": aws.environment["AWS_REGION"]}
    if BUCKET not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=here)
        iam.create_role(RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument="{}")
        kms.create_alias(AliasName="alias/study", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    for name in ("pictures", "shards", "model.tar.gz", "picture.png"):
        (tmp_path / name).symlink_to(files / name)
    monkeypatch.chdir(tmp_path)
    for module in (hosting, processing, training, tuner, transform):
        monkeypatch.setattr(module, "_PAUSE", 0.3)
    yield aws
    assert cloud.resources() == []


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE)
def test_the_python_of_a_page_runs_as_it_stands(page: str, reader: SageMakerServer) -> None:
    names: dict[str, Any] = {"__name__": page}
    for line, code in blocks(page, "python"):
        exec(compile("\n" * line + code, f"docs/how_to/{page}.md", "exec"), names)
    # What it left in S3 is what the page about costs says, and no requests are among it.
    documented = set(re.findall(r"^\| `(\w+)/", PAGES["cloud_cost"], re.MULTILINE)) - {"endpoints", "batches"}
    keys = keys_under(reader.client("s3"), f"s3://{BUCKET}/study")
    assert {key.split("/")[1] for key in keys} <= documented | {"shards"}


def test_pages_show_python_that_runs_and_say_that_nothing_is_a_medical_device() -> None:
    assert set(WITH_CODE) == PAGES.keys() - {"cloud_proof"}
    assert "Research and teaching only" in PAGES["cloud_sagemaker"]
    index = (ROOT / "docs" / "how_to" / "index.md").read_text(encoding="utf-8")
    assert all(f"<{page}>" in index for page in PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_exist(page: str) -> None:
    known: Any = typer.main.get_command(app)
    joined = PAGES[page].replace("\\\n", " ")
    for name, rest in re.findall(r"mri-tumor ([a-z]+)([^\n`#]*)", joined):
        options = {option for one in known.commands[name].params for option in one.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, (name, rest)


def test_the_page_of_permissions_holds_what_the_library_says() -> None:
    page = policy_page.fill(PAGES["cloud_policy"])
    for step, needed in policy.STEPS.items():
        (row,) = re.findall(rf"^\| `{step}` \| (.*) \|$", page, re.MULTILINE)
        assert re.findall(r"`(.*?)`", row) == list(needed)
    documents = [json.loads(one) for one in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert documents[-1] == cloud.policy(BUCKET, ROLE)
    shown = CliRunner().invoke(
        app, ["doctor", "--policy", "--role", ROLE, "--output", f"s3://{BUCKET}/study"]
    )
    assert json.loads(shown.output) == documents[-1]
    with pytest.raises(ValueError, match="1 places"):
        policy_page.fill("<!-- policy: x -->")


def test_errors_name_a_page_that_is_there() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "mri_tumor").rglob("*.py"))
    named = set(re.findall(r"docs/how_to/(cloud_\w+)", code))
    assert "cloud_policy" in named
    assert named <= PAGES.keys()


def test_the_tests_that_the_proof_names_are_there() -> None:
    named = re.findall(r"`(?:tests/)?(?:cloud/)?(test_\w+\.py)`", PAGES["cloud_proof"])
    assert len(named) > 5
    for name in named:
        assert list((ROOT / "tests").rglob(name)), name


def calls(code: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the dotted name and the keywords of each call in a block."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func), {one.arg for one in node.keywords if one.arg}


# What the pages call the objects that calls of ours give back.
KINDS = {
    **dict.fromkeys(("estimator", "again", "best", "there"), cloud.Estimator),
    **dict.fromkeys(("endpoint", "predictor", "asking", "approved"), cloud.Predictor),
}


@pytest.mark.parametrize("page", [*WITH_CODE, "README"])
def test_calls_of_ours_have_names_and_keywords_that_exist(page: str) -> None:
    """A look at every call without running any, so that it takes no time."""
    seen = 0
    for _, code in blocks(page, "python") + (blocks(page, "py") if page == "README" else []):
        for name, keywords in calls(code):
            room, _, rest = name.partition(".")
            place = cloud if room == "cloud" else KINDS.get(room)
            if place is None or not rest.isidentifier():
                continue
            called = getattr(place, rest)
            known = set(inspect.signature(called).parameters) | set(GivenTerms.__annotations__)
            if rest == "deploy" and room != "cloud":
                known |= set(inspect.signature(cloud.deploy).parameters)
            assert keywords <= known, (name, keywords - known)
            seen += 1
    assert seen


@pytest.mark.parametrize("page", ["cloud_operations", "cloud_cost", "cloud_sagemaker"])
def test_calls_of_boto3_are_operations_with_these_parameters(page: str) -> None:
    session = botocore.session.get_session()
    code = "\n".join(one for _, one in blocks(page, "python"))
    named = dict(re.findall(r'^(\w+) = boto3\.client\("([\w-]+)"\)', code, re.MULTILINE))
    inline = re.findall(r'boto3\.client\("([\w-]+)"\)\.(\w+)', code)
    assert named or inline
    for name, keywords in calls(code):
        room, _, method = name.rpartition(".")
        (found,) = re.findall(r"boto3\.client\('([\w-]+)'\)", room) or [named.get(room)]
        if found is None or method in ("get_waiter", "get_paginator"):
            continue
        client = session.create_client(found, region_name="eu-west-1")
        shape = client.meta.service_model.operation_model(
            client.meta.method_to_api_mapping[method]
        ).input_shape
        assert keywords <= set(shape.members), (name, keywords - set(shape.members))
