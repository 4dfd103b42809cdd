"""Whatever happens to a shard's file: never a wrong picture, never an error that is not ours."""

import contextlib
import errno
import hashlib
import json
import shutil
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.pipeline import Examples
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.shards.encoding import UnpackedFiles
from mri_tumor.dataset.shards.reading import ShardFolder
from mri_tumor.dataset.tfrecord import verify_tfrecords, write_tfrecords
from mri_tumor.errors import ManifestMismatch, MriTumorError, ShardError
from mri_tumor.manifest import Manifest

SMALL = Preprocess(size=8)
KINDS = ("plain", "gzip")


@pytest.fixture(scope="module", params=KINDS)
def good(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 9 pictures in 3 shards, plain or gzip; tests work on copies of it."""
    place = tmp_path_factory.mktemp(request.param)
    records = []
    for number in range(9):
        path = place / f"{number}.png"
        noise = np.random.default_rng(number).integers(0, 256, (40, 30), np.uint8)
        cv2.imwrite(str(path), noise)
        records.append(Record(path.name, path, ("glioma", "none")[number % 2], digest=str(number)))
    compression = None if request.param == "plain" else "gzip"
    write_tfrecords(Catalog(records), place / "set", preprocess=SMALL, shards=3, compression=compression)
    return place / "set"


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "set"))


def shards_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*"))


def content(folder: Path) -> dict[str, bytes]:
    return {record.id: record.picture.tobytes() for record in ShardFolder(folder).records()}


def pictures_before_the_error(folder: Path) -> Iterator[tuple[str, bytes]]:
    for record in ShardFolder(folder).records():
        yield record.id, record.picture.tobytes()


def assert_refused(folder: Path, good: Path, *names: str) -> None:
    """Each way in raises an error of ours that names the shard; what comes out before it is right."""
    true = content(good)
    for way in (verify_tfrecords, Examples):
        with pytest.raises((ShardError, ManifestMismatch)) as caught:
            way(folder)
        for name in names:
            assert name in str(caught.value)
    seen: list[tuple[str, bytes]] = []
    with pytest.raises((ShardError, ManifestMismatch)):
        seen.extend(iter(pictures_before_the_error(folder)))
    assert all(true[name] == picture for name, picture in seen)


def edited(folder: Path, change: Callable[[dict], None]) -> None:
    """Change a manifest and give it the digest that fits: an edit that means it."""
    sections = json.loads((folder / "manifest.json").read_text())["sections"]
    change(sections)
    Manifest("shards", sections).save(folder)


def test_whole_folders_are_read(good: Path) -> None:
    manifest = verify_tfrecords(good)
    cards = manifest.sections["shards"]
    packed = good.parent.name.startswith("gzip")
    assert {card.get("compression") for card in cards} == {"gzip" if packed else None}
    assert all(card["name"].endswith(".tfrecord.gz" if packed else ".tfrecord") for card in cards)
    data = tf.data.TFRecordDataset([str(path) for path in shards_of(good)], "GZIP" if packed else "")
    assert len(list(data)) == len(content(good)) == 9


def test_a_gzip_header_holds_no_clock_and_no_name(good: Path) -> None:
    if "gzip" in str(good.parent.name):
        for path in shards_of(good):
            head_bytes = path.read_bytes()[:10]
            assert head_bytes[:4] == b"\x1f\x8b\x08\x00"  # no flags, so no name
            assert head_bytes[4:8] == b"\0\0\0\0"


def test_gzip_and_plain_hold_the_same(tmp_path: Path, good: Path) -> None:
    manifest = Manifest.load(good, kind="shards")
    path = good.parent
    records = [
        Record(f"{n}.png", path / f"{n}.png", ("glioma", "none")[n % 2], digest=str(n)) for n in range(9)
    ]
    write_tfrecords(Catalog(records), tmp_path / "plain", preprocess=SMALL, shards=2)
    assert content(tmp_path / "plain") == content(good)
    assert Manifest.load(tmp_path / "plain", kind="shards").sections["data"] == manifest.sections["data"]


def test_every_kind_of_byte_counts(folder: Path, good: Path) -> None:
    # Lengths, their checksums, data, data checksums; for gzip header, body and trailer.
    path = shards_of(folder)[1]
    data = path.read_bytes()
    folder_read = ShardFolder(folder)
    true = content(good)
    places = {place + around for place in boundaries(path) for around in (-4, -1, 0, 7, 8, 11, 12)}
    places |= {*range(10), *range(len(data) - 8, len(data)), *range(0, len(data), 41)}
    for place in sorted(places & set(range(len(data)))):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        seen: list[tuple[str, bytes]] = []
        with pytest.raises(ShardError, match=path.name):
            seen.extend((record.id, record.picture.tobytes()) for record in folder_read.records())
        assert seen == list(true.items())[: len(seen)]
        assert len(seen) in (0, 3)


@pytest.mark.parametrize("part", ["magic", "flags", "time", "body", "crc", "length"])
def test_each_part_of_a_gzip_file_counts(folder: Path, good: Path, part: str) -> None:
    path = shards_of(folder)[1]
    data = bytearray(path.read_bytes())
    place = {"magic": 0, "flags": 3, "time": 5, "body": len(data) // 2, "crc": -7, "length": -2}[part]
    data[place] ^= 1
    path.write_bytes(data)
    assert_refused(folder, good, path.name)


def boundaries(path: Path) -> list[int]:
    """Return the ends of a plain shard's records, or the ends of a compressed one's header and body."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return [0, 10, len(data) // 2, len(data) - 8, len(data)]
    ends, start = [0], 0
    while start < len(data):
        start += 16 + int.from_bytes(data[start : start + 8], "little")
        ends.append(start)
    return ends


def test_a_shard_cut_at_and_around_every_record_is_refused(folder: Path, good: Path) -> None:
    path = shards_of(folder)[1]
    data = path.read_bytes()
    places = {place + around for place in boundaries(path) for around in (-1, 0, 1)}
    for place in sorted(places & set(range(len(data)))):
        path.write_bytes(data[:place])
        assert_refused(folder, good, path.name)


def test_verify_names_the_record_that_load_need_not_look_at(folder: Path) -> None:
    # Damaged before its SHA-256 was taken: only the record's own checksum tells.
    path = shards_of(folder)[1]
    if path.suffix == ".gz":
        return
    data = bytearray(path.read_bytes())
    data[boundaries(path)[2] - 2] ^= 1
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    edited(folder, lambda sections: sections["shards"][1].update(sha256=digest))
    with pytest.raises(ShardError, match=f"{path.name}: record 1 is damaged"):
        verify_tfrecords(folder)


def test_a_bomb_is_not_unpacked(folder: Path) -> None:
    import gzip

    path = shards_of(folder)[1]
    if path.suffix != ".gz":
        return
    path.write_bytes(gzip.compress(bytes(50_000_000), mtime=0))
    size, digest = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    edited(folder, lambda sections: sections["shards"][1].update(bytes=size, sha256=digest))
    with pytest.raises(ShardError, match="cannot be unpacked"):
        Examples(folder)


def test_shards_that_cannot_be_opened_are_ours_to_name(folder: Path) -> None:
    path = shards_of(folder)[1]
    path.unlink()
    path.mkdir()
    for way in (verify_tfrecords, Examples):
        with pytest.raises(ShardError, match=path.name):
            way(folder)


def test_streamed_pictures_are_those_of_memory(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = content(good)
    monkeypatch.setattr("mri_tumor.dataset.pipeline.MEMORY_LIMIT", 0)
    for batch in Examples(good).batches(2, shuffle=True).as_numpy_iterator():
        for name, image in zip(batch["id"], batch["image"], strict=True):
            assert true[name.decode()] == image.tobytes()


# What may happen to a file, and to a folder of them.
positions = st.floats(0, 1, exclude_max=True)
harms = st.one_of(
    st.tuples(st.just("flip"), positions, st.integers(1, 255)),
    st.tuples(st.just("cut"), positions, st.just(0)),
    st.tuples(st.just("insert"), positions, st.integers(0, 255)),
    st.tuples(st.just("delete"), positions, st.integers(1, 40)),
    st.tuples(st.just("repeat"), positions, st.integers(1, 200)),
    st.tuples(st.just("zero"), positions, st.integers(1, 600)),
    st.tuples(st.just("swap"), positions, st.just(0)),
    st.tuples(st.just("again"), positions, st.just(0)),
)


def harm(folder: Path, name: str, where: float, amount: int, which: int) -> None:
    paths = [*shards_of(folder), folder / "manifest.json"]
    path, other = paths[which], paths[(which + 1) % 3]
    data = path.read_bytes()
    at = int(where * len(data))
    path.write_bytes(
        {
            "flip": lambda: data[:at] + bytes([data[at] ^ amount]) + data[at + 1 :],
            "cut": lambda: data[:at],
            "insert": lambda: data[:at] + bytes([amount]) + data[at:],
            "delete": lambda: data[:at] + data[at + amount :],
            "repeat": lambda: data[: at + amount] + data[at:],
            "zero": lambda: data[:at] + bytes(len(data[at : at + amount])) + data[at + amount :],
            "swap": other.read_bytes,
            "again": lambda: data + data,
        }[name]()
    )
    if name == "swap":
        other.write_bytes(data)


def right_or_refused(folder: Path, true: dict[str, bytes]) -> None:
    seen: list[tuple[str, bytes]] = []
    with contextlib.suppress(MriTumorError):
        seen.extend(iter(pictures_before_the_error(folder)))
        verify_tfrecords(folder)
    assert all(true.get(name) == picture for name, picture in seen)


@settings(max_examples=60)
@given(harms=st.lists(st.tuples(harms, st.integers(0, 3)), min_size=1, max_size=3))
def test_harmed_folders_give_right_pictures_or_our_error(
    good: Path, tmp_path_factory: pytest.TempPathFactory, harms: list
) -> None:
    folder = tmp_path_factory.mktemp("harmed") / "set"
    shutil.copytree(good, folder)
    true = content(good)
    for (name, where, amount), which in harms:
        if (folder / "manifest.json").stat().st_size and all(p.stat().st_size for p in shards_of(folder)):
            harm(folder, name, where, amount, which)
    right_or_refused(folder, true)
    shutil.rmtree(folder.parent)


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(0, 3), max_size=2),
)


