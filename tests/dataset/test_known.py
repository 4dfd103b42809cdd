"""Recognising the pictures of public sets."""

import csv
from pathlib import Path

import cv2
import pytest

from mri_tumor import dataset
from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.public.fingerprints import perceptual_hash, pixel_hash
from mri_tumor.dataset.public.known_tables import SETS, known_pictures
from mri_tumor.files import sha256_of


def test_by_bytes_no_file_is_opened_and_the_official_split_comes_back() -> None:
    entry = next(picture for picture in known_pictures("sartaj") if "leaked" in picture.flags)
    record = Record("a.jpg", Path("gone.jpg"), "glioma", digest=entry.sha256)
    found = dataset.known(Catalog([record]))
    assert found.leaked_ids == {"a.jpg"}
    assert found.official().splits == ("Testing",)
    assert Catalog([record]).with_groups(found).groups == (f"sartaj {entry.group}",)


def test_the_official_split_keeps_what_the_catalog_knows_of_patients() -> None:
    training = [picture for picture in known_pictures("sartaj") if picture.split == "Training"]
    first = training[0]
    second = next(picture for picture in training if picture.group != first.group)
    records = [
        Record(f"{place}.jpg", Path("gone.jpg"), "glioma", "patient", digest=picture.sha256)
        for place, picture in enumerate((first, second))
    ]
    found = dataset.known(Catalog(records)).official()
    assert found.groups == ("patient", "patient")
    assert found.splits == ("Training", "Training")


def test_phantoms_are_unknown(tmp_path: Path) -> None:
    dataset.make_phantoms(tmp_path, per_class=5, seed=0)
    catalog = dataset.scan(tmp_path)
    assert dataset.known(catalog).unknown == catalog.ids


def test_the_facts_stand_in_the_tables() -> None:
    sartaj = known_pictures("sartaj")
    flags = {flag: sum(flag in item.flags for item in sartaj) for item in sartaj for flag in item.flags}
    assert flags == {"leaked": 260, "identical": 251, "conflict": 3, "not_mr": 1, "source_label": 14}


@pytest.mark.parametrize("source", SETS)
def test_every_entry_is_complete(source: str) -> None:
    pictures = known_pictures(source)
    assert [picture.id for picture in pictures] == sorted({picture.id for picture in pictures})
    for picture in pictures:
        digits = [picture.sha256, picture.pixels, picture.looks]
        assert [len(bytes.fromhex(text)) for text in digits] == [32, 8, 32]
        assert picture.size > 0
        assert picture.group
    assert all((picture.split is None) == (source == "figshare") for picture in pictures)


def copies_of(source: str) -> Catalog:
    """Everything of a set under other names, as somebody else's folder may hold it; no file is there."""
    labels = {"no_tumor": "none"}
    return Catalog(
        Record(
            f"{place}.jpg",
            Path(f"{place}.jpg"),
            labels.get(folder := picture.id.split("/")[-2], folder.removesuffix("_tumor")),
            digest=picture.sha256,
        )
        for place, picture in enumerate(known_pictures(source))
    )


def test_renamed_files_get_the_official_split_and_each_entry_is_taken_once() -> None:
    found = dataset.known(copies_of("sartaj"))
    assert not found.unknown
    assert len({match.picture.id for match in found.matches.values()}) == 3264
    official = found.official()
    assert [official.splits.count(split) for split in ("Training", "Testing")] == [2870, 394]
    assert (len(found.leaked_ids), len(found.twin_ids)) == (260, 257)
    assert len(set(official.select(split="Training").groups)) == 507


def test_a_set_without_splits_has_none() -> None:
    found = dataset.known(copies_of("figshare"))
    assert not found.unknown
    assert set(found.official().splits) == {None}
    assert len(set(found.official().groups)) == 86


def test_pictures_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    records = [Record(name, tmp_path / name, "none") for name in ("x.jpg", "gone.jpg")]
    found = dataset.known(Catalog(records))
    assert found.unreadable == found.unknown == ("x.jpg", "gone.jpg")
    assert len(found.official()) == 0


