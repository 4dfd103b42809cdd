"""Packages: the `model.tar.gz` that an endpoint is made from, here and on SageMaker."""

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri_tumor.cloud.archive import Limits, pack, refused, unpack
from mri_tumor.errors import ArgumentError, PackageError
from mri_tumor.manifest import FILE_NAME, Manifest

if TYPE_CHECKING:
    from mri_tumor.models.classifier import Classifier

logger = logging.getLogger(__name__)

VERSION = "1"
"""The SavedModel's folder: TensorFlow Serving looks for one whose name is a number."""

CLASSIFIER = "classifier"
"""The folder with the classifier as `Classifier.load` takes it."""


def package(classifier: "Classifier | str | Path", archive: str | Path) -> Path:
    """Build the archive that an endpoint takes.

    It holds the SavedModel (`1/`), the handler with what it needs (`code/`), the classifier itself
    (`classifier/`), and made-up pictures with what it says of them (`probe/`).

    Args:
        classifier: a Classifier, or a folder that `Classifier.save` or a training run wrote.
        archive: where the `.tar.gz` goes; it appears whole or not at all.

    Returns:
        The archive's path.

    Raises:
        ArgumentError: `classifier` is neither.
        ManifestMismatch: the folder holds no classifier, or a damaged one.

    >>> package("no_classifier_there", "model.tar.gz")
    Traceback (most recent call last):
        ...
    mri_tumor.errors.ManifestMismatch: ...no_classifier_there...
    """
    with tempfile.TemporaryDirectory(prefix="mri_tumor-package-") as temporary:
        layout(classifier, temporary)
        return pack(temporary, archive)


def layout(classifier: "Classifier | str | Path", directory: str | Path) -> Path:
    """Write what a package holds into a folder; a training job leaves this for the platform to pack.

    Args:
        classifier: a Classifier, or a folder that `Classifier.save` or a training run wrote.
        directory: where; made if need be.

    Raises:
        ArgumentError: `classifier` is neither.
        ManifestMismatch: the folder holds no classifier, or a damaged one.
    """
    from mri_tumor.cloud.probe import write_probe
    from mri_tumor.models.export import write_servable

    directory = Path(directory)
    kept = directory / CLASSIFIER
    loaded = _saved(classifier, kept)
    write_servable(loaded, directory / VERSION)
    code = directory / "code"
    code.mkdir(parents=True, exist_ok=True)
    for source in handler_files():
        shutil.copyfile(source, code / source.name)
    loaded.manifest.save(code)
    write_probe(loaded, directory)
    return directory


def handler_files() -> list[Path]:
    """Return the files that the handler consists of; the container needs nothing else but numpy."""
    room = Path(__file__).parent
    container = room / "container"
    return [
        container / "inference.py",
        container / "bodies.py",
        room.parent / "models" / "prediction.py",
    ]


def validate_package(path: str | Path, *, limits: Limits | None = None) -> Manifest:
    """Check an archive, and that its model says what its classifier said.

    First everything is checked without running anything of it: sizes and names, manifests, signatures, and
    that the model consists of operations that are known to compute only, and not to reach for files, programs
    or the network. Only where all of that holds, TensorFlow runs the model on the pictures of its probe, as
    an endpoint would, and probabilities, novelty, sets and labels are held against those that the classifier
    gave when the package was built. Archives of the first releases have no probe: a log line says so.

    The handler in the archive (`code/`) is neither run nor judged here, and no other code may lie there. On
    SageMaker it runs with the rights of the execution role: deploy what you or people you trust have built.

    Args:
        path: the `.tar.gz`.
        limits: how much it may hold.

    Returns:
        The manifest of the classifier in it.

    Raises:
        PackageError: everything that is wrong with it, and how to mend each.

    >>> validate_package("missing.tar.gz")
    Traceback (most recent call last):
        ...
    mri_tumor.errors.PackageError: missing.tar.gz cannot be unpacked ...
    """
    from mri_tumor.cloud.checks import version_of
    from mri_tumor.cloud.probe import PROBE, check_probe

    with tempfile.TemporaryDirectory(prefix="mri_tumor-validate-") as temporary:
        folder = Path(temporary)
        manifest = unpack_package(path, folder, limits=limits)
        if not (folder / PROBE).is_dir():
            logger.info("%s has no probe: its model was not held against its classifier", path)
        problems = check_probe(folder, version_of(folder), manifest)
        if problems:
            raise refused(path, problems)
        return manifest


