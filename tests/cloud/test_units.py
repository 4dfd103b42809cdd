"""Units: what one shard is made from, as a card and as an archive."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mri_tumor import dataset
from mri_tumor.cloud.units import opened, pack_unit, write_card
from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.shards.writing import Share
from mri_tumor.dataset.tfrecord import plan_of
from mri_tumor.errors import PackageError, ReadError

from .conftest import SPEC


@pytest.fixture
def share(catalog: dataset.Catalog) -> Share:
    return plan_of(catalog, SPEC, 4, "gzip").share(1)


@pytest.fixture
def unit(share: Share, tmp_path: Path) -> Path:
    return pack_unit(share, tmp_path)


def said(share: Share) -> tuple:
    records = [(one.id, one.label, one.group, one.path.read_bytes()) for one in share.pictures]
    return share.name, share.first, share.preprocess, share.compression, share.pictures.classes, records


def test_both_forms_say_what_the_shard_is_made_from(share: Share, unit: Path, tmp_path: Path) -> None:
    card = write_card(share, tmp_path)
    assert (card.name, unit.name) == ("unit-00001-of-00004.json", "unit-00001-of-00004.tar")
    for path in (card, unit):
        with opened(path) as found:
            assert said(found) == said(share)
    # What was unpacked is gone, and so is the card that went into the archive.
    assert sorted(tmp_path.iterdir()) == [card, unit]
    assert [one["index"] for one in json.loads(card.read_bytes())["records"]] == list(range(10, 20))


def test_the_archive_depends_on_the_pictures_only(share: Share, unit: Path, tmp_path: Path) -> None:
    moved = []
    (tmp_path / "elsewhere").mkdir()
    for record in share.pictures:
        path = tmp_path / "elsewhere" / f"{len(moved)}.picture"
        path.write_bytes(record.path.read_bytes())
        moved.append(Record(record.id, path, record.label, record.group))
    other = Share(share.name, Catalog(moved), share.first, SPEC, "raise", "gzip")
    assert pack_unit(other, tmp_path / "elsewhere").read_bytes() == unit.read_bytes()
    with tarfile.open(unit) as tar:
        entries = tar.getmembers()
    assert [one.name for one in entries] == ["unit.json", *(f"{number:06d}" for number in range(10))]
    assert {(one.mtime, one.uid, one.uname, one.mode) for one in entries} == {(0, 0, "", 0o644)}


def test_a_picture_that_is_gone(share: Share, tmp_path: Path) -> None:
    record = share.pictures[0]
    gone = Catalog([*share.pictures[1:], Record(record.id, tmp_path / "gone.jpg", record.label)])
    with pytest.raises(ReadError, match=r"part-00001-of-00004.*gone\.jpg"):
        pack_unit(Share(share.name, gone, 0, SPEC, "raise", None), tmp_path)


Member = tuple[tarfile.TarInfo, bytes]


def renamed(name: str) -> Callable[[list[Member]], None]:
    def change(members: list[Member]) -> None:
        members[3][0].name = name

    return change


def linked(members: list[Member]) -> None:
    members[3][0].type, members[3][0].linkname, members[3][0].size = tarfile.SYMTYPE, "/etc/passwd", 0


def named_in_card(members: list[Member]) -> None:
    card = json.loads(members[0][1])
    card["records"][2]["file"] = "/etc/passwd"
    data = json.dumps(card).encode()
    members[0][0].size = len(data)
    members[0] = (members[0][0], data)


@pytest.mark.parametrize(
    "change",
    [
        renamed("../000002"),
        renamed("/tmp/000002"),
        renamed("000001"),
        linked,
        named_in_card,
        lambda members: members.pop(),
        lambda members: members.pop(0),
        lambda members: members.append(members[-1]),
        lambda members: members.clear(),
        lambda members: members.__delitem__(slice(1, None)),
    ],
)
def test_an_archive_with_anything_else_is_refused(
    unit: Path, tmp_path: Path, change: Callable[[list[Member]], None]
) -> None:
    with tarfile.open(unit) as tar:
        members = [(one, tar.extractfile(one).read()) for one in tar.getmembers()]
    change(members)
    folder = tmp_path / "inner" / "units"
    folder.mkdir(parents=True)
    bad = folder / unit.name
    with tarfile.open(bad, "w") as tar:
        for entry, data in members:
            tar.addfile(entry, io.BytesIO(data))
    with pytest.raises(PackageError, match="is damaged"), opened(bad):
        pass
    assert list(folder.iterdir()) == [bad]
    assert list(folder.parent.iterdir()) == [folder]


def test_an_archive_that_is_cut_off_is_refused(unit: Path) -> None:
    whole = unit.read_bytes()
    end = len(whole.rstrip(b"\0"))
    for length in [*range(0, end, 700), end]:
        unit.write_bytes(whole[:length])
        with pytest.raises(PackageError), opened(unit):
            pass
