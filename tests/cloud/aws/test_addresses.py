"""Addresses in S3: what is read is what is written, and what S3 would refuse is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.errors import ArgumentError

BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True)
LETTERS = st.characters(exclude_categories=["C", "Z"], exclude_characters="/", include_characters=" ")
PARTS = st.text(LETTERS, min_size=1, max_size=12).filter(lambda part: part not in (".", ".."))
KEYS = st.lists(PARTS, max_size=5).map("/".join)


@given(BUCKETS, KEYS, st.sampled_from(["", "/"]))
def test_what_is_written_is_read(bucket: str, key: str, slash: str) -> None:
    address = S3Address(bucket, key)
    assert S3Address.parse(f"{address}{slash}") == address


@given(BUCKETS, KEYS, PARTS)
def test_what_lies_in_a_folder_begins_as_the_folder_says(bucket: str, key: str, name: str) -> None:
    folder = S3Address(bucket, key)
    inner = folder / name
    assert S3Address.parse(inner) == inner
    assert inner.key == folder.inside + name
    assert inner.name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bucket/key",
        "https://bucket/key",
        "S3://bucket/key",
        "s3://",
        "s3:///key",
        "s3://ab/key",
        "s3://Bucket/key",
        "s3://under_score/key",
        "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/a/key",
        "s3://bucket/a//b",
        "s3://bucket/a//",
        "s3://bucket/../b",
        "s3://bucket/./b",
        "s3://bucket/a\nb",
        "s3://bucket/\udc80",
        "s3://bucket/" + "ü" * 513,
        None,
        3,
    ],
)
def test_what_is_no_address(text: object) -> None:
    with pytest.raises(ArgumentError, match="no address in S3"):
        S3Address.parse(text)
