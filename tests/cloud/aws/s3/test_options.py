"""How objects are kept: keys and tags reach S3, and what S3 would refuse is refused first."""

from pathlib import Path

import boto3
import pytest
from s3_servers import KEY, REGION, SECRET, Bucket

from mri_tumor import cloud
from mri_tumor.errors import CloudError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "small").write_bytes(b"small")
    (folder / "large").write_bytes(bytes(17 * 2**20))
    return folder


@pytest.fixture
def key(moto_s3: Bucket) -> dict[str, str]:
    client = boto3.Session(KEY, SECRET, region_name=REGION).client("kms", endpoint_url=moto_s3.url)
    found = client.create_key()["KeyMetadata"]
    alias = f"alias/{moto_s3.name}"
    client.create_alias(AliasName=alias, TargetKeyId=found["KeyId"])
    return {"id": found["KeyId"], "arn": found["Arn"], "alias": alias}


@pytest.mark.parametrize("form", ["id", "arn", "alias"])
def test_the_key_encrypts(
    moto_s3: Bucket, tree: Path, tmp_path: Path, key: dict[str, str], form: str
) -> None:
    cloud.upload(tree, moto_s3.address("x"), kms_key=key[form])
    for name in ("small", "large"):
        head = moto_s3.head(f"x/{name}")
        assert head["ServerSideEncryption"] == "aws:kms"
        assert head["SSEKMSKeyId"].rpartition("/")[2] == key["id"]
    assert len(cloud.upload(tree, moto_s3.address("x"), kms_key=key[form]).there) == 2
    cloud.download(moto_s3.address("x"), tmp_path / "copy")
    assert (tmp_path / "copy" / "small").read_bytes() == b"small"


def test_what_another_key_encrypts_is_sent_again(moto_s3: Bucket, tree: Path, key: dict[str, str]) -> None:
    cloud.upload(tree, moto_s3.address("x"))
    assert len(cloud.upload(tree, moto_s3.address("x"), kms_key=key["alias"]).files) == 2
    assert moto_s3.head("x/small")["ServerSideEncryption"] == "aws:kms"
    # Who names no key is content with any.
    assert len(cloud.upload(tree, moto_s3.address("x")).there) == 2


def test_a_key_that_is_not_there_is_said_before_anything_is_sent(moto_s3: Bucket, tree: Path) -> None:
    with pytest.raises(CloudError, match="looking up the key alias/none") as caught:
        cloud.upload(tree, moto_s3.address("x"), kms_key="alias/none")
    assert caught.value.code == "KMSNotFound"
    assert "kms_key" in caught.value.fix
    assert moto_s3.keys() == []


def test_tags_reach_every_object(moto_s3: Bucket, tree: Path) -> None:
    tags = {"project": "MRI & tumours".replace(" & ", " + "), "Öl": "", "path": "a/b=c:d@e_f-g."}
    cloud.upload(tree, moto_s3.address("x"), tags=tags)
    for name in ("small", "large"):
        answer = moto_s3.client.get_object_tagging(Bucket=moto_s3.name, Key=f"x/{name}")
        assert {tag["Key"]: tag["Value"] for tag in answer["TagSet"]} == tags
