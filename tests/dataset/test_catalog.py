"""Class folders to catalogs, and what catalogs can do."""

import hashlib
import logging
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from mri_tumor import LABELS
from mri_tumor.dataset.catalog import Catalog, Record, scan
from mri_tumor.errors import ArgumentError, CatalogError, ReadError

FOLDERS = ("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One file a class; scan never decodes, so any bytes do."""
    for name in FOLDERS:
        write(tmp_path / "set" / name / "a.png", name)
    return tmp_path / "set"


def write(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def records(count: int = 6, **changes: object) -> list[Record]:
    return [
        Record(
            **{
                "id": f"{i}.png",
                "path": Path(f"/p/{i}.png"),
                "label": LABELS[i % 4],
                "digest": f"{i}",
                **changes,
            }
        )
        for i in range(count)
    ]


def test_scan_reads_pictures_of_real_folders(make_folder: Callable[..., Path]) -> None:
    root = make_folder(per_class=3, split="Training")
    make_folder(per_class=2, split="Testing", seed=1)
    catalog = scan(root)
    assert len(catalog) == 20
    assert list(catalog.ids) == sorted(catalog.ids)
    assert catalog.ids[0] == "Testing/glioma_tumor/000.png"
    assert catalog.paths[0] == root / "Testing" / "glioma_tumor" / "000.png"
    assert catalog.splits.count("Training") == 12
    assert catalog.label_indices.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] + [
        i for i in range(4) for _ in range(3)
    ]
    assert set(catalog.groups) == {None}


def test_scan_hashes_the_bytes(folder: Path) -> None:
    assert scan(folder)[0].digest == hashlib.sha256(b"glioma_tumor").hexdigest()


def test_names_with_blanks_brackets_unicode_and_upper_case(folder: Path) -> None:
    names = ["gg (1).jpg", "image[2].JPG", "Müller 脳 ü.Png", "100%.jpeg"]
    for name in names:
        write(folder / "glioma_tumor" / name, name)
    ids = scan(folder).select(label="glioma").ids
    assert set(ids) == {f"glioma_tumor/{name}" for name in [*names, "a.png"]}


def test_ids_are_composed_whatever_the_file_system_says(folder: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "é.png")
    write(folder / "glioma_tumor" / decomposed)
    picture = scan(folder, groups={f"{name}/a.png": "g" for name in FOLDERS} | {"glioma_tumor/é.png": "h"})[1]
    assert picture.id == unicodedata.normalize("NFC", "glioma_tumor/é.png")
    assert picture.path.read_text() == "x"
    assert picture.group == "h"


def test_folders_inside_a_class_are_read_and_other_files_are_not(folder: Path) -> None:
    write(folder / "glioma_tumor" / "deep" / "er" / "b.png")
    for name in ("Thumbs.db", ".DS_Store", ".hidden.png", "notes.txt", "table.csv"):
        write(folder / "no_tumor" / name)
    write(folder / "no_tumor" / ".git" / "c.png")
    write(folder / "__MACOSX" / "no_tumor" / "a.png")
    write(folder / "groups.csv")
    assert len(scan(folder)) == 5
    assert "glioma_tumor/deep/er/b.png" in scan(folder).ids


def test_a_link_that_leads_back_is_not_followed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "glioma_tumor" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "no_tumor" / "self").symlink_to(folder / "no_tumor", target_is_directory=True)
    with caplog.at_level(logging.WARNING):
        catalog = scan(folder)
    assert "leads back" in caplog.text
    assert len(catalog) == 4


def test_a_linked_class_folder_is_read(folder: Path, tmp_path: Path) -> None:
    (folder / "no_tumor").rename(tmp_path / "elsewhere")
    (folder / "no_tumor").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert "no_tumor/a.png" in scan(folder).ids


