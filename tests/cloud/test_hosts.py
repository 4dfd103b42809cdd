"""The hosts of a job, as SageMaker's variables name them."""

import json

import pytest

from mri_tumor.cloud.container.hosts import PORT, Hosts
from mri_tumor.errors import ArgumentError


def test_a_machine_without_variables_is_alone() -> None:
    hosts = Hosts.of({})
    assert (hosts.several, hosts.first, hosts.place) == (False, True, 0)


def test_each_host_knows_its_place_and_the_others() -> None:
    names = ["algo-1", "algo-2", "algo-3"]
    for place, name in enumerate(names):
        hosts = Hosts.of({"SM_HOSTS": json.dumps(names), "SM_CURRENT_HOST": name})
        assert (hosts.several, hosts.first, hosts.place) == (True, place == 0, place)
        config = json.loads(hosts.tf_config)
        assert config["task"] == {"type": "worker", "index": place}
        assert config["cluster"] == {"worker": [f"algo-{one + 1}:{PORT + one}" for one in range(3)]}


def test_a_host_that_is_none_of_them() -> None:
    with pytest.raises(ArgumentError, match=r"SM_CURRENT_HOST is 'algo-9' and SM_HOSTS .*algo-1"):
        Hosts.of({"SM_HOSTS": '["algo-1"]', "SM_CURRENT_HOST": "algo-9"})