def unpack_package(path: str | Path, folder: str | Path, *, limits: Limits | None = None) -> Manifest:
    """Unpack an archive into an empty folder, check all but its answers, and return its manifest."""
    from mri_tumor.cloud.checks import check_layout

    if not isinstance(path, str | Path):
        found = f"the package is a {type(path).__name__}"
        raise ArgumentError(found, "the path of a model.tar.gz", "build one with mri_tumor.cloud.package")
    problems = unpack(path, Path(folder), limits=limits)
    manifest, more = check_layout(Path(folder))
    if problems or more or manifest is None:
        raise refused(path, problems + more)
    return manifest


@contextlib.contextmanager
def archive_of(package: str | Path, *, session: Any = None) -> Iterator[Path]:
    """Yield the path of an archive on this machine; one in S3 is fetched, and goes with the block.

    Args:
        package: a path, or `s3://.../model.tar.gz`.
        session: a `boto3.Session`, for S3.

    Raises:
        ArgumentError: it is neither.
        PackageError: there is no such file.
        CloudError: it cannot be fetched.
    """
    if not isinstance(package, str | Path):
        found = f"the package is a {type(package).__name__}"
        raise ArgumentError(found, "the path of a model.tar.gz", "build one with mri_tumor.cloud.package")
    if str(package).startswith("s3://"):
        from mri_tumor.cloud.aws.objects import fetched

        with fetched(str(package), session=session) as path:
            yield path
        return
    if not Path(package).is_file():
        raise PackageError(
            f"there is no file {package}", "a model.tar.gz", "build one with mri_tumor.cloud.package"
        )
    yield Path(package).resolve()


def classifier_of(path: str | Path, *, session: Any = None) -> "Classifier":
    """Load the classifier that an archive holds.

    Args:
        path: of the archive, or `s3://.../model.tar.gz`.
        session: a `boto3.Session`, for S3.

    Raises:
        PackageError: the archive cannot be used, or holds no classifier.
        CloudError: it cannot be fetched.
    """
    from mri_tumor.models.classifier import Classifier

    with (
        archive_of(path, session=session) as archive,
        tempfile.TemporaryDirectory(prefix="mri_tumor-classifier-") as temporary,
    ):
        unpack_package(archive, temporary)
        kept = Path(temporary) / CLASSIFIER
        if not kept.is_dir():
            raise PackageError(
                f"{path} holds no folder {CLASSIFIER}/",
                "an archive as mri_tumor.cloud.package writes it",
                "deploy it, or build the archive again from the classifier",
            )
        return Classifier.load(kept)


def _saved(classifier: "Classifier | str | Path", folder: Path) -> "Classifier":
    """Put the classifier's own files into `folder`; a saved one is copied, so that its digests stay true."""
    from mri_tumor.models.classifier import Classifier
    from mri_tumor.models.companions import kept_files

    if isinstance(classifier, Classifier):
        classifier.save(folder)
        return classifier
    if not isinstance(classifier, str | Path):
        raise ArgumentError(
            f"the classifier is a {type(classifier).__name__}",
            "a Classifier, or a folder that Classifier.save or a training run wrote",
            "pass one of them",
        )
    source = Path(classifier)
    if (source / CLASSIFIER / FILE_NAME).is_file():  # a run's folder
        source = source / CLASSIFIER
    loaded = Classifier.load(source)
    folder.mkdir(parents=True, exist_ok=True)
    for name in kept_files(loaded.manifest):
        shutil.copyfile(source / name, folder / name)
    return loaded
