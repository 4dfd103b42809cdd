"""AWS's Python handler service, as it stands before TensorFlow Serving in AWS's inference container.

Run by path: `handler_service.py <model folder> <rest uri>`. It says its port on standard output. The handler
finds the standard library, numpy and its own `code/`; any other import fails, as it does in the container.
"""

import importlib.abc
import importlib.util
import json
import os
import sys
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Context = namedtuple(
    "Context",
    "model_name model_version method rest_uri custom_attributes request_content_type accept_header "
    "content_length",
)

_ALLOWED = {*sys.stdlib_module_names, "numpy", "inference"}


class _Nothing(importlib.abc.MetaPathFinder):
    """Refuses what the container does not have, although this machine may have it."""

    def __init__(self, code: Path) -> None:
        self.code = code

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        own = (self.code / f"{top}.py").exists() or (self.code / top).is_dir()
        if top not in _ALLOWED and not own:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def load_handler(model: Path):
    """Return `handler` of the package's own code, or None if it brought none along."""
    code = model / "code"
    script = code / "inference.py"
    # Neither this script's folder nor the one that the process was started in.
    sys.path[:] = [str(code), *(place for place in sys.path[1:] if place)]
    sys.meta_path.insert(0, _Nothing(code))
    if not script.exists():
        return None
    spec = importlib.util.spec_from_file_location("inference", script)
    module = importlib.util.module_from_spec(spec)
    sys.modules["inference"] = module
    spec.loader.exec_module(module)
    return module.handler


class Service(BaseHTTPRequestHandler):
    """`/ping` and `/invocations`."""

    protocol_version = "HTTP/1.1"
    handler = None
    rest_uri = ""

    def do_GET(self):
        self._answer(200 if self.path == "/ping" else 404, b"", "text/plain")

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        stream = _Body(self.rfile, length)
        context = Context(
            "model",
            None,
            "predict",
            self.rest_uri,
            self.headers.get("X-Amzn-SageMaker-Custom-Attributes"),
            self.headers.get("Content-Type") or "application/json",
            self.headers.get("Accept"),
            length,
        )
        try:
            body, kind = type(self).handler(stream, context)
        except Exception as error:  # whatever it is, the service says so with status 500
            print(f"exception during the handler: {type(error).__name__}: {error}"[:500], file=sys.stderr)
            stream.read()
            self._answer(500, json.dumps({"error": str(error)}).encode(), "application/json")
            return
        stream.read()
        self._answer(200, body.encode() if isinstance(body, str) else body, kind)

    def _answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *values):
        print(form % values, file=sys.stderr)


class _Body:
    """The request's body as a stream that ends where the body does."""

    def __init__(self, stream, length):
        self.stream, self.left = stream, length

    def read(self, size=-1):
        size = self.left if size is None or size < 0 else min(size, self.left)
        data = self.stream.read(size)
        self.left -= len(data)
        return data


def straight_through(data, context):
    """What the container does without a handler: JSON goes to TensorFlow Serving, nothing else is taken."""
    import urllib.request

    if context.request_content_type != "application/json":
        raise ValueError(f"Unsupported Media Type: {context.request_content_type}")
    request = urllib.request.Request(context.rest_uri, data.read(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return reply.read(), "application/json"


def main(model: str, rest_uri: str) -> None:
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    Service.handler = staticmethod(load_handler(Path(model)) or straight_through)
    Service.rest_uri = rest_uri
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    own.write(f"{server.server_port}\n")
    own.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
