"""The job that prepares shards: units of pictures in, a shard and a note for each out.

The same file runs in SageMaker's Processing containers and, started by `prepare(instance_type="local")`, on
this machine. It imports only what AWS's TensorFlow training image holds, and needs no network.
"""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from mri_tumor.cloud.process import WATCH_STDIN, when_parent_ends
from mri_tumor.cloud.units import opened
from mri_tumor.errors import MriTumorError, ReadError, ShardError

logger = logging.getLogger(__name__)

_SHOWN = 1000  # bytes of the message that SageMaker shows


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Write the shards of the units that this host was given.

    Args:
        argv: `--units`, `--shards` and `--notes`, each a folder; `--message`, the file for the reason of a
            failure; `--threads`, how many decode, one a processor by default.
        environ: the process's environment.

    Returns:
        The exit code: 0, or 1 after a failure.
    """
    # Only what is ours in detail: the platform charges for every line of the log.
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("mri_tumor").setLevel(logging.INFO)
    logging.captureWarnings(True)
    if environ.get(WATCH_STDIN):
        when_parent_ends(lambda: os._exit(1))
    given = _parser().parse_args(argv)
    try:
        run(given.units, given.shards, given.notes, given.threads)
    except Exception as error:
        message = message_of(error)
        logger.error("prepare: failed: %s", message)
        if not isinstance(error, MriTumorError):
            logger.error("%s", traceback.format_exc())
        if given.message.parent.is_dir():
            shown = message.encode("utf-8", "backslashreplace")[:_SHOWN].decode("utf-8", "ignore")
            given.message.write_text(shown, encoding="utf-8")
        return 1
    return 0


def run(units: Path, shards: Path, notes: Path, threads: int | None = None) -> None:
    """Write the shards of the units in a folder, one after the other; several threads decode for each.

    Args:
        units: the folder; a host may have been given none.
        shards: where the shards go.
        notes: where their notes go.
        threads: how many decode; None is one a processor.

    Raises:
        ReadError: a picture cannot be read; names its id.
    """
    from mri_tumor.dataset.decoding import thread_count
    from mri_tumor.dataset.shards.writing import in_threads

    for folder in (shards, notes):
        folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in units.iterdir() if path.is_file()) if units.is_dir() else []
    for number, path in enumerate(paths, 1):
        with opened(path) as share:
            logger.info("%s: %d pictures, unit %d of %d", share.name, len(share.pictures), number, len(paths))
            in_threads([share], shards, notes, workers=threads or thread_count())
    logger.info("prepare: %d shards done", len(paths))


def message_of(error: Exception) -> str:
    """Return what the client is told of a failure: the kind of the error, and what it says.

    >>> message_of(ReadError("picture 'a.png': the file is empty", fix="leave it out"))
    "ReadError: picture 'a.png': the file is empty. To do: leave it out."
    """
    return f"{type(error).__name__}: {error}"


def error_of(message: str, job: str, fix: str) -> MriTumorError:
    """Return the client's error for a job that failed: a ReadError for a picture, otherwise a ShardError.

    Args:
        message: what `message_of` told, or what else is known.
        job: what failed.
        fix: what to do, unless the message says it.

    >>> error_of("ReadError: picture 'a.png': the file is empty. To do: leave it out.", "job 1", "see")
    ReadError("job 1 failed: picture 'a.png': the file is empty. To do: leave it out.", '', '')
    """
    kind = ReadError if message.startswith("ReadError: ") else ShardError
    said = message.removeprefix(f"{kind.__name__}: ")
    return kind(f"{job} failed: {said}", "", "" if "To do: " in said else fix)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    for name in ("units", "shards", "notes", "message"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    return parser
