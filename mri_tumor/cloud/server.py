"""The local endpoint: SageMaker's contract (`/ping`, `/invocations`) over HTTP on 127.0.0.1.

It runs in a process of its own (`deploy` starts it) and answers with the handler that TensorFlow Serving's
container runs; only the model is called by TensorFlow here, or by the engine that was asked for. The code
inside the archive is never run.
"""

import argparse
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mri_tumor.cloud.process import when_parent_ends
from mri_tumor.cloud.serving.gate import Limits
from mri_tumor.cloud.serving.listener import bind
from mri_tumor.cloud.serving.service import Service, end_on_signals
from mri_tumor.errors import MriTumorError

_GRACE = 5.0  # seconds: whoever stops this process has deleted its endpoint, and waits


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process that `deploy` starts; the first line on standard output says the port or the error."""
    parser = argparse.ArgumentParser(description="Serve a model.tar.gz on 127.0.0.1.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path, help="a folder of its own to unpack into")
    parser.add_argument("--engine", help="what works the network out; TensorFlow by default")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    end_on_signals()
    announce = _own_output()
    service = Service(given.archive, given.folder, Limits(grace=_GRACE), given.engine)
    when_parent_ends(service.stop)
    try:
        taken = bind()
        service.run(taken, lambda: announce({"port": taken.getsockname()[1]}))
    except MriTumorError as error:
        kind = type(error).__name__
        announce({"error": kind, "found": error.found, "expected": error.expected, "fix": error.fix})
        return 1
    return 0


def _own_output() -> Callable[[Mapping[str, Any]], None]:
    """Keep standard output for ourselves: whatever libraries print goes to the log from now on."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def announce(message: Mapping[str, Any]) -> None:
        own.write(json.dumps(message) + "\n")
        own.flush()

    return announce


if __name__ == "__main__":
    try:
        status = main()
    except SystemExit as end:  # a signal, or arguments that are none
        status = int(end.code or 0)
    # Taking TensorFlow down in order costs seconds and gains nothing: everything is closed and removed.
    os._exit(status)
