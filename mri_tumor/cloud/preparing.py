"""Pictures to shards with several machines, or several processes of this one."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.jobs.machines import Machines
from mri_tumor.cloud.aws.terms import GivenTerms, Terms, check_names, refuse_locally
from mri_tumor.cloud.channels import in_s3
from mri_tumor.cloud.instances import LOCAL, check_instance_type
from mri_tumor.cloud.local_preparing import in_processes
from mri_tumor.errors import ArgumentError
from mri_tumor.manifest import Manifest

if TYPE_CHECKING:
    from mri_tumor.dataset.catalog import Catalog
    from mri_tumor.dataset.preprocess import Preprocess
    from mri_tumor.dataset.shards.writing import Compression, Plan

_DAY = 24 * 3600
_LONGEST = 9 * _DAY  # that a Processing job may run


def prepare(
    catalog: "Catalog",
    directory: str | Path,
    *,
    preprocess: "Preprocess | None" = None,
    shards: int | None = None,
    compression: "Compression" = None,
    instance_type: str = LOCAL,
    instance_count: int = 2,
    output: str | None = None,
    max_run: int = _DAY,
    volume_size: int = 30,
    image: str | None = None,
    **terms: Unpack[GivenTerms],
) -> Manifest:
    """Write the shards that `dataset.write_tfrecords` writes, byte for byte, with several machines at a time.

    The work is shared by shards, and what a shard holds does not depend on who writes it. On SageMaker a
    Processing job does it: the pictures are packed, one archive a shard, and put into S3 for the time of the
    job; every instance gets its share of them; and `manifest.json` comes last, so that nobody takes half a
    folder for a whole one. On this machine processes run what the job's containers run, and read the pictures
    where they lie; a call that was killed is taken up again, as `write_tfrecords` says.

    Ctrl-C stops the job. Pictures and notes are removed from S3 when it ends, whatever way it ends; a client
    that is killed leaves them in `.mri-tumor-units/` under `output`. What decodes the pictures there is the
    job's image: other versions of its libraries may decode JPEG otherwise, and the manifest names them.

    Args:
        catalog: the pictures, after their audit: the first one that cannot be read ends the job.
        directory: the folder to make: a path of this machine, where a shard folder that stands there is
            replaced as a whole; on SageMaker `s3://bucket/prefix`, where nothing may lie.
        preprocess: what is done with each picture; `Preprocess()` if None.
        shards: the number of files, chosen as by `write_tfrecords` if None.
        compression: None, or `"gzip"`.
        instance_type: `"local"`, or `"ml.<family>.<size>"`.
        instance_count: how many instances, or processes of this machine; never more than shards.
        output: on SageMaker the `s3://` folder for what the job needs, the library's source among it; the one
            that `directory` lies in if None.
        max_run: seconds that the job may run, a day by default, at most nine.
        volume_size: GB of storage for each instance: for its share of the pictures, the largest archive once
            more, and its shards.
        image: the job's image, AWS's TensorFlow training image by default.
        **terms: on SageMaker `role`, and if need be `subnets`, `security_group_ids`, `kms_key`,
            `network_isolation` (the job reaches for nothing), `tags`, `session`.

    Returns:
        The manifest that was written.

    Raises:
        ArgumentError: an argument is of the wrong kind, or means nothing for the instance type; something
            lies at the address; a picture is DICOM, which AWS's image cannot read.
        CatalogError: the catalog is empty.
        ReadError: a picture cannot be read; names its id.
        ShardError: the job failed for another reason or was stopped, or the folder cannot be written.
        CloudError: AWS refused.
        MissingExtra: SageMaker is asked for and the extra is not installed.

    >>> import tempfile
    >>> from mri_tumor import dataset
    >>> pictures = dataset.make_phantoms(tempfile.mkdtemp(), per_class=5, size=64)
    >>> folder = Path(tempfile.mkdtemp()) / "shards"
    >>> spec = dataset.Preprocess(size=32)
    >>> prepare(pictures, folder, preprocess=spec, shards=2).sections["data"]["count"]
    20
    >>> sorted(path.name for path in folder.iterdir())
    ['manifest.json', 'part-00000-of-00002.tfrecord', 'part-00001-of-00002.tfrecord']
    """
    from mri_tumor.dataset.tfrecord import plan_of, write_plan

    check_names(terms, prepare)
    check_instance_type(instance_type)
    machines = Machines(instance_type, instance_count, volume_size, max_run=max_run, image=image)
    plan = plan_of(catalog, preprocess, shards, compression)
    if instance_type != LOCAL:
        return _remotely(plan, directory, output, machines, Terms.of(terms))
    given = {name: value for name, value in machines.changed.items() if name != "instance_count"}
    refuse_locally(given | ({} if output is None else {"output": output}) | dict(terms))
    if in_s3(directory):
        raise ArgumentError(
            f"directory is {directory!r}, with instance_type='local'",
            "a folder of this machine",
            "prepare here and send it with cloud.upload, or pass instance_type='ml.<family>.<size>'",
        )
    return write_plan(plan, directory, partial(in_processes, processes=instance_count))


def _remotely(
    plan: "Plan", directory: str | Path, output: str | None, machines: Machines, terms: Terms
) -> Manifest:
    from mri_tumor.cloud.aws.jobs.preparation import prepare_remotely

    place = S3Address.parse(directory)
    if not place.key:
        raise ArgumentError(f"directory is {directory!r}", "a folder in the bucket", f"pass '{place}/shards'")
    folder = S3Address(place.bucket, place.key.rpartition("/")[0])
    if output is not None:
        folder = S3Address.parse(output)
    if machines.max_run > _LONGEST:
        raise ArgumentError(
            f"max_run is {machines.max_run}", f"seconds, at most {_LONGEST}", "name more instances"
        )
    return prepare_remotely(plan, place, folder, machines, terms)
