"""The library as it travels to AWS: what runs there installs nothing."""

import shutil
import tempfile
from pathlib import Path

from mri_tumor.cloud.archive import pack
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.terms import Terms
from mri_tumor.cloud.process import ROOT
from mri_tumor.files import sha256_of

ARCHIVE = "sourcedir.tar.gz"
"""The archive's name, which SageMaker's tools know."""

TRAIN = "mri_tumor/cloud/container/train.py"
"""The entry point of training jobs, inside the archive."""


def pack_source(archive: Path) -> Path:
    """Write the package `mri_tumor` into an archive; the same version gives the same bytes.

    Args:
        archive: where it goes.
    """
    with tempfile.TemporaryDirectory(prefix="mri_tumor-source-") as temporary:
        # The command line and the example need what AWS's images do not hold.
        unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", "cli", "examples")
        shutil.copytree(ROOT / "mri_tumor", Path(temporary) / "mri_tumor", ignore=unwanted)
        return pack(temporary, archive)


def stored_source(folder: S3Address, terms: Terms) -> str:
    """Put the archive into S3, if it is not there, and return its address.

    Args:
        folder: under which it goes, at a place named by its SHA-256.
        terms: key and tags.

    Raises:
        CloudError: AWS refused.
    """
    from mri_tumor.cloud.storage import upload

    with tempfile.TemporaryDirectory(prefix="mri_tumor-source-") as temporary:
        archive = pack_source(Path(temporary) / ARCHIVE)
        place = f"{folder}/code/{sha256_of(archive)[:16]}"
        session = terms.account.session
        upload(archive, place, kms_key=terms.kms_key, tags=dict(terms.tags), session=session)
        return f"{place}/{ARCHIVE}"
