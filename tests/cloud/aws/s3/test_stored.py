"""What S3 knows of an object's content, and what that is worth."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from s3_servers import Bucket

from mri_tumor import cloud
from mri_tumor.cloud.aws.s3.stored import Digest, Stored, looked_at
from mri_tumor.errors import DownloadError

DATA = b"content"
SHA256, MD5 = hashlib.sha256(DATA), hashlib.md5(DATA)
OTHER = hashlib.sha256(b"other").hexdigest()


class Answering:
    """A client whose HEAD gives one answer: no server gives them all."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = {"ContentLength": len(DATA), **answer}

    def head_object(self, **_: Any) -> dict[str, Any]:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "digest"),
    [
        ({}, None),
        ({"Metadata": {"sha256": SHA256.hexdigest()}, "ETag": '"x-3"'}, Digest("sha256", SHA256.hexdigest())),
        ({"Metadata": {"Sha256": SHA256.hexdigest()}}, Digest("sha256", SHA256.hexdigest())),
        ({"Metadata": {"sha256": "mine"}, "ETag": f'"{MD5.hexdigest()}"'}, Digest("md5", MD5.hexdigest())),
        # What S3 computed itself counts more than what somebody wrote down.
        (
            {
                "ChecksumSHA256": base64.b64encode(SHA256.digest()).decode(),
                "ChecksumType": "FULL_OBJECT",
                "Metadata": {"sha256": OTHER},
            },
            Digest("sha256", SHA256.hexdigest()),
        ),
        # Checksums of parts' checksums, and the tags of what is encrypted, are no checksums of the content.
        ({"ChecksumSHA256": base64.b64encode(SHA256.digest()).decode() + "-2"}, None),
        ({"ChecksumSHA256": base64.b64encode(SHA256.digest()).decode(), "ChecksumType": "COMPOSITE"}, None),
        ({"ETag": f'"{MD5.hexdigest()}-2"'}, None),
        ({"ETag": f'"{MD5.hexdigest()}"', "ServerSideEncryption": "AES256"}, Digest("md5", MD5.hexdigest())),
        ({"ETag": f'"{MD5.hexdigest()}"', "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}, None),
        ({"ETag": f'"{MD5.hexdigest()}"', "ServerSideEncryption": "aws:kms:dsse"}, None),
        ({"ETag": f'"{MD5.hexdigest()}"', "SSECustomerAlgorithm": "AES256"}, None),
    ],
)
def test_what_an_answer_tells_of_the_content(
    tmp_path: Path, answer: dict[str, Any], digest: Digest | None
) -> None:
    stored = looked_at(Answering(answer), "bucket", ["key"], 1)["key"]
    assert stored.digest == digest
    path = tmp_path / "file"
    path.write_bytes(DATA)
    assert stored.agrees(path) is (None if digest is None else True)
    path.write_bytes(DATA[::-1])
    assert stored.agrees(path) is (None if digest is None else False)
    path.write_bytes(DATA + b".")
    assert stored.agrees(path) is False


def test_a_checksum_that_is_known_is_not_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    assert Stored("k", len(DATA), Digest("sha256", OTHER)).agrees(path, OTHER)
    assert not Stored("k", len(DATA), Digest("md5", "0")).agrees(path, OTHER)


def test_what_others_put_there_is_known_by_what_s3_knows(rclone: Bucket, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for name in ("a", "b"):
        (tmp_path / "tree" / name).write_bytes(DATA)
    rclone.put("x/a", DATA)
    rclone.put("x/b", DATA, ChecksumAlgorithm="SHA256")
    assert "Metadata" not in rclone.head("x/a") or not rclone.head("x/a")["Metadata"]
    assert cloud.upload(tmp_path / "tree", rclone.address("x")).there == ("a", "b")
    assert cloud.download(rclone.address("x"), tmp_path / "copy").files == ("a", "b")
    assert cloud.download(rclone.address("x"), tmp_path / "copy").there == ("a", "b")


def put_in_parts(bucket: Bucket, key: str, data: bytes) -> None:
    """Put an object as programs do that keep no checksum of all of it."""
    client, place = bucket.client, {"Bucket": bucket.name, "Key": key}
    upload = client.create_multipart_upload(**place)["UploadId"]
    part = client.upload_part(**place, UploadId=upload, PartNumber=1, Body=data)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})


def test_what_cannot_be_compared_is_moved_again(
    moto_s3: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(DATA)
    put_in_parts(moto_s3, "x/a", DATA[::-1])
    cloud.download(moto_s3.address("x"), tmp_path / "copy")
    assert "S3 knows no checksum of 1 of 1 files" in caplog.text
    assert (tmp_path / "copy" / "a").read_bytes() == DATA[::-1]
    assert cloud.upload(tmp_path / "tree", moto_s3.address("x")).files == ("a",)
    assert moto_s3.head("x/a")["Metadata"] == {"sha256": SHA256.hexdigest()}
    assert cloud.upload(tmp_path / "tree", moto_s3.address("x")).there == ("a",)


def test_shards_that_others_put_there_are_held_against_their_manifest(
    moto_s3: Bucket, shards: dict[str, Path], tmp_path: Path
) -> None:
    for path in shards["train"].iterdir():
        put_in_parts(moto_s3, f"x/{path.name}", path.read_bytes())
    cloud.download(moto_s3.address("x"), tmp_path / "copy")
    assert len(cloud.download(moto_s3.address("x"), tmp_path / "copy").there) == 2
    name = "part-00000-of-00001.tfrecord"
    put_in_parts(moto_s3, f"x/{name}", (shards["train"] / name).read_bytes()[::-1])
    with pytest.raises(DownloadError, match=f"{name} came with other content"):
        cloud.download(moto_s3.address("x"), tmp_path / "another")
