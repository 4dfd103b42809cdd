"""Fetching from a web server on this machine."""

import hashlib
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mri_tumor.dataset import sources
from mri_tumor.dataset.public import fetch as fetching
from mri_tumor.dataset.public.fetch import check_url
from mri_tumor.dataset.public.known_tables import KnownPicture
from mri_tumor.dataset.sources import Source, download, fetch_source
from mri_tumor.errors import ArgumentError, DownloadError, MriTumorError
from mri_tumor.files import locked, whole_folder

FILES = {"Training/no_tumor/a (1).jpg": b"a" * 70_000, "Testing/no_tumor/b[2].jpg": b"b" * 10}


class Handler(SimpleHTTPRequestHandler):
    asked: list[tuple[str, str | None]]
    fail: list[int]
    moved: str

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Range"]))
        if self.fail:
            self.send_error(self.fail.pop())
            return
        if self.moved:
            self.send_response(302)
            self.send_header("Location", self.moved + self.path)
            self.end_headers()
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        start = int((self.headers["Range"] or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.end_headers()
        self.wfile.write(data[start:])

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[tuple[type[Handler], str]]:
    for name, data in FILES.items():
        (tmp_path / "web" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "web" / name).write_bytes(data)
    kind = type("Own", (Handler,), {"asked": [], "fail": [], "moved": ""})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, directory=str(tmp_path / "web"))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield kind, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def source(url: str) -> Source:
    pictures = [
        KnownPicture(
            "s", name, hashlib.sha256(data).hexdigest(), len(data), "", "", "", None, None, frozenset()
        )
        for name, data in FILES.items()
    ]
    return Source(url, pictures, "research only", "(1) open the page")


def test_files_come_whole_after_a_failure_and_are_not_fetched_again(handler: Any, tmp_path: Path) -> None:
    kind, url = handler
    kind.fail.append(503)
    folder = fetch_source(source(url), tmp_path / "copy", pause=0)
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.jpg")} == FILES
    assert [path.name for path in tmp_path.glob(".*")] == []
    asked = len(kind.asked)
    fetch_source(source(url), folder)
    assert (asked, len(kind.asked)) == (3, 3)


def test_a_part_is_gone_on_with(handler: Any, tmp_path: Path) -> None:
    kind, url = handler
    first = tmp_path / ".download-copy" / "Training/no_tumor/a (1).jpg"
    first.parent.mkdir(parents=True)
    first.write_bytes(b"a" * 100)
    fetch_source(source(url), tmp_path / "copy", pause=0)
    assert "bytes=100-" in [asked for _, asked in kind.asked]


@pytest.mark.parametrize(("damage", "says"), [("gone", "404"), ("other", "other bytes"), ("cut", "cut")])
def test_what_cannot_be_fetched_leaves_nothing(handler: Any, tmp_path: Path, damage: str, says: str) -> None:
    _, url = handler
    file = tmp_path / "web" / "Testing/no_tumor/b[2].jpg"
    file.unlink() if damage == "gone" else file.write_bytes(b"x" * (10 if damage == "other" else 4))
    with pytest.raises(DownloadError, match=says):
        fetch_source(source(url), tmp_path / "copy", pause=0)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("moved", "says"),
    [
        ("http://example.org", "address http://example.org/.* is not https"),
        ("ftp://127.0.0.1", "address ftp://127.0.0.1/.* is not https"),
        ("file:///etc", "answers 302"),  # urllib's own rule comes first
    ],
)
def test_a_redirect_to_what_is_not_https_is_refused(
    handler: Any, tmp_path: Path, moved: str, says: str
) -> None:
    kind, url = handler
    kind.moved = moved
    with pytest.raises(DownloadError, match=says):
        fetch_source(source(url), tmp_path / "copy", pause=0)
    assert not (tmp_path / "copy").exists()


def test_a_redirect_on_this_machine_is_followed(handler: Any, tmp_path: Path) -> None:
    kind, url = handler
    first = type("First", (kind,), {"moved": url})
    with ThreadingHTTPServer(("127.0.0.1", 0), first) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            fetch_source(source(f"http://127.0.0.1:{server.server_address[1]}"), tmp_path / "copy", pause=0)
        finally:
            server.shutdown()
            thread.join()
    assert {path.read_bytes() for path in (tmp_path / "copy").rglob("*.jpg")} == set(FILES.values())


