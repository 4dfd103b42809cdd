"""Recognising the pictures of public sets."""

from pathlib import Path

import cv2
import pytest

from mri_tumor import dataset
from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.known_tables import known_pictures


def test_by_bytes_no_file_is_opened_and_the_official_split_comes_back() -> None:
    entry = next(picture for picture in known_pictures("sartaj") if "leaked" in picture.flags)
    record = Record("a.jpg", Path("gone.jpg"), "glioma", digest=entry.sha256)
    found = dataset.known(Catalog([record]))
    assert found.leaked_ids == {"a.jpg"}
    assert found.official().splits == ("Testing",)
    assert Catalog([record]).with_groups(found).groups == (f"sartaj {entry.group}",)


def test_phantoms_are_unknown(tmp_path: Path) -> None:
    dataset.make_phantoms(tmp_path, per_class=5, seed=0)
    catalog = dataset.scan(tmp_path)
    assert dataset.known(catalog).unknown == catalog.ids


def test_the_facts_stand_in_the_tables() -> None:
    sartaj = known_pictures("sartaj")
    flags = {flag: sum(flag in item.flags for item in sartaj) for item in sartaj for flag in item.flags}
    assert flags == {"leaked": 260, "identical": 251, "conflict": 3, "not_mr": 1, "source_label": 14}


@pytest.mark.realdata
def test_all_of_sartaj_is_recognised(shared: Path) -> None:
    found = dataset.known(dataset.scan(shared / "data" / "sartaj"))
    assert not found.unknown
    assert all(name == match.picture.id for name, match in found.matches.items())
    assert len(found.leaked_ids) == 260


@pytest.mark.realdata
def test_a_small_copy_with_loss_is_recognised(shared: Path, tmp_path: Path) -> None:
    name = next(item.id for item in known_pictures("sartaj") if "Training/no_tumor" in item.id)
    image = dataset.read_image(shared / "data" / "sartaj" / name)
    cv2.imwrite(
        str(tmp_path / "x.jpg"), cv2.resize(image, None, fx=0.5, fy=0.5), [cv2.IMWRITE_JPEG_QUALITY, 40]
    )
    found = dataset.known(Catalog([Record("x.jpg", tmp_path / "x.jpg", "none")]))
    assert found.matches["x.jpg"].by == "looks"
    entry = next(item for item in known_pictures("sartaj") if item.id == name)
    assert found.matches["x.jpg"].picture.group == entry.group
