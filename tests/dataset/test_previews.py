from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.pipeline import load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.previews import preview
from mri_tumor.dataset.tfrecord import write_tfrecords
from mri_tumor.errors import ArgumentError

SMALL = Preprocess(size=32)
AUGMENT = Augment()


@pytest.fixture
def catalog(make_folder: Callable[..., Path]) -> Catalog:
    return scan(make_folder(per_class=3))


def test_preview_shows_what_training_sees(catalog: Catalog, tmp_path: Path) -> None:
    write_tfrecords(catalog, tmp_path / "shards", preprocess=SMALL, shards=2)
    seen = next(iter(load(catalog, SMALL, 7, AUGMENT, shuffle=True, seed=2, epoch=1)))
    how = {"augment": AUGMENT, "count": 7, "seed": 2, "epoch": 1, "preprocess": SMALL}
    for source, path in ((catalog, tmp_path / "a.png"), (tmp_path / "shards", tmp_path / "b.png")):
        figure = preview(source, path, **how)
        axes = [axes for axes in figure.axes if axes.images]
        assert len(axes) == 7
        for place, cell in enumerate(axes):
            np.testing.assert_array_equal(cell.images[0].get_array(), seen["image"][place, :, :, 0])
            label = catalog.classes[seen["label"][place]]
            assert cell.get_title().casefold().startswith(label[:2] if label != "none" else "no tumour")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_preview_of_few_pictures_without_augmentation(catalog: Catalog) -> None:
    figure = preview(catalog, augment=None, preprocess=SMALL)
    assert len([axes for axes in figure.axes if axes.images]) == 12
    assert "augmented" not in figure.get_suptitle()
    with pytest.raises(ArgumentError, match="count is 0"):
        preview(catalog, augment=None, count=0)
