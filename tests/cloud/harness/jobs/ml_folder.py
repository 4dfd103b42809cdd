"""The folder that stands for `/opt/ml` of one host of a job."""

import json
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from harness import s3
from harness.jobs.work import JobFailed

OPT_ML = "/opt/ml"
_DRIVERS = "sm_drivers"


def host_names(count: int) -> list[str]:
    """Return the names of a job's hosts.

    SageMaker says algo-1, algo-2, ... and its network knows them. Here several hosts must be told apart and
    must reach each other, so they are addresses of the loopback.

    >>> host_names(1), host_names(2)
    (['algo-1'], ['127.0.0.1', '127.0.0.2'])
    """
    return ["algo-1"] if count == 1 else [f"127.0.0.{number}" for number in range(1, count + 1)]


class MlFolder:
    """One host's folder.

    Args:
        folder: an empty folder.
        host: the host's number, from 0.
        hosts: the names of all.
    """

    def __init__(self, folder: Path, host: int, hosts: list[str]) -> None:
        self.folder, self.host, self.hosts = folder, host, hosts
        for name in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (folder / name).mkdir(parents=True)

    def here(self, text: str) -> str:
        """Return a text in which this folder stands in the place of `/opt/ml`."""
        return text.replace(OPT_ML, str(self.folder))

    def place(self, path: str) -> Path:
        """Return where a path of the container lies here."""
        return Path(self.here(path))

    def write_configuration(self, job: dict[str, Any]) -> None:
        """Write the three files that SageMaker writes for a training job."""
        resources = job["ResourceConfig"]
        kind, group = resources["InstanceType"], "homogeneousCluster"
        self._write(
            "resourceconfig",
            {
                "current_host": self.hosts[self.host],
                "current_instance_type": kind,
                "current_group_name": group,
                "hosts": self.hosts,
                "instance_groups": [
                    {"instance_group_name": group, "instance_type": kind, "hosts": self.hosts}
                ],
                "network_interface_name": "lo",
            },
        )
        self._write("hyperparameters", job.get("HyperParameters", {}))
        mode = job["AlgorithmSpecification"]["TrainingInputMode"]
        channels = {
            channel["ChannelName"]: {
                "TrainingInputMode": channel.get("InputMode", mode),
                "S3DistributionType": _distribution(channel),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            }
            for channel in job.get("InputDataConfig", [])
        }
        self._write("inputdataconfig", channels)

    def fetch_channels(self, client: Any, channels: Iterable[dict[str, Any]]) -> None:
        """Download all channels.

        Raises:
            JobFailed: there is nothing at a channel's address.
        """
        for channel in channels:
            name = channel["ChannelName"]
            folder = self.folder / "input" / "data" / name
            folder.mkdir()
            source = channel["DataSource"]["S3DataSource"]
            sharded = _distribution(channel) == "ShardedByS3Key"
            share = (self.host, len(self.hosts)) if sharded else (0, 1)
            fetch(client, source["S3Uri"], folder, share)
            if name == _DRIVERS:
                adapt(folder, self.folder)

    def _write(self, name: str, card: dict[str, Any]) -> None:
        path = self.folder / "input" / "config" / f"{name}.json"
        path.write_text(json.dumps(card, indent=2), encoding="utf-8")


def adapt(folder: Path, base: Path) -> None:
    """Let scripts that name `/opt/ml` find the folder that stands for it."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".sh", ".py", ".json"):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(OPT_ML, str(base)), encoding="utf-8")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)


def fetch(client: Any, address: str, folder: Path, share: tuple[int, int] = (0, 1)) -> None:
    """Download what lies under an address, or this host's share of it.

    Raises:
        JobFailed: nothing does.
    """
    bucket, prefix = s3.parts_of(address)
    try:
        count = s3.fetch(client, address, folder, host=share[0], hosts=share[1])
    except ClientError as error:
        raise JobFailed(
            "ClientError: Data download failed:Failed to download data. "
            f"{error.response['Error']['Message']} (bucket: {bucket})"
        ) from error
    if count == 0:
        raise JobFailed(
            "ClientError: Data download failed:Failed to download data. No S3 objects found under S3 URL "
            f'"{address}" given in input data source. Please ensure that the bucket "{bucket}" exists, that '
            f'the objects under the prefix "{prefix}" exist, and that the role may list them.'
        )


def _distribution(channel: dict[str, Any]) -> str:
    source = channel["DataSource"]["S3DataSource"]
    return str(source.get("S3DataDistributionType", "FullyReplicated"))
