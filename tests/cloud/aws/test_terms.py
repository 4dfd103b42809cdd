"""The terms on which something runs in an account."""

import boto3
import pytest

from mri_tumor.cloud.aws.terms import Terms
from mri_tumor.errors import ArgumentError

ROLE = "arn:aws:iam::123456789012:role/study"


@pytest.mark.parametrize(
    ("instance_type", "takes"),
    [
        ("ml.m5.large", True),
        ("ml.c6i.xlarge", True),
        ("ml.p3.2xlarge", True),
        ("ml.g4dn.xlarge", False),
        ("ml.g5.xlarge", False),
        ("ml.g6e.xlarge", False),
        ("ml.p3dn.24xlarge", False),
        ("ml.p4d.24xlarge", False),
        ("ml.p5.48xlarge", False),
        ("ml.m5d.large", False),
        ("ml.trn1.2xlarge", False),
        ("serverless", False),
    ],
)
def test_disks_of_an_instance_take_no_key(instance_type: str, takes: bool) -> None:
    given = {"role": ROLE, "kms_key": "k", "session": boto3.Session("a", "b", region_name="eu-west-1")}
    terms = Terms.of(given)
    assert terms.volume_key("KmsKeyId", instance_type) == ({"KmsKeyId": "k"} if takes else {})
    assert Terms.of({**given, "kms_key": None}).volume_key("KmsKeyId", instance_type) == {}


def test_no_network_of_ones_own_is_none() -> None:
    given = {"role": ROLE, "session": boto3.Session("a", "b", region_name="eu-west-1")}
    assert Terms.of({**given, "subnets": None, "security_group_ids": None}).vpc == {}
    for wrong in ("subnet-1", 3, [1], [""]):
        with pytest.raises(ArgumentError, match=r"subnets is .*a list of ids"):
            Terms.of({**given, "subnets": wrong, "security_group_ids": ["sg-1"]})