@pytest.mark.parametrize("names", [("Training",), ("train", "test"), ("TRAINING", "Testing")])
def test_split_folders(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        for label in FOLDERS:
            write(tmp_path / name / label / "a.png")
    catalog = scan(tmp_path)
    assert set(catalog.splits) == {"Training", "Testing"} - ({"Testing"} if len(names) == 1 else set())
    assert catalog.ids[0].split("/")[0] in names


def test_classes_of_ones_own(tmp_path: Path) -> None:
    for name in ("Dogs", "cats"):
        write(tmp_path / name / "a.png")
    catalog = scan(tmp_path, classes=("dogs", "cats"))
    assert catalog.classes == ("dogs", "cats")
    assert dict(zip(catalog.ids, catalog.label_indices, strict=True)) == {"Dogs/a.png": 0, "cats/a.png": 1}


def test_a_missing_root_and_a_file_as_root(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"nowhere is not there\. Expected: a folder"):
        scan(tmp_path / "nowhere")
    with pytest.raises(CatalogError, match="is a file"):
        scan(write(tmp_path / "file"))


def test_an_unknown_folder(folder: Path) -> None:
    write(folder / "cats" / "a.png")
    with pytest.raises(CatalogError, match=r"'cats'.*Expected: folders named after glioma"):
        scan(folder)


def test_an_unknown_folder_beside_training(folder: Path) -> None:
    for name in FOLDERS:
        write(folder / "Training" / name / "a.png")
    with pytest.raises(CatalogError, match="'glioma_tumor'"):
        scan(folder)


@pytest.mark.parametrize("empty", [True, False])
def test_an_empty_or_missing_class(folder: Path, empty: bool) -> None:
    (folder / "no_tumor" / "a.png").unlink()
    if not empty:
        (folder / "no_tumor").rmdir()
    with pytest.raises(CatalogError, match="holds no picture of none"):
        scan(folder)


def test_a_picture_outside_the_class_folders(folder: Path) -> None:
    write(folder / "stray.png")
    with pytest.raises(CatalogError, match=r"'stray\.png', which lie"):
        scan(folder)


def test_two_files_of_one_id(folder: Path) -> None:
    for form in ("NFC", "NFD"):
        write(folder / "glioma_tumor" / unicodedata.normalize(form, "é.png"))
    with pytest.raises(CatalogError, match=r"come more than once: 'glioma_tumor/é\.png'"):
        scan(folder)


def test_a_broken_link_names_the_file(folder: Path) -> None:
    (folder / "no_tumor" / "b.png").symlink_to(folder / "gone.png")
    with pytest.raises(ReadError, match=r"no_tumor/b\.png cannot be opened"):
        scan(folder)


def test_a_name_that_is_not_unicode(folder: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder / "no_tumor") + b"/\xff.png")).write_text("x")
    except OSError:
        pytest.skip("this file system refuses such names")
    with pytest.raises(CatalogError, match="not valid Unicode"):
        scan(folder)


@pytest.mark.parametrize("classes", [(), "glioma", ("a", "a"), ("a", ""), None, (1, 2)])
def test_bad_classes(folder: Path, classes: object) -> None:
    with pytest.raises(ArgumentError, match="different class names"):
        scan(folder, classes=classes)  # type: ignore[arg-type]


