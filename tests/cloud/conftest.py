"""What the cloud room's tests share: tiny shards, and one job and one endpoint, whose starts cost seconds."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from mri_tumor import LABELS, cloud, dataset, models
from mri_tumor.cloud.archive import extract, pack
from mri_tumor.manifest import Manifest

# The harness is a package of this folder, which its server's process must be able to import too.
sys.path.insert(0, str(Path(__file__).parent))

from harness.fixtures import aws, sagemaker_server  # noqa: F401
from s3_servers import moto_s3, moto_url, proxy, rclone, rclone_server  # noqa: F401

SIZE = 32
SPEC = dataset.Preprocess(size=SIZE)


def picture(seed: int, size: tuple[int, int] = (60, 50)) -> np.ndarray:
    """Return a uint8 picture (height, width): a textured ellipse on black, another for each seed."""
    rng = np.random.default_rng(seed)
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    radius = rng.uniform(0.6, 0.9)
    inside = ((rows / height - 0.5) ** 2 + (columns / width - 0.5) ** 2) * 4 < radius**2
    texture = cv2.GaussianBlur(rng.normal(0, 120, size).astype(np.float32), (0, 0), 3) + rng.uniform(90, 200)
    return np.where(inside, np.clip(texture, 1, 255), 0).astype(np.uint8)


def encoded(seed: int, suffix: str = ".jpg", size: tuple[int, int] = (60, 50)) -> bytes:
    return cv2.imencode(suffix, picture(seed, size))[1].tobytes()


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dataset.Catalog:
    """Return 40 pictures, ten a class, each of a group of its own."""
    root = tmp_path_factory.mktemp("pictures")
    for number, label in enumerate(LABELS):
        (root / label).mkdir()
        for index in range(10):
            (root / label / f"{index:02d}.jpg").write_bytes(encoded(100 * number + index))
    return dataset.scan(root, groups=lambda name: name)


@pytest.fixture(scope="session")
def shards(catalog: dataset.Catalog, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders of shards of two parts of the catalog."""
    root = tmp_path_factory.mktemp("shards")
    parts = dict(zip(("train", "validation"), dataset.split(catalog, (0.6, 0.4)), strict=True))
    for name, part in parts.items():
        dataset.write_tfrecords(part, root / name, preprocess=SPEC)
    return {name: root / name for name in parts}


def untrained(size: int = SIZE, seed: int = 0) -> models.Classifier:
    import keras

    keras.utils.set_random_seed(seed)
    spec = dataset.Preprocess(size=size)
    data = {"labels": list(LABELS), "preprocess": spec.to_dict(), "preprocess_digest": spec.digest}
    network = models.build("small_cnn", size=size, width=2, dropout=0.0)
    return models.Classifier(network, Manifest("model", {"data": data}))


@pytest.fixture(scope="session")
def classifier() -> models.Classifier:
    return untrained()


@pytest.fixture(scope="session")
def calibrated(classifier: models.Classifier, catalog: dataset.Catalog) -> models.Classifier:
    """Return a classifier that looks at two views, gives sets and novelty, and abstains now and then."""
    features = classifier.observe(catalog).features
    density = models.Density.fit(features, catalog.label_indices)
    section = {"tta": "mirror"}
    plain = models.Classifier(classifier.model, classifier.manifest, density=density).with_decision(section)
    return models.calibrate(plain, catalog, risk=0.4, folds=3, false_alarms=0.1)


@pytest.fixture(scope="session")
def archive(classifier: models.Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cloud.package(classifier, tmp_path_factory.mktemp("package") / "model.tar.gz")


@pytest.fixture(scope="session")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extract(archive, tmp_path_factory.mktemp("unpacked") / "package")


@pytest.fixture
def altered(unpacked: Path, tmp_path: Path) -> Callable[[Callable[[Path], None]], Path]:
    """Return a function that packs the package again after a change to its folder."""

    def alter(change: Callable[[Path], None]) -> Path:
        folder = tmp_path / "altered"
        shutil.copytree(unpacked, folder)
        change(folder)
        return pack(folder, tmp_path / "altered.tar.gz")

    return alter


@pytest.fixture(scope="session")
def estimator(shards: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> cloud.Estimator:
    """Return the Estimator of one finished job."""
    settings = {"model": "small_cnn", "width": 2, "epochs": 2, "batch_size": 8, "rotation": 10, "seed": 3}
    return cloud.Estimator(hyperparameters=settings, output=tmp_path_factory.mktemp("jobs")).fit(shards)


@pytest.fixture(scope="session")
def endpoint(estimator: cloud.Estimator) -> Iterator[cloud.Predictor]:
    with estimator.deploy() as predictor:
        yield predictor
