import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from mri_tumor import files
from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.inputs import batches
from mri_tumor.dataset.pipeline import load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.tfrecord import verify_tfrecords, write_tfrecords
from mri_tumor.errors import ManifestMismatch, ShardError
from mri_tumor.manifest import Manifest

SMALL = Preprocess(size=16)


@pytest.fixture
def catalog(make_folder: Callable[..., Path]) -> Catalog:
    return scan(make_folder(per_class=3))


@pytest.fixture
def folder(catalog: Catalog, tmp_path: Path) -> Path:
    write_tfrecords(catalog, tmp_path / "shards", preprocess=SMALL, shards=3)
    return tmp_path / "shards"


def examples(folder: Path) -> list[tf.train.Example]:
    paths = sorted(str(path) for path in folder.glob("*.tfrecord"))
    return [tf.train.Example.FromString(data.numpy()) for data in tf.data.TFRecordDataset(paths)]


def remake(folder: Path, change: Callable[[int, dict[str, tf.train.Feature]], None]) -> None:
    """Write the records anew, changed, with checksums and a manifest that fit: an error of the content."""
    manifest, index = Manifest.load(folder, kind="shards"), 0
    for card in manifest.sections["shards"]:
        path = folder / card["name"]
        found = [tf.train.Example.FromString(data.numpy()) for data in tf.data.TFRecordDataset(str(path))]
        with tf.io.TFRecordWriter(str(path)) as writer:
            for example in found:
                change(index, example.features.feature)
                writer.write(example.SerializeToString())
                index += 1
        card |= {"bytes": path.stat().st_size, "sha256": files.sha256_of(path)}
    manifest.save(folder)


def edit_manifest(folder: Path, change: Callable[[dict], None]) -> None:
    manifest = Manifest.load(folder, kind="shards")
    change(manifest.sections)
    Manifest("shards", manifest.sections).save(folder)


def boundaries(path: Path) -> list[dict[str, int]]:
    """Return where each part of each record of a shard begins, and where the record ends."""
    data, start, found = path.read_bytes(), 0, []
    while start < len(data):
        (length,) = struct.unpack("<Q", data[start : start + 8])
        parts = {"length": start, "length crc": start + 8, "payload": start + 12, "crc": start + 12 + length}
        start = parts["crc"] + 4
        found.append({**parts, "end": start})
    return found


def assert_refused(folder: Path, *names: str) -> None:
    """Every way in raises a ShardError that names the shard; no picture of it comes out."""
    ways = (
        lambda: verify_tfrecords(folder),
        lambda: load(folder),
        lambda: [seen.extend(ids) for ids, _ in batches(folder, SMALL, batch_size=1)],
    )
    for way in ways:
        seen: list[str] = []
        with pytest.raises(ShardError) as caught:
            way()
        assert all(re.search(name, str(caught.value)) for name in names), caught.value
        # What lies in whole shards before this one may come out, nothing of this one.
        assert len(seen) <= 4 * int(names[0][5:10])


# Record 1 of shard 1 of 3 with 4 records each: the sixth of the set.
SHARD = "part-00001-of-00003.tfrecord"


@pytest.mark.parametrize("part", ["length", "length crc", "payload", "crc"])
@pytest.mark.parametrize("offset", [0, 3])
def test_a_flipped_byte_anywhere_is_refused(folder: Path, part: str, offset: int) -> None:
    path = folder / SHARD
    data = bytearray(path.read_bytes())
    data[boundaries(path)[1][part] + offset] ^= 0x40
    path.write_bytes(data)
    assert_refused(folder, SHARD, "record 1 ")


def test_a_flipped_pixel_is_refused(folder: Path) -> None:
    path = folder / SHARD
    data = bytearray(path.read_bytes())
    picture = bytes(examples(folder)[5].features.feature["image"].bytes_list.value[0])
    data[data.index(picture) + 100] ^= 1
    path.write_bytes(data)
    assert_refused(folder, SHARD, "record 1 ")


@pytest.mark.parametrize("inside", [0, 1])
@pytest.mark.parametrize("part", ["length", "length crc", "payload", "crc", "end"])
def test_a_truncated_shard_is_refused(folder: Path, part: str, inside: int) -> None:
    path = folder / SHARD
    parts = boundaries(path)
    path.write_bytes(path.read_bytes()[: parts[1][part] + inside])
    # TensorFlow takes a file that ends within a record's header for a whole one: the count then tells.
    named = "record (2 is|1: 2 records)" if part == "end" else "record (1 is|0: 1 records)"
    assert_refused(folder, SHARD, named)


def test_an_emptied_shard_is_refused(folder: Path) -> None:
    (folder / SHARD).write_bytes(b"")
    assert_refused(folder, SHARD)