def table(shared: Path, source: str) -> dict[str, dict[str, str]]:
    with (shared / "data" / f"{source}_groups.csv").open(encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


@pytest.mark.realdata
def test_the_tables_say_what_was_measured(shared: Path) -> None:
    rows = table(shared, "sartaj")
    for picture in known_pictures("sartaj"):
        row = rows.pop(picture.id)
        assert (picture.group, picture.cluster) == (row["group"], row["cluster"])
        assert (picture.split, picture.block or "") == (row["split"], row["figshare_block"])
        assert ("leaked" in picture.flags) == (row["test_neardup_in_train"] == "1")
        assert ("identical" in picture.flags) == (row["test_pixel_identical_in_train"] == "1")
    assert not rows
    blocks = {name: row["block"] for name, row in table(shared, "figshare").items()}
    assert {picture.id: picture.group for picture in known_pictures("figshare")} == blocks


@pytest.mark.realdata
@pytest.mark.parametrize("source", SETS)
def test_every_hash_is_that_of_the_file(shared: Path, source: str) -> None:
    for place, picture in enumerate(known_pictures(source)):
        path = shared / "data" / source / picture.id
        assert (picture.size, picture.sha256) == (path.stat().st_size, sha256_of(path))
        if place % 16 == 0:
            image = dataset.read_image(path)
            assert (picture.pixels, picture.looks) == (pixel_hash(image), perceptual_hash(image))


@pytest.mark.realdata
@pytest.mark.parametrize("source", SETS)
def test_all_of_a_set_is_recognised_by_its_bytes(shared: Path, source: str) -> None:
    classes = ("glioma", "meningioma", "pituitary") + (("none",) if source == "sartaj" else ())
    found = dataset.known(dataset.scan(shared / "data" / source, classes))
    assert not found.unknown
    assert all(match.by == "bytes" for match in found.matches.values())
    assert {name: match.picture.id for name, match in found.matches.items()} == {
        picture.id: picture.id for picture in known_pictures(source)
    }
    assert len(found.leaked_ids) == (260 if source == "sartaj" else 0)


@pytest.mark.realdata
@pytest.mark.parametrize("source", SETS)
def test_stored_again_without_loss_they_are_recognised_by_pixels(
    shared: Path, tmp_path: Path, source: str
) -> None:
    sample = known_pictures(source)[::97]
    for place, picture in enumerate(sample):
        image = dataset.read_image(shared / "data" / source / picture.id)
        cv2.imwrite(str(tmp_path / f"{place}.png"), image)
    found = dataset.known(
        Catalog(Record(f"{n}.png", tmp_path / f"{n}.png", "none") for n in range(len(sample)))
    )
    assert {match.by for match in found.matches.values()} == {"pixels"}
    names = [found.matches[f"{place}.png"].picture for place in range(len(sample))]
    assert [picture.pixels for picture in names] == [picture.pixels for picture in sample]


@pytest.mark.realdata
@pytest.mark.parametrize("source", SETS)
def test_small_copies_with_loss_are_recognised_by_looks(shared: Path, tmp_path: Path, source: str) -> None:
    sample = known_pictures(source)[::61]
    for place, picture in enumerate(sample):
        image = dataset.read_image(shared / "data" / source / picture.id)
        small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / f"{place}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 40])
    found = dataset.known(
        Catalog(Record(f"{n}.jpg", tmp_path / f"{n}.jpg", "none") for n in range(len(sample)))
    )
    assert {match.by for match in found.matches.values()} == {"looks"}
    names = [found.matches.get(f"{place}.jpg") for place in range(len(sample))]
    # A slice of figshare and its copy in sartaj look alike, and neighbouring slices may: the block tells.
    right = [
        match is not None and (match.picture.block or match.picture.group) == (picture.block or picture.group)
        for match, picture in zip(names, sample, strict=True)
    ]
    assert sum(right) >= 0.98 * len(sample)
