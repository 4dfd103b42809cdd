"""Several files at a time, in parts, between this machine and S3: boto3's own transfers."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.refusals import refusal
from mri_tumor.cloud.aws.s3.local_files import not_at_hand
from mri_tumor.errors import ArgumentError, CloudError, DownloadError

PART = 16 * 2**20
"""Bytes of a part; S3's 10,000 parts then hold 160 GB, beyond which boto3 takes larger ones."""

_MOST_THREADS = 32  # the connections that a client keeps


@dataclass(frozen=True)
class Item:
    """A file here and its object there.

    Args:
        name: relative to what is moved.
        path: the file.
        address: the object's.
        size: bytes.
    """

    name: str
    path: Path
    address: S3Address
    size: int


Start = Callable[[Any, Item, list[Any]], Any]
"""Hands an item to boto3's transfer manager, with those that want to hear of it."""


def check_threads(threads: int) -> None:
    """Refuse a number of threads that is none.

    Raises:
        ArgumentError: it is not 1 to 32.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= _MOST_THREADS:
        raise ArgumentError(f"threads is {threads!r}", f"1 to {_MOST_THREADS}", "pass threads=8")


def move(
    client: Any,
    items: Sequence[Item],
    start: Start,
    threads: int,
    moved: Callable[[int], None],
    finished: Callable[[Item], None],
) -> None:
    """Move files; the first failure, and anything that is raised meanwhile, stops all of them.

    What was begun in parts is then given up at S3 too. Requests wait neither for one file nor for one part:
    all parts of all files share `threads` requests at a time.

    Args:
        client: boto3's client of S3, used by nobody else meanwhile.
        items: what is moved.
        start: begins one.
        threads: how many requests run at a time.
        moved: is told of bytes as they move.
        finished: is called here, in this thread, with each item that is done.

    Raises:
        CloudError: AWS refused, or cannot be reached.
        DownloadError: a file cannot be written or read here.
    """
    if not items:
        return
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    config = TransferConfig(
        multipart_threshold=PART,
        multipart_chunksize=PART,
        max_concurrency=threads,
        preferred_transfer_client="classic",
    )
    done: SimpleQueue[tuple[Item, Any]] = SimpleQueue()
    with _stoppable(client) as stop, create_transfer_manager(client, config) as manager:
        try:
            left = len(items)
            for item in items:
                start(manager, item, [_Listener(item, done, moved)])
                while not done.empty():
                    finished(_result(*done.get()))
                    left -= 1
            for _ in range(left):
                finished(_result(*done.get()))
        except BaseException:
            stop.set()
            raise


class _Listener:
    """What boto3's transfers tell of one item; they call this from their threads."""

    def __init__(
        self, item: Item, done: "SimpleQueue[tuple[Item, Any]]", moved: Callable[[int], None]
    ) -> None:
        self._item, self._done, self._moved = item, done, moved

    def on_progress(self, future: Any, bytes_transferred: int, **_: Any) -> None:
        self._moved(bytes_transferred)

    def on_done(self, future: Any, **_: Any) -> None:
        self._done.put((self._item, future))


class _StoppedError(Exception):
    """A request was not sent because the transfer it belongs to has ended."""


@contextlib.contextmanager
def _stoppable(client: Any) -> Iterator[threading.Event]:
    """Yield an event; once it is set, no object is asked for, and none again.

    boto3's manager waits for what runs. It ends sending by itself, and would go on trying to fetch.
    """
    stop = threading.Event()

    def refuse(**_: Any) -> None:
        if stop.is_set():
            raise _StoppedError

    client.meta.events.register("before-send.s3.GetObject", refuse)
    try:
        yield stop
    finally:
        client.meta.events.unregister("before-send.s3.GetObject", refuse)


def _result(item: Item, future: Any) -> Item:
    try:
        future.result()
    except Exception as error:
        # The last of several tries is what tells something.
        raise _explained(item, getattr(error, "last_exception", None) or error) from error
    return item


def _explained(item: Item, error: Exception) -> CloudError | DownloadError:
    from botocore.exceptions import BotoCoreError, ClientError

    # botocore's errors of connections are OSErrors too.
    if isinstance(error, OSError) and not isinstance(error, BotoCoreError | ConnectionError | TimeoutError):
        return not_at_hand(item.path, error)
    # boto3 hides some of S3's answers behind errors of its own.
    answer = error.__context__ if isinstance(error.__context__, ClientError) else error
    return refusal(f"moving {item.path} and {item.address}", answer)