@settings(max_examples=60)
@given(data=st.data())
def test_edited_manifests_give_right_pictures_or_our_error(
    good: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("edited") / "set"
    shutil.copytree(good, folder)
    true = content(good)

    def change(sections: dict) -> None:
        place = sections[data.draw(st.sampled_from(["data", "shards"]))]
        if isinstance(place, list):
            place = place[data.draw(st.integers(0, len(place) - 1))]
        elif data.draw(st.booleans()):
            place = place[data.draw(st.sampled_from(["preprocess", "counts"]))]
        key = data.draw(st.sampled_from(sorted(place)))
        if data.draw(st.booleans()):
            del place[key]
        else:
            place[key] = data.draw(odd)

    edited(folder, change)
    right_or_refused(folder, true)
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize(
    "text", ['{"a": 1e999}', '"\\ud800"', "[" * 100_000, "9" * 5000, '{"kind": NaN}', "\0"]
)
def test_json_that_nobody_can_write_is_refused(folder: Path, text: str) -> None:
    whole = '{"kind":"shards","schema":"1.0","digest":"","versions":{},"sections":{"data":TEXT}}'
    for card in (text, whole.replace("TEXT", text)):
        (folder / "manifest.json").write_text(card)
        with pytest.raises(ManifestMismatch, match=r"manifest\.json"):
            verify_tfrecords(folder)


def test_pictures_are_not_views_that_a_reader_could_change(good: Path) -> None:
    picture = next(ShardFolder(good).records()).picture
    with pytest.raises(ValueError, match="read-only"):
        np.add(picture, 1, out=picture)


def test_of_a_file_of_another_size_nothing_is_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shards_of(folder)[0]
    card = Manifest.load(folder, kind="shards").sections["shards"][0]
    with path.open("r+b") as file:
        file.truncate(3 * 1024**3)  # takes no room: the rest is a hole
    tracemalloc.start()
    with pytest.raises(ShardError, match=path.name):
        list(ShardFolder(folder).records())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**28
    assert card["bytes"] < 2**20


class TestUnpackedFiles:
    def test_a_full_disk_is_said_and_no_half_file_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        files, full = UnpackedFiles(), [True]
        write = Path.write_bytes

        def half(self: Path, data: bytes) -> int:
            if full:
                write(self, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(self, data)

        monkeypatch.setattr(Path, "write_bytes", half)
        with pytest.raises(ShardError, match=r"a\.gz cannot be unpacked.*No space left.*room for 3 MB"):
            files.path("a.gz", lambda: b"x" * 3_000_000)
        full.clear()
        assert files.path("a.gz", lambda: b"whole").read_bytes() == b"whole"
        assert files.path("a.gz", lambda: b"never asked for").read_bytes() == b"whole"

    def test_no_temporary_folder_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
        with pytest.raises(ShardError, match=r"cannot be unpacked.*temporary files"):
            UnpackedFiles().path("a.gz", lambda: b"x")