def test_waiting_comes_only_before_another_try(
    handler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, url = handler
    waited: list[float] = []
    monkeypatch.setattr(fetching.time, "sleep", waited.append)
    monkeypatch.setattr(sources, "CONNECTIONS", 1)
    fetch_source(source(url), tmp_path / "good")
    assert waited == []
    kind.fail += [503, 503]
    fetch_source(source(url), tmp_path / "late")
    assert waited == [1, 2]
    kind.fail += [503] * 4
    with pytest.raises(DownloadError, match=r"503.*try later.*By hand: \(1\) open the page"):
        fetch_source(source(url), tmp_path / "never")
    assert waited == [1, 2, 1, 2, 4]


def test_a_full_disk_is_said_and_the_next_call_goes_on(handler: Any, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    kind, url = handler
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The limit on a file's size makes write() itself fail, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DownloadError, match=r"a \(1\)\.jpg cannot be written.*room on the disk.*goes on"):
            fetch_source(source(url), tmp_path / "copy", pause=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "copy").exists()
    fetch_source(source(url), tmp_path / "copy", pause=0)
    assert "bytes=20000-" in [asked for _, asked in kind.asked]
    assert {path.read_bytes() for path in (tmp_path / "copy").rglob("*.jpg")} == set(FILES.values())


def test_a_place_that_cannot_be_written_is_said_before_anything_is_fetched(
    handler: Any, tmp_path: Path
) -> None:
    kind, url = handler
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"file/\.download-copy cannot be written"):
        fetch_source(source(url), tmp_path / "file" / "copy", pause=0)
    assert kind.asked == []


def test_what_an_earlier_call_left_of_other_files_goes(handler: Any, tmp_path: Path) -> None:
    _, url = handler
    old = tmp_path / ".download-copy" / "Training" / "old_tumor" / "c.jpg"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"c")
    folder = fetch_source(source(url), tmp_path / "copy", pause=0)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == set(FILES)
    assert not (folder / "Training" / "old_tumor").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such lock")
def test_one_call_at_a_time_and_none_in_the_way_of_shards(handler: Any, tmp_path: Path) -> None:
    kind, url = handler
    with locked(tmp_path / ".download-copy", tmp_path / "copy"):
        with pytest.raises(MriTumorError, match="written by another process"):
            fetch_source(source(url), tmp_path / "copy", pause=0)
        with whole_folder(tmp_path / "copy", key="shards"):
            pass
    assert kind.asked == []


def test_a_part_with_wrong_bytes_is_fetched_anew(handler: Any, tmp_path: Path) -> None:
    _, url = handler
    first = tmp_path / ".download-copy" / "Training/no_tumor/a (1).jpg"
    first.parent.mkdir(parents=True)
    first.write_bytes(b"x" * 100)
    folder = fetch_source(source(url), tmp_path / "copy", pause=0)
    assert (folder / "Training/no_tumor/a (1).jpg").read_bytes() == b"a" * 70_000


def test_download_and_its_command_fetch_the_known_pictures(
    handler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from mri_tumor.cli.app import app

    _, url = handler
    monkeypatch.setattr(sources, "_SARTAJ_URL", url)
    monkeypatch.setattr(sources, "known_pictures", lambda name: source(url).pictures)
    assert download("sartaj", tmp_path / "copy") == tmp_path / "copy"
    told = CliRunner().invoke(app, ["download", "sartaj", str(tmp_path / "again")])
    assert (told.exit_code, told.stdout.strip()) == (0, str(tmp_path / "again"))
    for name in ("copy", "again"):
        assert {path.read_bytes() for path in (tmp_path / name).rglob("*.jpg")} == set(FILES.values())


def test_only_https_or_this_machine() -> None:
    with pytest.raises(DownloadError, match="https"):
        check_url("http://example.org/a")


def test_figshare_says_how(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"\(1\) open .*\(4\) call dataset\.scan_figshare\(folder\)"):
        download("figshare", tmp_path)
    with pytest.raises(ArgumentError, match=r"\(1\) log in .*\(3\) unpack"):
        download("kaggle", tmp_path)
    with pytest.raises(ArgumentError, match=r"no source is called 'sartai'"):
        download("sartai", tmp_path)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="other things"):
        fetch_source(source("https://example.org"), tmp_path)
