"""S3 up and down: what is there is not moved again, and nothing half-moved is taken for whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.s3.report import Transfer
from mri_tumor.errors import ArgumentError


def upload(
    source: str | Path,
    address: str,
    *,
    kms_key: str | None = None,
    tags: Mapping[str, str] | None = None,
    dry_run: bool = False,
    threads: int = 8,
    session: Any = None,
) -> Transfer:
    """Send a folder or a file to S3.

    What is there already, by length and checksum, is not sent again: a call that was interrupted goes on with
    the files that are missing when it is made again. The parts of a large file that a killed call left behind
    are removed then, and that file is sent from its beginning.

    Nothing is overwritten or deleted: other content at the place of a file is an error. So is anything else
    in the place of a folder of shards, because a training job would read it too. Only an object of the right
    length whose content S3 cannot tell, because some other program sent it in parts, is sent anew.

    Shards are compared with their manifest before they are sent and, as S3 has them, after. `manifest.json`
    goes last, so that nobody takes half a folder for a whole one. One call at a time for one address.

    Args:
        source: a folder, whose hidden files are left out, or one file.
        address: `s3://bucket/prefix`, the folder in S3; one file goes into it under its own name. An address
            that ends with the file's name is the object's own.
        kms_key: id, ARN or alias of the KMS key that encrypts the objects; None: as the bucket is set up.
            Objects that are there with another key are sent again.
        tags: of the objects, at most ten; those that are there already keep theirs.
        dry_run: say what would be sent, and send nothing.
        threads: how many requests run at a time, 1 to 32; large files are cut into parts of 16 MiB.
        session: a `boto3.Session`; None: as the environment says.

    Returns:
        What was sent; `summary()` says it in one line.

    Raises:
        ArgumentError: an argument is wrong, or the folder holds links, names that not every system can write,
            or nothing.
        ShardError: shards are not what their manifest says, here or in S3.
        ManifestMismatch: a manifest beside shards cannot be read.
        CloudError: AWS refused or cannot be reached, or S3 has something else there. Call it again when that
            is mended.
        DownloadError: a file or folder of this machine cannot be read.
        MissingExtra: boto3 is not installed.

    >>> upload("shards", "http://bucket/shards")
    Traceback (most recent call last):
    ...
    mri_tumor.errors.ArgumentError: 'http://bucket/shards' is no address in S3. ...
    """
    from mri_tumor.cloud.aws.s3.options import Options
    from mri_tumor.cloud.aws.s3.sending import Upload
    from mri_tumor.cloud.aws.s3.transfer import check_threads

    place, options = S3Address.parse(address), Options(kms_key, {} if tags is None else tags)
    check_threads(threads)
    job = Upload(_path("source", source), place, options, threads)
    return job.run(Account(session), dry_run=dry_run)


def download(
    address: str,
    directory: str | Path,
    *,
    dry_run: bool = False,
    threads: int = 8,
    session: Any = None,
) -> Transfer:
    """Fetch a folder or an object from S3.

    Files come into `.download-<name>` beside their place and are held against their checksums there: those of
    the manifest for shards, those that `upload` and S3 keep for others. The folder appears when all of it is
    right. Called again after an interruption, it goes on with the files that are missing.

    Nothing is overwritten: what stands in the place must be an empty folder, or already the same.

    Args:
        address: `s3://bucket/prefix` of a folder in S3, or `s3://bucket/key` of one object.
        directory: the folder that becomes a copy of the folder in S3; one object goes into it under its name.
        dry_run: say what would be fetched, and fetch nothing.
        threads: how many requests run at a time, 1 to 32; large files are cut into parts of 16 MiB.
        session: a `boto3.Session`; None: as the environment says.

    Returns:
        What was fetched; `summary()` says it in one line.

    Raises:
        ArgumentError: an argument is wrong, or something else is in the place.
        ShardError: S3 has not all the shards that a manifest names, or others too.
        ManifestMismatch: a manifest beside shards cannot be read.
        CloudError: AWS refused or cannot be reached, there is nothing, or an object has a name that cannot be
            written inside one folder (`..`, absolute, Windows' own). Nothing is fetched then.
        DownloadError: a file came with wrong content, or cannot be written, as on a full disk.
        MriTumorError: another process is fetching to the same place.
        MissingExtra: boto3 is not installed.

    >>> download("s3://bucket/../x", "shards")
    Traceback (most recent call last):
    ...
    mri_tumor.errors.ArgumentError: 's3://bucket/../x' is no address in S3. ...
    """
    from mri_tumor.cloud.aws.s3.fetching import Download
    from mri_tumor.cloud.aws.s3.transfer import check_threads

    place = S3Address.parse(address)
    check_threads(threads)
    job = Download(place, _path("directory", directory).absolute(), threads)
    return job.run(Account(session), dry_run=dry_run)


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, str | Path):
        raise ArgumentError(f"{name} is a {type(value).__name__}", "a path", "pass the path of a folder")
    return Path(value)
