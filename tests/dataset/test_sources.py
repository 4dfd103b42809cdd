"""Fetching from a web server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mri_tumor.dataset.fetch import DownloadError, check_url
from mri_tumor.dataset.known_tables import KnownPicture
from mri_tumor.dataset.sources import Source, download, fetch_source
from mri_tumor.errors import ArgumentError

FILES = {"Training/no_tumor/a (1).jpg": b"a" * 70_000, "Testing/no_tumor/b[2].jpg": b"b" * 10}


class Handler(SimpleHTTPRequestHandler):
    asked: list[tuple[str, str | None]]
    fail: list[int]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Range"]))
        if self.fail:
            self.send_error(self.fail.pop())
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
    kind = type("Own", (Handler,), {"asked": [], "fail": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, directory=str(tmp_path / "web"))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield kind, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def source(url: str) -> Source:
    pictures = [
        KnownPicture("s", name, hashlib.sha256(data).hexdigest(), len(data), "", "", "", None, frozenset())
        for name, data in FILES.items()
    ]
    return Source(url, pictures, "research only")


def test_files_come_whole_after_a_failure_and_are_not_fetched_again(handler: Any, tmp_path: Path) -> None:
    kind, url = handler
    kind.fail.append(503)
    folder = fetch_source(source(url), tmp_path / "copy", pause=0)
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.jpg")} == FILES
    assert not (tmp_path / ".partial-copy").exists()
    asked = len(kind.asked)
    fetch_source(source(url), folder)
    assert (asked, len(kind.asked)) == (3, 3)


def test_a_part_is_gone_on_with(handler: Any, tmp_path: Path) -> None:
    kind, url = handler
    first = tmp_path / ".partial-copy" / "Training/no_tumor/a (1).jpg"
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


def test_only_https_or_this_machine() -> None:
    with pytest.raises(DownloadError, match="https"):
        check_url("http://example.org/a")


def test_figshare_says_how(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"scan_figshare\(folder\)"):
        download("figshare", tmp_path)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="other things"):
        fetch_source(source("https://example.org"), tmp_path)
