import pytest

from mri_tumor._lazy import load_extra
from mri_tumor.errors import MissingExtra


def test_an_extra_that_is_there() -> None:
    assert load_extra("json", "none", "reading JSON").loads("1") == 1


def test_a_missing_extra_is_named_with_what_to_install() -> None:
    with pytest.raises(MissingExtra) as caught:
        load_extra("no_such_module.part", "dicom", "reading DICOM files")
    assert "reading DICOM files needs no_such_module" in caught.value.found
    assert caught.value.fix == 'pip install "mri-tumor[dicom]"'
