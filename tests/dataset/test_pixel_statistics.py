import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor import dataset
from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.pixel_statistics import Statistics, statistics
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.reader import read_image
from mri_tumor.dataset.tfrecord import write_tfrecords
from mri_tumor.errors import ArgumentError, CatalogError, ManifestMismatch, ReadError, ShardError

SMALL = Preprocess(size=16)


@pytest.fixture
def catalog(make_folder: Callable[..., Path]) -> Catalog:
    return scan(make_folder(per_class=3))


def test_numbers_are_those_of_numpy(catalog: Catalog) -> None:
    found = statistics(catalog, SMALL)
    pictures = np.stack([SMALL(read_image(path)) for path in catalog.paths])
    assert found.count == 12
    assert found.counts == (3, 3, 3, 3)
    assert found.mean == pytest.approx(pictures.mean(), rel=1e-12)
    assert found.std == pytest.approx(pictures.std(), rel=1e-12)
    assert found.histogram == tuple(np.bincount(pictures.ravel(), minlength=256))
    assert found.sizes == {(80, 96): 12}
    glioma = found.to_dict()["classes"]["glioma"]
    assert glioma["mean"] == pytest.approx(pictures[:3].mean(), rel=1e-12)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=50), st.integers(0, 100))
def test_percentiles_are_those_of_numpy(levels: list[int], percent: int) -> None:
    histogram = tuple(np.bincount(levels, minlength=256).tolist())
    found = Statistics(("a",), (1,), (histogram,), {}, 0)
    assert found.percentile(percent) == np.percentile(levels, percent, method="inverted_cdf")
    assert found.std == pytest.approx(np.std(levels), abs=1e-9)


def test_order_and_source_change_nothing(catalog: Catalog, tmp_path: Path) -> None:
    found = statistics(catalog, SMALL)
    assert statistics(Catalog(reversed(list(catalog))), SMALL) == found
    for compression in (None, "gzip"):
        write_tfrecords(catalog, tmp_path / "s", preprocess=SMALL, shards=3, compression=compression)
        stored = statistics(tmp_path / "s")
        assert stored.sizes == {(16, 16): 12}
        assert (stored.histograms, stored.border) == (found.histograms, found.border)


def test_empty_borders_are_counted(tmp_path: Path) -> None:
    image = np.full((10, 10), 20, np.uint8)
    image[2:6, 3:9] = 200
    (tmp_path / "glioma").mkdir()
    cv2.imwrite(str(tmp_path / "glioma" / "a.png"), image)
    cv2.imwrite(str(tmp_path / "glioma" / "b.png"), np.zeros((10, 10), np.uint8))
    plain = Preprocess(size=10, crop=False, window=None)
    assert statistics(scan(tmp_path, classes=("glioma",)), plain).border == (100 - 24) + 100


def test_it_is_described_and_written(catalog: Catalog) -> None:
    found = dataset.statistics(catalog, SMALL)
    assert isinstance(found, dataset.Statistics)
    card = json.loads(json.dumps(found.to_dict()))
    assert card["sizes"] == {"80x96": 12}
    assert card["percentiles"]["50"] == found.percentile(50)
    assert len(found.summary().splitlines()) == 9
    assert "80 x 96 (12)" in found.summary()


def test_what_cannot_be_measured(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="source is a list"):
        statistics([])
    with pytest.raises(CatalogError, match="empty"):
        statistics(catalog[:0])
    with pytest.raises(ShardError, match="not a folder"):
        statistics(tmp_path / "nowhere")
    write_tfrecords(catalog, tmp_path / "s", preprocess=SMALL)
    with pytest.raises(ManifestMismatch, match="size=16"):
        statistics(tmp_path / "s", Preprocess(size=24))
    with pytest.raises(ArgumentError, match="percent is 101"):
        statistics(catalog, SMALL).percentile(101)
    catalog.paths[0].write_bytes(b"")
    with pytest.raises(ReadError, match=r"glioma_tumor/000\.png"):
        statistics(catalog, SMALL)


@pytest.mark.realdata
def test_real_pictures(shared: Path) -> None:
    pictures = scan(shared / "data" / "sartaj").select(split="Testing")[::8]
    cropped, whole = (statistics(pictures, Preprocess(size=64, crop=crop)) for crop in (True, False))
    assert cropped.sizes == whole.sizes
    assert len(whole.sizes) > 5
    assert cropped.border_share < 0.01 < 0.05 < whole.border_share
    assert whole.mean < cropped.mean
