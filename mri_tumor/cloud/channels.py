"""The channels of a job: folders and files, here or in S3, brought to where the job runs."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri_tumor.cloud.hyperparameters import NAME
from mri_tumor.errors import ArgumentError
from mri_tumor.files import digest_of, sha256_of

if TYPE_CHECKING:
    from mri_tumor.cloud.aws.addresses import S3Address
    from mri_tumor.cloud.aws.terms import Terms

logger = logging.getLogger(__name__)

Inputs = Mapping[str, str | Path]
"""Channel -> a path, or an `s3://` address."""


def check_channels(inputs: Inputs) -> None:
    """Refuse channels that no job could be started with; nothing is asked of AWS.

    Raises:
        ArgumentError: `train` or `validation` is missing, or a path does not exist.
    """
    if not isinstance(inputs, Mapping) or not {"train", "validation"} <= inputs.keys():
        given = sorted(map(str, inputs)) if isinstance(inputs, Mapping) else type(inputs).__name__
        raise ArgumentError(
            f"the inputs are {given}",
            '{"train": folder, "validation": folder}, each a folder of shards',
            "split with dataset.split and write both with dataset.write_tfrecords",
        )
    for name, place in inputs.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ArgumentError(
                f"a channel is named {name!r:.80}", "1 to 64 letters, digits, '.', '_' and '-'", "rename it"
            )
        if not isinstance(place, str | Path) or not (in_s3(place) or Path(place).exists()):
            raise ArgumentError(
                f"channel {name!r} is {str(place)!r}, which does not exist here",
                "an existing folder or file, or an s3:// address",
                "check the path",
            )


def in_s3(place: str | Path) -> bool:
    """Return whether a place is an address in S3.

    >>> in_s3("s3://bucket/train"), in_s3("train")
    (True, False)
    """
    return isinstance(place, str) and place.startswith("s3://")


def local_channels(inputs: Inputs, folder: Path) -> dict[str, Path]:
    """Return channels as paths of this machine; what lies in S3 is fetched into `folder`.

    Raises:
        CloudError: it cannot be fetched.
    """
    return {name: _fetched(name, place, folder) for name, place in inputs.items()}


def _fetched(name: str, place: str | Path, folder: Path) -> Path:
    if not in_s3(place):
        return Path(place)
    from mri_tumor.cloud.storage import download

    # Nothing is overwritten by a download: another address of the same channel has another folder.
    target = folder / f"{name}-{digest_of(str(place))[:8]}"
    logger.info("%s", download(str(place), target).summary())
    return target


def stored_channels(inputs: Inputs, folder: "S3Address", terms: "Terms") -> dict[str, str]:
    """Return channels as addresses in S3; what lies on this machine is put there.

    Equal content shares a place, so that data is sent once for all the jobs that it is used in.

    Args:
        inputs: the channels.
        folder: under which they go.
        terms: key and tags.

    Raises:
        CloudError: AWS refused.
    """
    return {
        name: str(place) if in_s3(place) else _stored(Path(place), folder, terms)
        for name, place in inputs.items()
    }


def _stored(path: Path, folder: "S3Address", terms: "Terms") -> str:
    from mri_tumor.cloud.storage import upload

    place = f"{folder}/data/{_digest(path)[:16]}"
    options: dict[str, Any] = {"kms_key": terms.kms_key, "tags": dict(terms.tags)}
    logger.info("%s", upload(path, place, session=terms.account.session, **options).summary())
    return place


def _digest(path: Path) -> str:
    """Return a digest of what is sent: names and contents of a folder's files, or of the one file."""
    from mri_tumor.cloud.aws.s3.local_files import files_of

    # Not the folder's own name: a copy of it under another one is the same data.
    return digest_of({file.name: sha256_of(file.path) for file in files_of(path)})
