import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.inputs import batches
from mri_tumor.dataset.pipeline import Examples
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.reader import read_image
from mri_tumor.dataset.shards.reading import ShardFolder
from mri_tumor.dataset.tfrecord import _shard_count, verify_tfrecords, write_tfrecords
from mri_tumor.errors import ArgumentError, CatalogError, ReadError
from mri_tumor.manifest import Manifest

SMALL = Preprocess(size=16)
BAD = "glioma_tumor/001.png"


@pytest.fixture
def catalog(make_folder: Callable[..., Path]) -> Catalog:
    found = scan(make_folder(per_class=3))
    return found.with_groups({found.ids[0]: "p1", found.ids[5]: "p1", found.ids[6]: "p2"})


@pytest.fixture
def folder(catalog: Catalog, tmp_path: Path) -> Path:
    write_tfrecords(catalog, tmp_path / "shards", preprocess=SMALL, shards=3)
    return tmp_path / "shards"


@pytest.fixture
def broken_catalog(make_folder: Callable[..., Path]) -> Catalog:
    root = make_folder(per_class=3)
    (root / BAD).write_bytes((root / BAD).read_bytes()[:-40])
    return scan(root)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def examples(folder: Path) -> list[tf.train.Example]:
    paths = sorted(str(path) for path in folder.glob("*.tfrecord"))
    return [tf.train.Example.FromString(data.numpy()) for data in tf.data.TFRecordDataset(paths)]


def test_features_are_as_documented(catalog: Catalog, folder: Path) -> None:
    found = examples(folder)
    assert len(found) == len(catalog) == 12
    for index, (example, record) in enumerate(zip(found, catalog, strict=True)):
        feature = example.features.feature
        assert set(feature) == {"image", "height", "width", "label", "id", "group", "index"}
        expected = SMALL(read_image(record.path))
        assert feature["image"].bytes_list.value[0] == expected.tobytes()
        assert feature["height"].int64_list.value[0] == feature["width"].int64_list.value[0] == 16
        assert feature["label"].int64_list.value[0] == catalog.label_indices[index]
        assert feature["id"].bytes_list.value[0].decode() == record.id
        assert feature["group"].bytes_list.value[0].decode() == (record.group or "")
        assert feature["index"].int64_list.value[0] == index


def test_manifest_says_what_is_there(catalog: Catalog, folder: Path) -> None:
    manifest = Manifest.load(folder, kind="shards")
    assert manifest.sections["data"] == {
        "labels": ["glioma", "meningioma", "none", "pituitary"],
        "preprocess": SMALL.to_dict(),
        "preprocess_digest": SMALL.digest,
        "count": 12,
        "counts": {"glioma": 3, "meningioma": 3, "none": 3, "pituitary": 3},
        "catalog_digest": catalog.digest,
        "groups": 2,
        "split": None,
    }
    assert [card["name"] for card in manifest.sections["shards"]] == [
        f"part-0000{place}-of-00003.tfrecord" for place in range(3)
    ]
    assert [card["records"] for card in manifest.sections["shards"]] == [4, 4, 4]
    assert manifest.sections["skipped"] == []
    assert verify_tfrecords(folder) == manifest


