import contextlib
import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.cloud.archive import Limits, extract, pack, unpack
from mri_tumor.cloud.tar import Source
from mri_tumor.errors import PackageError


def write(path: Path, *members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w:gz", format=form) as tar:
        for entry, content in members:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def filled(folder: Path) -> Path:
    for name, content in {"1/a.pb": b"a" * 1000, "code/b.py": b"", "ö/c d.txt": b"xyz"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_what_is_packed_comes_out_again(tmp_path: Path) -> None:
    folder = filled(tmp_path / "in")
    extract(pack(folder, tmp_path / "a.tar.gz"), tmp_path / "out")
    assert files(tmp_path / "out") == files(folder)


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    first = pack(filled(tmp_path / "one"), tmp_path / "a.tar.gz")
    second = pack(filled(tmp_path / "two"), tmp_path / "another name.tar.gz")
    assert first.read_bytes() == second.read_bytes()
    (tmp_path / "two" / "1" / "a.pb").write_bytes(b"b" * 1000)
    assert pack(tmp_path / "two", second).read_bytes() != first.read_bytes()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_archives_of_ordinary_tar_are_read(tmp_path: Path, form: int) -> None:
    long = "/".join(["folder" * 5] * 4) + "/" + "name" * 15
    assert len(long) > 155
    folder = entry("./1", tarfile.DIRTYPE)
    path = write(
        tmp_path / "a.tar.gz",
        (entry(".", tarfile.DIRTYPE), b""),
        (folder, b""),
        (entry("./1/x"), b"1" * 700),
        (entry(long), b"2"),
        form=form,
    )
    assert unpack(path, tmp_path) == []
    assert (tmp_path / "1" / "x").read_bytes() == b"1" * 700
    assert (tmp_path / long).read_bytes() == b"2"


def test_what_a_folder_holds_beyond_files_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no files"):
        pack(tmp_path, tmp_path / "a.tar.gz")
    filled(tmp_path / "in")
    (tmp_path / "in" / "link").symlink_to("/etc/passwd")
    with pytest.raises(PackageError, match="is a link"):
        pack(tmp_path / "in", tmp_path / "a.tar.gz")
    assert not (tmp_path / "a.tar.gz").exists()


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (entry("../escaped"), "not normalised"),
        (entry("a/../../escaped"), "not normalised"),
        (entry("./../escaped"), "not normalised"),
        (entry("a//b"), "not normalised"),
        (entry("/tmp/escaped"), "absolute"),
        (entry("//tmp/escaped"), "absolute"),
        (entry("C:/escaped"), "Windows name"),
        (entry("..\\escaped"), "Windows name"),
        (entry("a/nul.txt"), "Windows keeps"),
        (entry("a/b."), "Windows keeps"),
        (entry("a\nb"), "control characters"),
        (entry("n" * 300), "too long"),
        (entry("link", tarfile.SYMTYPE, "/etc/passwd"), "symbolic link"),
        (entry("link", tarfile.LNKTYPE, "/etc/passwd"), "hard link"),
        (entry("device", tarfile.CHRTYPE), "device"),
        (entry("device", tarfile.BLKTYPE), "device"),
        (entry("pipe", tarfile.FIFOTYPE), "pipe"),
        (entry("strange", b"Z"), "type b'Z'"),
    ],
    ids=lambda value: repr(getattr(value, "name", value))[:20],
)
def test_nothing_is_written_outside_or_through_a_link(
    tmp_path: Path, member: tarfile.TarInfo, reason: str
) -> None:
    path = write(tmp_path / "a.tar.gz", (entry("good"), b"1"), (member, b""), (entry("later"), b"2"))
    inside = tmp_path / "x" / "y" / "inside"
    inside.mkdir(parents=True)
    (problem,) = unpack(path, inside)
    assert reason in problem
    assert files(tmp_path / "x") == {"y/inside/good": b"1", "y/inside/later": b"2"}
    with pytest.raises(PackageError, match=r"cannot be used:\n  \(1\) member"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_is_not_followed_by_a_later_member(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    link = entry("place", tarfile.SYMTYPE, str(tmp_path / "outside"))
    path = write(tmp_path / "a.tar.gz", (link, b""), (entry("place/file"), b"1"))
    (tmp_path / "inside").mkdir()
    assert len(unpack(path, tmp_path / "inside")) == 1
    assert files(tmp_path / "outside") == {}


@pytest.mark.parametrize(
    ("names", "clash"),
    [
        (("a", "a"), "a"),
        (("a", "A"), "A"),
        (("a", "a/b"), "a/b"),
        (("a/b", "a"), "a"),
        (("ä", "a\u0308"), "a\u0308"),
    ],
)
def test_two_members_on_one_place_are_refused(tmp_path: Path, names: tuple[str, str], clash: str) -> None:
    path = write(tmp_path / "a.tar.gz", *((entry(name), b"1") for name in names))
    (tmp_path / "inside").mkdir()
    (problem,) = unpack(path, tmp_path / "inside")
    assert problem.startswith(f"member {clash!r} takes the place")


def test_a_bomb_is_stopped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar.gz", (entry("zeros"), bytes(40 * 2**20)))
    assert path.stat().st_size < 2**18
    with pytest.raises(PackageError, match="more than is allowed"):
        extract(path, tmp_path / "out")
    extract(path, tmp_path / "out", limits=Limits(ratio=2000))


def test_limits_on_size_and_count(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar.gz", *((entry(f"{number}"), b"12345678") for number in range(5)))
    with pytest.raises(PackageError, match="over 4 members"):
        extract(path, tmp_path / "out", limits=Limits(members=4))
    with pytest.raises(PackageError, match="more than is allowed"):
        extract(path, tmp_path / "out", limits=Limits(size=2000))
    extract(path, tmp_path / "out", limits=Limits(members=5))


def test_a_huge_extended_header_is_not_read(tmp_path: Path) -> None:
    member = entry("a")
    member.pax_headers = {"comment": "x" * 100_000}
    with pytest.raises(PackageError, match="header of 100"):
        extract(write(tmp_path / "a.tar.gz", (member, b"")), tmp_path / "out")


@pytest.mark.parametrize("key", ["GNU.sparse.major", "size"])
def test_sparse_files_are_refused(tmp_path: Path, key: str) -> None:
    member = entry("a")
    member.pax_headers = {key: "1"}
    path = write(tmp_path / "a.tar.gz", (member, b""))
    (tmp_path / "inside").mkdir()
    assert "sparse" in unpack(path, tmp_path / "inside")[0]


def test_an_archive_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    whole = pack(filled(tmp_path / "in"), tmp_path / "a.tar.gz").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(PackageError):
            extract(tmp_path / "cut", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def changed_header(change: Callable[[bytearray], None]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        made = entry("a")
        made.size = 3
        tar.addfile(made, io.BytesIO(b"abc"))
    data = bytearray(raw.getvalue())
    change(data)
    return gzip.compress(bytes(data))


def checksum(data: bytearray) -> None:
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])


def larger(data: bytearray) -> None:
    data[124:136] = b"\x80" + bytes(6) + b"\x7f" * 5
    checksum(data)


def no_number(data: bytearray) -> None:
    data[124:136] = b"one hundred "
    checksum(data)


def sized(text: bytes, kind: bytes = b"0") -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[124:136], data[156:157] = text, kind
        checksum(data)

    return change


@pytest.mark.parametrize("size", [b"-0000000001\0", b"-0000001000\0", b"+0000000001\0", b"0000_000001\0"])
@pytest.mark.parametrize("kind", [b"0", b"5", b"x", b"g", b"L", b"K"])
def test_a_size_that_is_no_plain_number_lifts_no_limit(tmp_path: Path, size: bytes, kind: bytes) -> None:
    """With a size of -1 a reader that trusts it would unpack all that follows into memory."""
    data = bytearray(gzip.decompress(changed_header(sized(size, kind)))) + bytes(40 * 2**20)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(bytes(data)))
    tracemalloc.start()
    try:
        with pytest.raises(PackageError, match="no number"):
            extract(tmp_path / "a.tar.gz", tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_a_source_gives_no_fewer_bytes_than_none() -> None:
    with pytest.raises(PackageError, match="-1 bytes"):
        Source(io.BytesIO(b"abc"), "a.tar.gz", 100).take(-1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.__setitem__(0, 66), "checksum"),
        (larger, "larger than 8 GiB"),
        (no_number, "no number"),
        (lambda data: data.append(1), "after its end"),
    ],
)
def test_damaged_headers(tmp_path: Path, change: Callable[[bytearray], None], reason: str) -> None:
    (tmp_path / "a.tar.gz").write_bytes(changed_header(change))
    with pytest.raises(PackageError, match=reason):
        extract(tmp_path / "a.tar.gz", tmp_path / "out")


def test_no_archive_at_all(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="No such file"):
        extract(tmp_path / "missing", tmp_path / "out")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(PackageError, match="gzipped"):
        extract(tmp_path / "text", tmp_path / "out")


@given(st.binary(max_size=2000))
def test_any_bytes_are_an_archive_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "a").write_bytes(gzip.compress(data))
    with contextlib.suppress(PackageError):
        extract(folder / "a", folder / "out")
        assert not data.strip(b"\0"), "only an empty archive is whole"
