"""The server's process: `python -m harness.server`.

It says its port on standard output as a line of JSON, and ends with its standard input or on SIGTERM; every
child that it started ends with it.
"""

import contextlib
import json
import logging
import os
import signal
import sys
import threading

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from harness.base import Platform
from harness.gateway import Gateway


class _Handler(MotoRequestHandler):
    """Moto's handler, without a line for every request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def connection_dropped(self, error: BaseException, environ: object = None) -> None:
        pass


def main() -> None:
    """Serve until the parent ends."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("harness").setLevel(logging.INFO)
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    threading.Thread(target=_watch, args=(ended,), daemon=True).start()

    gateway: list[Gateway] = []
    server = make_server(
        "127.0.0.1",
        0,
        lambda environ, start: gateway[0](environ, start),
        threaded=True,
        request_handler=_Handler,
    )
    platform = Platform(f"http://127.0.0.1:{server.server_port}")
    gateway.append(Gateway(platform))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    own.write(json.dumps({"port": server.server_port}) + "\n")
    own.flush()
    try:
        ended.wait()
    finally:
        platform.close()
    # The threads of jobs have nothing left to do.
    os._exit(0)


def _watch(ended: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    ended.set()


if __name__ == "__main__":
    main()