class TestCatalog:
    def test_is_a_sequence(self) -> None:
        catalog = Catalog(records())
        assert catalog[-1].id == "5.png"
        assert isinstance(catalog[1:3], Catalog)
        assert catalog[1:3].ids == ("1.png", "2.png")
        assert records()[2] in catalog
        assert [record.id for record in catalog] == list(catalog.ids)
        assert catalog == Catalog(records())
        assert hash(catalog) == hash(Catalog(records()))
        assert catalog != catalog[:5]
        assert catalog != records()

    def test_refuses_ids_that_come_twice(self) -> None:
        with pytest.raises(CatalogError, match=r"1 ids come more than once: '0\.png'"):
            Catalog(records() + records(1))

    def test_refuses_other_labels(self) -> None:
        with pytest.raises(CatalogError, match=r"labels 'cat'\. Expected: one of glioma"):
            Catalog(records(label="cat"))

    @pytest.mark.parametrize("wrong", ["a.png", ("a.png", Path("a.png"), "glioma")])
    def test_refuses_what_is_no_record(self, wrong: object) -> None:
        with pytest.raises(ArgumentError, match="Record"):
            Catalog([wrong])  # type: ignore[list-item]

    @pytest.mark.parametrize("field", ["id", "group", "split"])
    def test_refuses_empty_names(self, field: str) -> None:
        with pytest.raises(ArgumentError, match=f"{field} is ''"):
            Catalog(records(1, **{field: ""}))

    def test_the_digest_follows_content_and_order_but_not_the_place(self) -> None:
        digest = Catalog(records()).digest
        assert Catalog(records(path=Path("/elsewhere"))).digest == digest
        assert Catalog(records()[::-1]).digest != digest
        for field in ("label", "group", "split", "digest"):
            assert Catalog(records(**{field: "none"})).digest != digest
        assert Catalog(records(), classes=(*LABELS, "other")).digest != digest

    def test_select(self) -> None:
        catalog = Catalog(
            [*records(3, split="Training"), *(Record(f"t{i}", Path(), "none") for i in range(2))]
        )
        assert catalog.select(["t1", "0.png"]).ids == ("0.png", "t1")
        assert catalog.select(split="Training", label="none").ids == ("2.png",)
        assert catalog.select(where=lambda record: record.split is None).ids == ("t0", "t1")
        assert catalog.select(label="pituitary").ids == ()
        assert catalog.select([]).ids == ()
        assert catalog.select(name for name in ("t0", "t1")).ids == ("t0", "t1")
        assert catalog.select(()).classes == catalog.classes

    def test_select_refuses_what_is_not_there(self) -> None:
        catalog = Catalog(records())
        with pytest.raises(CatalogError, match=r"ids 'x' is not in this catalog.*'0\.png'"):
            catalog.select(["x", "0.png"])
        with pytest.raises(CatalogError, match="split 'Training' is not in this catalog"):
            catalog.select(split="Training")
        with pytest.raises(CatalogError, match=r"label 'cat' is not in this catalog.*'glioma'"):
            catalog.select(label="cat")
        with pytest.raises(ArgumentError, match="pass"):
            catalog.select("0.png")

    def test_with_groups_takes_a_mapping_or_a_report(self) -> None:
        class Report:
            def __init__(self) -> None:
                self.groups = {"0.png": "d", "1.png": "d"}

        catalog = Catalog(records(3))
        for groups in (Report(), Report().groups):
            assert catalog.with_groups(groups).groups == ("d", "d", None)
        with pytest.raises(CatalogError, match=r"name none of the 3 pictures.*'0\.png'"):
            catalog.with_groups({"x": "d"})

    def test_with_groups_joins_through_both(self) -> None:
        catalog = Catalog(records(5)).with_groups({"0.png": "p", "1.png": "p", "2.png": "q", "3.png": "r"})
        result = catalog.with_groups({"1.png": "p", "2.png": "p", "4.png": "r"})
        assert result.groups == ("p", "p", "p", "r", "r+")

    def test_summary_counts(self) -> None:
        text = Catalog([*records(5, split="Training"), Record("t", Path(), "none", "g", "Testing")]).summary()
        rows = [line.split() for line in text.splitlines()]
        assert rows[0] == ["class", "pictures", "Training", "Testing"]
        assert ["none", "2", "1", "1"] in rows
        assert ["all", "6", "5", "1"] in rows
        assert rows[-1] == ["groups:", "1"]
        assert "groups: unknown" in Catalog(records()).summary()
        assert "glioma 2" in repr(Catalog(records()))


@pytest.mark.realdata
def test_the_real_folder(shared: Path) -> None:
    catalog = scan(shared / "data" / "sartaj", groups=shared / "data" / "sartaj_groups.csv")
    training, testing = catalog.select(split="Training"), catalog.select(split="Testing")
    assert [training.labels.count(label) for label in LABELS] == [826, 822, 395, 827]
    assert [testing.labels.count(label) for label in LABELS] == [100, 115, 105, 74]
    assert len(set(catalog.groups)) == 594
