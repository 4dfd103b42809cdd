"""Preparing pictures on SageMaker: units up, a Processing job, the manifest last, and nothing left behind."""

import json
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.images import training_image
from mri_tumor.cloud.aws.jobs.machines import Machines
from mri_tumor.cloud.aws.jobs.processing import ProcessingPlan, process
from mri_tumor.cloud.aws.jobs.source import ARCHIVE, stored_source
from mri_tumor.cloud.aws.names import new_name
from mri_tumor.cloud.aws.objects import remove_folder, remove_objects
from mri_tumor.cloud.aws.s3.report import Transfer
from mri_tumor.cloud.aws.s3.shards import ShardSet, check_shards
from mri_tumor.cloud.aws.s3.stored import listed
from mri_tumor.cloud.aws.terms import Terms
from mri_tumor.cloud.storage import download, upload
from mri_tumor.cloud.units import pack_unit
from mri_tumor.dataset.catalog import Record
from mri_tumor.dataset.formats import dicom
from mri_tumor.dataset.formats.nifti_header import is_nifti
from mri_tumor.dataset.shards.writing import Plan, Share, note_path
from mri_tumor.dataset.tables import few
from mri_tumor.dataset.tfrecord import manifest_of
from mri_tumor.errors import ArgumentError, CloudError, ReadError, ShardError
from mri_tumor.manifest import FILE_NAME, Manifest
from mri_tumor.progress import track

logger = logging.getLogger(__name__)

_UNITS = ".mri-tumor-units"
_HEAD = 2**12  # bytes that tell the kind of a file
_SOURCE = "mri-tumor"  # in the versions: the library itself travels with the job


def prepare_remotely(
    plan: Plan, target: S3Address, folder: S3Address, machines: Machines, terms: Terms
) -> Manifest:
    """Write the shards of a plan by a Processing job; errors as in `mri_tumor.cloud.prepare`.

    Args:
        plan: what to write.
        target: the folder for it.
        folder: under which goes what the job needs; not inside `target`.
        machines: what it runs on.
        terms: the terms it runs on.
    """
    name = new_name()
    code, work = folder / "code", folder / _UNITS / name
    _check_apart(target, code, work)
    for record in track(plan.catalog, "checking pictures"):
        _check(record)
    shares = [plan.share(place) for place in range(plan.shards)]
    machines = _as_many(machines, len(shares))
    image = machines.image or training_image(terms.account, machines.instance_type)
    _check_free(target, terms)
    units, notes = work / "units", work / "notes"
    try:
        source = S3Address.parse(stored_source(folder, terms).removesuffix(f"/{ARCHIVE}"))
        _send(shares, units, terms)
        process(ProcessingPlan(name, units, source, target, notes, image, machines, terms))
        manifest = _manifest(plan, _notes(shares, notes, terms), target, terms)
        _put(manifest, target, terms)
    except BaseException as error:
        # Shards without a manifest are no shard folder, but pictures of patients all the same.
        _remove_after(error, f"shards in {target}", partial(_remove_shards, shares, target, terms))
        _remove_after(error, f"pictures in {work}", partial(remove_folder, terms.account, work))
        raise
    remove_folder(terms.account, work)
    return manifest


def _check_apart(target: S3Address, *others: S3Address) -> None:
    """Refuse a folder of shards in which anything else would lie, or that would lie in what is removed."""
    for other in others:
        same = target.bucket == other.bucket
        if same and (other.inside.startswith(target.inside) or target.inside.startswith(other.inside)):
            raise ArgumentError(
                f"{other} and {target}, the folder of the shards, lie in each other",
                "different folders",
                "choose another directory or output",
            )


def _check(record: Record) -> None:
    """Refuse a picture that the job could not read for what it is.

    Raises:
        ArgumentError: it is of a kind that AWS's image has no library for.
        ReadError: its file cannot be opened.
    """
    try:
        with record.path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise ReadError(
            f"picture {record.id!r}: {record.path} cannot be opened ({error.strerror})",
            "a readable file",
            "mend that, or leave the picture out",
        ) from error
    kind = "DICOM" if dicom.matches(head) else "NIfTI" if is_nifti(head) else ""
    if kind:
        raise ArgumentError(
            f"picture {record.id!r} is {kind}, which AWS's image has no library for",
            "JPEG, PNG, TIFF, BMP or MATLAB v7.3 files",
            "write PNG with dataset.read_slices(...).to_png, or prepare with instance_type='local'",
        )


