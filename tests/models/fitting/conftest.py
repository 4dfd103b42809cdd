"""The pool of a run's pictures, as the fitting of networks takes it."""

import pytest

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.pipeline import Examples
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.models.fitting.pool import Pool


@pytest.fixture(scope="session")
def pool(sides: tuple[Catalog, Catalog]) -> Pool:
    """Return 22 training and 8 validation pictures of 32 pixels, numbered through."""
    train, validation = (Examples(part, Preprocess(size=32)) for part in sides)
    return Pool({"train": train, "validation": validation})