def test_split_and_missing_groups_in_the_manifest(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    found = scan(make_folder(per_class=1, split="Training"))
    section = write_tfrecords(found, tmp_path / "shards", preprocess=SMALL).sections["data"]
    assert (section["split"], section["groups"]) == ("Training", None)


def test_a_records_bytes_are_the_same_for_ever(folder: Path) -> None:
    # Protocol buffers leave the order of a map open; ours is by name, so that bytes depend on nothing else.
    data = next(iter(tf.data.TFRecordDataset(str(folder / "part-00000-of-00003.tfrecord")))).numpy()
    names = ("group", "height", "id", "image", "index", "label", "width")
    places = [data.index(bytes([10, len(name)]) + name.encode()) for name in names]
    assert places == sorted(places)


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_same_bytes_whatever_the_number_of_workers(
    make_folder: Callable[..., Path], tmp_path: Path, compression: str | None, on_error: str
) -> None:
    found = scan(make_folder(per_class=3))
    if on_error == "skip":
        for place in (0, 5, 6):
            found.paths[place].write_bytes(b"no picture")
    for workers in (1, 2, 7):
        write_tfrecords(
            found,
            tmp_path / str(workers),
            preprocess=SMALL,
            shards=3,
            compression=compression,
            on_error=on_error,
            workers=workers,
        )
        assert contents(tmp_path / str(workers)) == contents(tmp_path / "1")
    indices = [record.index for record in ShardFolder(tmp_path / "1").records(checksums=True)]
    assert indices == list(range(12 if on_error == "raise" else 9))


def test_shards_hold_nothing_of_where_the_pictures_lay(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("here", "there"):
        write_tfrecords(scan(make_folder(2, name=name)), tmp_path / f"{name}-shards", preprocess=SMALL)
    assert contents(tmp_path / "here-shards") == contents(tmp_path / "there-shards")


def test_default_number_of_shards_follows_from_the_count(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mri_tumor.dataset.tfrecord._ONE_SHARD", 5)
    monkeypatch.setattr("mri_tumor.dataset.tfrecord._RECORDS_A_SHARD", 1)
    for count, shards in ((5, 1), (8, 8)):
        manifest = write_tfrecords(catalog[:count], tmp_path / str(count), preprocess=SMALL)
        assert len(manifest.sections["shards"]) == shards


def test_default_number_of_shards_is_one_that_workers_can_share() -> None:
    numbers = [_shard_count(pictures, None) for pictures in (1, 200, 201, 2870, 16_000, 16_001, 200_000)]
    assert numbers == [1, 1, 8, 8, 8, 16, 104]


def test_unicode_ids_survive(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = make_folder(per_class=1)
    (root / "no_tumor" / "000.png").rename(root / "no_tumor" / "gg (1) größe 脳.png")
    write_tfrecords(scan(root), tmp_path / "shards", preprocess=SMALL)
    ids = [name for names, _ in batches(tmp_path / "shards", SMALL) for name in names]
    assert "no_tumor/gg (1) größe 脳.png" in ids


def test_a_shard_folder_is_replaced_as_a_whole(catalog: Catalog, folder: Path) -> None:
    write_tfrecords(catalog[:4], folder, preprocess=SMALL)
    assert sorted(contents(folder)) == ["manifest.json", "part-00000-of-00001.tfrecord"]
    assert verify_tfrecords(folder).sections["data"]["count"] == 4


def test_other_folders_are_not_overwritten(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "thesis"
    other.mkdir()
    write_tfrecords(catalog, other, preprocess=SMALL)  # an empty folder is fine
    shutil.rmtree(other)
    other.mkdir()
    (other / "chapter1.txt").write_text("long work")
    (folder / "notes.txt").write_text("mine")
    for place, what in (
        (other, "no shard folder"),
        (folder, r"notes\.txt"),
        (other / "chapter1.txt", "a file"),
    ):
        with pytest.raises(ArgumentError, match=what):
            write_tfrecords(catalog, place, preprocess=SMALL)
    assert (other / "chapter1.txt").read_text() == "long work"
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_run_folder_is_not_overwritten(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    Manifest("run", {}).save(tmp_path / "run")
    with pytest.raises(ArgumentError, match="kind 'run'"):
        write_tfrecords(catalog, tmp_path / "run", preprocess=SMALL)


def test_bad_picture_is_named_and_nothing_is_left(broken_catalog: Catalog, tmp_path: Path) -> None:
    place = tmp_path / "out" / "shards"
    with pytest.raises(ReadError, match=r"glioma_tumor/001\.png"):
        write_tfrecords(broken_catalog, place, preprocess=SMALL)
    assert list(place.parent.iterdir()) == []


def test_bad_picture_can_be_skipped_and_is_listed(
    broken_catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = write_tfrecords(
        broken_catalog, tmp_path / "shards", preprocess=SMALL, shards=4, on_error="skip"
    )
    assert [entry["id"] for entry in manifest.sections["skipped"]] == [BAD]
    assert BAD in manifest.sections["skipped"][0]["reason"]
    assert "1 of 12 pictures left out" in caplog.text
    assert manifest.sections["data"]["counts"]["glioma"] == 2
    assert [card["records"] for card in manifest.sections["shards"]] == [2, 3, 3, 3]
    assert verify_tfrecords(tmp_path / "shards") == manifest


@pytest.mark.parametrize("harm", ["cut", "empty", "gone"])
def test_the_same_catalog_gives_the_same_bytes_wherever_it_lies(
    broken_catalog: Catalog, tmp_path: Path, harm: str
) -> None:
    root = broken_catalog.paths[0].parents[1]
    moved = Path(shutil.copytree(root, tmp_path / "elsewhere" / "deeper"))
    for place in (root, moved):
        if harm != "cut":
            (place / BAD).write_bytes(b"")
        if harm == "gone":
            (place / BAD).unlink()
    texts = []
    for place in (root, moved):
        catalog = Catalog(replace(record, path=place / record.id) for record in broken_catalog)
        write_tfrecords(catalog, tmp_path / "shards", preprocess=SMALL, on_error="skip")
        texts.append((tmp_path / "shards" / "manifest.json").read_text())
        examples = Examples(catalog, SMALL, on_error="skip")
        assert examples.skipped == Manifest.load(tmp_path / "shards", kind="shards").sections["skipped"]
    assert texts[0] == texts[1]
    assert tmp_path.name not in texts[0]


def test_a_shard_may_be_empty_after_skipping(broken_catalog: Catalog, tmp_path: Path) -> None:
    manifest = write_tfrecords(
        broken_catalog, tmp_path / "shards", preprocess=SMALL, shards=12, on_error="skip"
    )
    assert [card["records"] for card in manifest.sections["shards"]] == [1, 0, *[1] * 10]
    assert verify_tfrecords(tmp_path / "shards") == manifest


def test_nothing_to_write_is_an_error(broken_catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="empty"):
        write_tfrecords(broken_catalog[:0], tmp_path / "shards")
    with pytest.raises(CatalogError, match="none of the 1 pictures can be read"):
        write_tfrecords(broken_catalog.select(ids=[BAD]), tmp_path / "shards", on_error="skip")
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"shards": 0}, "shards is 0"),
        ({"shards": 13}, "shards is 13 for 12 pictures"),
        ({"shards": 2.5}, r"shards is 2\.5"),
        ({"on_error": "ignore"}, "on_error is 'ignore'"),
        ({"preprocess": 224}, "preprocess is 224"),
        ({"catalog": "pictures"}, "catalog is a str"),
    ],
)
def test_bad_arguments(catalog: Catalog, tmp_path: Path, wrong: dict, what: str) -> None:
    with pytest.raises(ArgumentError, match=what):
        write_tfrecords(**({"catalog": catalog, "directory": tmp_path / "shards"} | wrong))


def test_pictures_come_out_as_they_went_in(catalog: Catalog, folder: Path) -> None:
    _, pictures = next(batches(folder, SMALL))
    np.testing.assert_array_equal(pictures, np.stack([SMALL(read_image(record.path)) for record in catalog]))
