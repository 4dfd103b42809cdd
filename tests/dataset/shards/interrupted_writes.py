"""Writes shards in processes of their own that are killed or run out of space; prints what was left as JSON.

Run by test_interrupted_writes.py: one start of TensorFlow serves all processes, which are forked from it.
"""

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mri_tumor.dataset import decoding
from mri_tumor.dataset.catalog import scan
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.shards import writing
from mri_tumor.dataset.tfrecord import write_tfrecords

SHARDS = 4


def forked(work: Callable[[], Any]) -> dict[str, Any]:
    """Run `work` in a process of its own; return how it ended and what it returned or raised."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            answer = {"result": work()}
        except BaseException as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(process, 0)
    return {"killed": os.WIFSIGNALED(status), **(json.loads(answer) if answer else {})}


def kill_at(owner: Any, name: str, call: int) -> None:
    """Have this process killed when a function is called for the nth time, from 0."""
    function, calls = getattr(owner, name), []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) > call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    setattr(owner, name, counted)


def written(pictures: Path, target: Path, **how: Any) -> int:
    """Write the shards; return how many pictures were read for it."""
    read: list[Any] = []
    real = decoding.read_image

    def counted(path: Path) -> Any:
        read.append(path)
        return real(path)

    decoding.read_image = counted
    write_tfrecords(scan(pictures), target, preprocess=Preprocess(size=16), shards=SHARDS, **how)
    return len(read)


def content(folder: Path) -> dict[str, str]:
    """Return name -> bytes of a folder's files, or nothing if it is not there."""
    if not folder.is_dir():
        return {}
    return {path.name: path.read_bytes().hex() for path in sorted(folder.iterdir())}


def kills(pictures: Path, place: Path, how: dict[str, Any]) -> list[dict[str, Any]]:
    """Kill a write at many moments, then call it again; tell what lay there in between and in the end."""
    forked(lambda: written(pictures, place / "expected", **how))
    moments = [(writing, "_serialised", call) for call in (0, 1, 4, 7, 11)]
    moments += [(writing, "_note", call) for call in range(SHARDS)]
    moments += [(Path, "replace", call) for call in range(SHARDS + 4)]
    expected, found = content(place / "expected"), []
    for owner, name, call in moments:
        target = place / f"{name}-{call}"

        def killed(owner: Any = owner, name: str = name, call: int = call, target: Path = target) -> int:
            kill_at(owner, name, call)
            return written(pictures, target, workers=1, **how)

        first = forked(killed)
        between = content(target)
        again = forked(lambda target=target: written(pictures, target, workers=2, **how))
        found.append(
            {
                "moment": target.name,
                "killed": first["killed"],
                "between": "nothing" if not between else "whole" if between == expected else "broken",
                "read": again.get("result", again),
                "whole": content(target) == expected,
                "left": [path.name for path in place.iterdir() if path.name.startswith(".")],
            }
        )
    return found


def mixes(pictures: Path, place: Path) -> dict[str, Any]:
    """Kill a write, then call it with other arguments, and with a picture that has changed."""

    def killed(target: Path) -> int:
        kill_at(writing, "_serialised", 10)
        return written(pictures, target, workers=1)

    forked(lambda: killed(place / "other"))
    gzip = forked(lambda: written(pictures, place / "other", compression="gzip"))
    forked(lambda: killed(place / "changed"))
    picture = sorted(pictures.rglob("*.png"))[0]
    picture.write_bytes(sorted(pictures.rglob("*.png"))[-1].read_bytes())
    changed = forked(lambda: written(pictures, place / "changed"))
    forked(lambda: written(pictures, place / "fresh"))
    same = content(place / "changed") == content(place / "fresh")
    return {"gzip": gzip.get("result"), "changed": changed.get("result"), "same": same}


def limited(pictures: Path, target: Path, most: int) -> dict[str, Any]:
    """Write where no file may grow beyond `most` bytes: write() fails with EFBIG."""

    def small(**how: Any) -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        return written(pictures, target, **how)

    found = {kind: forked(lambda kind=kind: small(compression=kind)) for kind in (None, "gzip")}
    return {"answers": list(found.values()), "left": sorted(path.name for path in target.parent.iterdir())}


def filled(pictures: Path, disk: Path) -> dict[str, Any]:
    """Write to a disk that is too small: write() fails with ENOSPC."""
    answer = forked(lambda: written(pictures, disk / "set"))
    return {"answers": [answer], "left": sorted(path.name for path in disk.iterdir())}


if __name__ == "__main__":
    logging.disable()
    what, arguments = sys.argv[1], [Path(argument) for argument in sys.argv[2:]]
    if what == "kills":
        print(json.dumps(kills(*arguments, {})))
    elif what == "mixes":
        print(json.dumps(mixes(*arguments)))
    elif what == "limited":
        arguments[1].mkdir()
        print(json.dumps([limited(arguments[0], arguments[1] / "set", most) for most in (0, 100, 1000)]))
    else:
        print(json.dumps(filled(*arguments)))
