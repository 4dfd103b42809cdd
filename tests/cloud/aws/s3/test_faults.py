"""What goes wrong on the way to S3 and back: nothing is lost, and the next call goes on."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from s3_servers import Bucket, Fault, Proxy, RcloneServer, lead_to, proxied, wait_for

from mri_tumor import cloud
from mri_tumor.cloud.aws import account
from mri_tumor.errors import CloudError, DownloadError, MriTumorError

LARGE = 40 * 2**20


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    for name in ("1", "2", "3"):
        (folder / name).write_bytes(random.Random(name).randbytes(5000))
    return folder


@pytest.fixture
def large(tmp_path: Path) -> Path:
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "one").write_bytes(random.Random(1).randbytes(LARGE))
    return folder


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_ATTEMPTS", 2)


def same(one: Path, other: Path) -> bool:
    names = {path.name for path in one.iterdir()}
    return names == {path.name for path in other.iterdir()} and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in names
    )


@pytest.mark.parametrize("kind", ["slow down", "error", "reset"])
def test_what_passes_is_tried_again(
    rclone: Bucket, proxy: Proxy, tree: Path, tmp_path: Path, kind: str
) -> None:
    proxy.faults += [Fault(kind, "PUT", count=2), Fault(kind, "GET", "list-type", count=1)]
    assert len(cloud.upload(tree, rclone.address("x")).files) == 3
    proxy.faults += [Fault(kind, "GET", "x/", count=2, after=1), Fault(kind, "HEAD", count=1)]
    cloud.download(rclone.address("x"), tmp_path / "copy")
    assert same(tree, tmp_path / "copy")
    assert all(fault.count == 0 for fault in proxy.faults)


@pytest.mark.parametrize(
    ("kind", "code", "fix"),
    [
        ("slow down", "Throttling", "wait a while"),
        ("error", "ServiceUnavailable", "wait a while"),
        ("expired", "ExpiredToken", "log in again"),
        ("denied", "AccessDenied", "policy"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_what_stays_is_said_and_the_next_call_goes_on(
    rclone: Bucket, proxy: Proxy, tree: Path, tmp_path: Path, kind: str, code: str, fix: str
) -> None:
    proxy.faults.append(Fault(kind, "PUT", "x/2"))
    with pytest.raises(CloudError, match=r"tree/2 and s3://.*/x/2") as caught:
        cloud.upload(tree, rclone.address("x"), threads=1)
    assert caught.value.code == code
    assert fix in caught.value.fix
    there = rclone.keys()
    assert "x/2" not in there
    proxy.faults.clear()
    again = cloud.upload(tree, rclone.address("x"))
    assert sorted(f"x/{name}" for name in again.there) == there
    proxy.faults.append(Fault(kind, "GET", "x/2"))
    with pytest.raises(CloudError, match="x/2") as caught:
        cloud.download(rclone.address("x"), tmp_path / "copy")
    assert caught.value.code == code
    assert not (tmp_path / "copy").exists()
    proxy.faults.clear()
    cloud.download(rclone.address("x"), tmp_path / "copy")
    assert same(tree, tmp_path / "copy")


def test_an_answer_that_breaks_off_is_asked_for_again(
    rclone: Bucket, proxy: Proxy, tree: Path, large: Path, tmp_path: Path
) -> None:
    cloud.upload(tree, rclone.address("x"))
    cloud.upload(large, rclone.address("y"))
    proxy.faults += [Fault("broken body", "GET", path, count=1) for path in ("x/2", "y/one")]
    cloud.download(rclone.address("x"), tmp_path / "small copy")
    cloud.download(rclone.address("y"), tmp_path / "large copy")
    assert same(tree, tmp_path / "small copy")
    assert same(large, tmp_path / "large copy")
    assert all(fault.count == 0 for fault in proxy.faults)


@pytest.mark.parametrize("kind", ["short body", "other body"])
@pytest.mark.parametrize("name", ["2", "one"])
def test_a_file_that_comes_wrong_is_not_kept(
    rclone: Bucket, proxy: Proxy, tree: Path, large: Path, tmp_path: Path, kind: str, name: str
) -> None:
    folder = tree if name == "2" else large
    cloud.upload(folder, rclone.address("x"))
    proxy.faults.append(Fault(kind, "GET", f"x/{name}"))
    with pytest.raises(MriTumorError, match=rf"x/{name}.*call it again") as caught:
        cloud.download(rclone.address("x"), tmp_path / "copy")
    assert isinstance(caught.value, CloudError | DownloadError)
    assert not (tmp_path / "copy").exists()
    assert not list((tmp_path / ".download-copy").glob(f"{name}*"))
    proxy.faults.clear()
    cloud.download(rclone.address("x"), tmp_path / "copy")
    assert same(folder, tmp_path / "copy")


def test_a_file_that_changes_while_it_is_sent(rclone: Bucket, proxy: Proxy, tree: Path) -> None:
    proxy.faults.append(Fault("call", "PUT", "x/2", action=lambda: (tree / "2").write_bytes(b"new")))
    with pytest.raises(CloudError, match=r"tree/2 was changed while it was sent"):
        cloud.upload(tree, rclone.address("x"))


@pytest.mark.usefixtures("impatient")
def test_a_file_that_vanishes_while_it_is_sent(rclone: Bucket, proxy: Proxy, tree: Path) -> None:
    # The list of what is there is asked for after the files were read and before they are sent.
    proxy.faults.append(Fault("call", "GET", "list-type", action=(tree / "2").unlink))
    with pytest.raises(DownloadError, match=r"tree/2 cannot be read or written \(No such file"):
        cloud.upload(tree, rclone.address("x"))


@pytest.mark.usefixtures("impatient")
def test_a_server_that_dies_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, tree: Path, large: Path, tmp_path: Path
) -> None:
    (tmp_path / "served").mkdir()
    with RcloneServer(tmp_path / "served") as server:
        bucket = server.bucket()
        lead_to(server.url, monkeypatch)
        cloud.upload(tree / "1", bucket.address("x"))
        with pytest.raises(CloudError, match="s3://") as caught:
            dying(server, bucket, monkeypatch, lambda: cloud.upload(tree, bucket.address("x")), "PUT", "x/3")
        assert "check network" in caught.value.fix
        server.start()
        # This server forgets metadata when it ends: what is there is then known by its MD5.
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        again = cloud.upload(tree, bucket.address("x"))
        assert "1" in again.there
        assert "3" in again.files

        def fetch() -> object:
            return cloud.download(bucket.address("x"), tmp_path / "copy")

        with pytest.raises(CloudError, match="s3://"):
            dying(server, bucket, monkeypatch, fetch, "GET", "x/3")
        assert not (tmp_path / "copy").exists()
        server.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        cloud.download(bucket.address("x"), tmp_path / "copy")
    assert same(tree, tmp_path / "copy")


def dying(
    server: RcloneServer,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[], object],
    method: str,
    path: str,
) -> None:
    """Call something while the server dies at one of its requests."""
    with proxied(bucket.url) as proxy:
        proxy.faults.append(Fault("call", method, path, count=1, action=server.kill))
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        call()


def program(function: str, source: object, target: object, threads: int = 2) -> "subprocess.Popen[str]":
    code = (
        "import sys; from mri_tumor import cloud\n"
        "getattr(cloud, sys.argv[1])(sys.argv[2], sys.argv[3], threads=int(sys.argv[4]))\n"
    )
    command = [sys.executable, "-c", code, function, str(source), str(target), str(threads)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def test_an_interrupt_ends_a_download_at_once(
    rclone: Bucket, proxy: Proxy, tree: Path, tmp_path: Path
) -> None:
    cloud.upload(tree, rclone.address("x"))
    proxy.faults.append(Fault("slow down", "GET", "x/2"))
    process = program("download", rclone.address("x"), tmp_path / "copy")
    wait_for(lambda: proxy.seen.count(("GET", f"/{rclone.name}/x/2")) == 2, 60)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert "KeyboardInterrupt" in errors.splitlines()[-1]
    assert proxy.seen.count(("GET", f"/{rclone.name}/x/2")) <= 3  # of eight tries
    assert not (tmp_path / "copy").exists()


def test_an_interrupt_ends_an_upload_at_once_and_leaves_no_parts(
    rclone: Bucket, proxy: Proxy, large: Path
) -> None:
    held = threading.Event()
    proxy.faults += [
        Fault("call", "PUT", "partNumber=1", action=held.set),
        Fault("slow down", "PUT", "partNumber=2"),
        Fault("call", "PUT", "partNumber=3", action=lambda: time.sleep(1)),
    ]
    process = program("upload", large, rclone.address("x"))
    assert held.wait(60)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - start < 15  # all tries of the second part take far longer
    assert "KeyboardInterrupt" in errors.splitlines()[-1]
    assert rclone.keys() == rclone.unfinished() == []


def test_parts_that_a_killed_call_left_are_removed(
    rclone: Bucket, proxy: Proxy, large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun = threading.Event()
    proxy.faults += [
        Fault("call", "PUT", "partNumber=1", action=begun.set),
        Fault("call", "PUT", "partNumber=3", action=lambda: time.sleep(1)),
    ]
    process = program("upload", large, rclone.address("x"), threads=1)
    assert begun.wait(60)
    process.kill()
    process.communicate()
    wait_for(lambda: rclone.unfinished() == ["x/one"])
    proxy.faults.clear()
    with caplog.at_level("INFO"):
        assert cloud.upload(large, rclone.address("x")).files == ("one",)
    assert f"gave up an unfinished upload of {rclone.address('x/one')}" in caplog.text
    assert rclone.unfinished() == []
    assert rclone.head("x/one")["ContentLength"] == LARGE


def test_requests_run_as_many_at_a_time_as_was_said(rclone: Bucket, proxy: Proxy, large: Path) -> None:
    for number in range(6):
        (large / f"small{number}").write_bytes(bytes([number]))
    running, most, threads = set(), [0], [0]
    lock, three = threading.Lock(), threading.Event()
    before = threading.active_count()

    def enter() -> None:
        me = threading.get_ident()
        with lock:
            running.add(me)
            most[0] = max(most[0], len(running))
            threads[0] = max(threads[0], threading.active_count())
            if len(running) == 3:
                three.set()
        assert three.wait(60)
        time.sleep(0.05)  # a fourth would come now
        with lock:
            running.discard(me)

    proxy.faults.append(Fault("call", "PUT", action=enter))
    cloud.upload(large, rclone.address("x"), threads=3)
    assert most[0] == 3
    # Ours: those that send, five that cut files into parts, one that writes; the proxy's: one a connection.
    assert threads[0] - before <= 3 + 5 + 1 + 4