def test_additional_bytes_are_refused(folder: Path) -> None:
    with (folder / SHARD).open("ab") as file:
        file.write(b"\0" * 5)
    assert_refused(folder, SHARD, "bytes, SHA-256")


def test_a_repeated_record_is_refused(folder: Path) -> None:
    path = folder / SHARD
    data, parts = path.read_bytes(), boundaries(path)
    path.write_bytes(data + data[: parts[0]["end"]])
    assert_refused(folder, SHARD, "5 records")


def test_swapped_shards_are_refused(folder: Path) -> None:
    first, second = folder / "part-00000-of-00003.tfrecord", folder / "part-00002-of-00003.tfrecord"
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert_refused(folder, first.name)


def test_a_missing_or_additional_shard_is_refused(folder: Path) -> None:
    shutil.copy(folder / SHARD, folder / "part-00003-of-00003.tfrecord")
    assert_refused(folder, "part-00003-of-00003.tfrecord", "not in the manifest")
    (folder / "part-00003-of-00003.tfrecord").unlink()
    (folder / SHARD).unlink()
    assert_refused(folder, SHARD, "missing")


def _label(index: int, feature: dict) -> None:
    if index == 5:
        feature["label"].int64_list.value[0] = 4


def _height(index: int, feature: dict) -> None:
    if index == 5:
        feature["height"].int64_list.value[0] = 15


def _image(index: int, feature: dict) -> None:
    if index == 5:
        feature["image"].bytes_list.value[0] = feature["image"].bytes_list.value[0][:-1]


def _index(index: int, feature: dict) -> None:
    if index == 5:
        feature["index"].int64_list.value[0] = 6


def _id(index: int, feature: dict) -> None:
    if index == 5:
        feature["id"].bytes_list.value[0] = b"glioma_tumor/000.png"


def _text(index: int, feature: dict) -> None:
    if index == 5:
        feature["id"].bytes_list.value[0] = b"\xff\xfe"


def _feature(index: int, feature: dict) -> None:
    if index == 5:
        del feature["width"]


@pytest.mark.parametrize("change", [_label, _height, _image, _index, _id, _text, _feature])
def test_wrong_content_is_refused_by_record(folder: Path, change: Callable) -> None:
    remake(folder, change)
    with pytest.raises(ShardError, match=rf"{SHARD}: record \S+ "):
        verify_tfrecords(folder)
    with pytest.raises(ShardError, match=SHARD):
        load(folder)


def test_records_of_another_program_are_refused(folder: Path) -> None:
    with tf.io.TFRecordWriter(str(folder / SHARD)) as writer:
        for _ in range(4):
            writer.write(b"\xff not an example")
    edit_manifest(
        folder,
        lambda sections: sections["shards"][1].update(
            bytes=(folder / SHARD).stat().st_size, sha256=files.sha256_of(folder / SHARD)
        ),
    )
    assert_refused(folder, SHARD, "record 0 ")


def test_counts_that_contradict_the_records_are_refused(folder: Path) -> None:
    edit_manifest(folder, lambda sections: sections["data"]["counts"].update(glioma=4, none=2))
    with pytest.raises(ShardError, match="holds"):
        verify_tfrecords(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda sections: sections.pop("data"),
        lambda sections: sections.update(shards=[]),
        lambda sections: sections["data"].update(count="12"),
        lambda sections: sections["data"].update(count=13),
        lambda sections: sections["data"].update(labels=[1, 2, 3, 4]),
        lambda sections: sections["data"].update(preprocess_digest="0" * 64),
        lambda sections: sections["data"].update(preprocess={"size": -3}),
        lambda sections: sections["shards"].reverse(),
    ],
)
def test_a_contradicting_manifest_is_refused(folder: Path, change: Callable[[dict], None]) -> None:
    edit_manifest(folder, change)
    with pytest.raises(ManifestMismatch, match=r"manifest\.json"):
        verify_tfrecords(folder)


def test_a_shard_name_cannot_lead_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / SHARD, tmp_path / "outside.tfrecord")
    edit_manifest(folder, lambda sections: sections["shards"][1].update(name="../outside.tfrecord"))
    with pytest.raises(ShardError, match="outside"):
        verify_tfrecords(folder)


def test_an_altered_or_missing_manifest_is_refused(folder: Path, tmp_path: Path) -> None:
    path = folder / "manifest.json"
    card = json.loads(path.read_text())
    card["sections"]["data"]["count"] = 11
    path.write_text(json.dumps(card))
    with pytest.raises(ManifestMismatch, match="digest"):
        verify_tfrecords(folder)
    path.unlink()
    with pytest.raises(ManifestMismatch, match="cannot be read"):
        verify_tfrecords(folder)
    with pytest.raises(ShardError, match="not a folder"):
        verify_tfrecords(tmp_path / "nowhere")