def _as_many(machines: Machines, units: int) -> Machines:
    """Return no more machines than there are units."""
    if units < machines.instance_count:
        logger.info("%d instances of %d are used: one a shard", units, machines.instance_count)
    return replace(machines, instance_count=min(units, machines.instance_count))


def _check_free(target: S3Address, terms: Terms) -> None:
    found = _sizes(target, terms)
    if found:
        raise ArgumentError(
            f"{target} holds {len(found)} objects, such as {min(found)}",
            "an address where nothing lies; nothing is overwritten or deleted",
            "choose another address, or remove what is there first (aws s3 rm --recursive)",
        )


def _send(shares: Sequence[Share], folder: S3Address, terms: Terms) -> None:
    """Send units one after another: no more than one lies in the folder for temporary files."""
    with tempfile.TemporaryDirectory(prefix="mri_tumor-units-") as temporary:
        for number, share in enumerate(shares, 1):
            unit = pack_unit(share, Path(temporary))
            logger.info("unit %d of %d: %s", number, len(shares), _upload(unit, folder, terms).summary())
            unit.unlink()


def _upload(path: Path, folder: S3Address, terms: Terms) -> Transfer:
    session = terms.account.session
    return upload(path, str(folder), kms_key=terms.kms_key, tags=dict(terms.tags), session=session)


def _notes(shares: Sequence[Share], place: S3Address, terms: Terms) -> list[dict[str, Any]]:
    """Return what the hosts noted on each shard, in order.

    Raises:
        ShardError: there is not one note for each shard, or one says something else of it.
    """
    with tempfile.TemporaryDirectory(prefix="mri_tumor-notes-") as temporary:
        folder = Path(temporary) / "notes"
        download(str(place), folder, session=terms.account.session)
        wanted = [note_path(Path(share.name), folder) for share in shares]
        odd = sorted(path.name for path in {*wanted} ^ {*folder.iterdir()})
        if odd:
            raise ShardError(
                f"the job left other notes than one a shard; missing or too many: {few(odd)}",
                f"one for each of {len(shares)} shards",
                "call prepare again",
            )
        found = [json.loads(path.read_bytes()) for path in wanted]
    for share, note in zip(shares, found, strict=True):
        facts = (note["name"], note["first"], note["records"])
        if facts != (share.name, share.first, len(share.pictures)):
            raise ShardError(
                f"the job noted {facts} on {share.name}: name, first index and number of pictures",
                f"{share.first} and {len(share.pictures)}",
                "call prepare again",
            )
    return found


def _manifest(plan: Plan, notes: Sequence[Mapping[str, Any]], target: S3Address, terms: Terms) -> Manifest:
    """Return the manifest that the notes make, once S3 holds the shards that they name.

    Raises:
        ShardError: a shard is missing, too many, or of another size.
    """
    cards = {note["name"]: (note["bytes"], note["sha256"]) for note in notes}
    check_shards(ShardSet("", cards), _sizes(target, terms), {}, str(target), "call prepare again")
    manifest = manifest_of(plan, notes)
    # The libraries are those of the image; ours, which travelled with the job, is not installed there.
    own = {name: version for name, version in manifest.versions.items() if name == _SOURCE}
    return replace(manifest, versions=own | notes[0]["versions"])


def _put(manifest: Manifest, target: S3Address, terms: Terms) -> None:
    """Put the manifest beside the shards, which makes them a shard folder."""
    with tempfile.TemporaryDirectory(prefix="mri_tumor-manifest-") as temporary:
        manifest.save(temporary)
        _upload(Path(temporary) / FILE_NAME, target, terms)


def _remove_shards(shares: Sequence[Share], target: S3Address, terms: Terms) -> None:
    """Remove the shards, unless a manifest is there: that is a shard folder, whoever made it meanwhile."""
    if FILE_NAME not in _sizes(target, terms):
        remove_objects(terms.account, target, [share.name for share in shares])


def _sizes(folder: S3Address, terms: Terms) -> dict[str, int]:
    """Return what lies in a folder: name -> bytes."""
    found = listed(terms.account.client("s3"), folder.bucket, folder.inside)
    return {key.removeprefix(folder.inside): size for key, size in found.items()}


def _remove_after(error: BaseException, what: str, remove: Callable[[], None]) -> None:
    """Remove something; what cannot be removed stands beside the error."""
    try:
        remove()
    except CloudError as left:
        logger.error("%s", left)
        error.add_note(f"There may still be {what}: {left}")
