"""The part of TensorFlow Serving's REST interface that handlers use, over TensorFlow itself.

TensorFlow Serving is no package that can be installed. One process serves all models, since TensorFlow takes
seconds to start. `POST /load {"folder": ...}` on the first port, which it says on standard output, answers
with the port on which that model answers `/v1/models/model:predict`.
"""

import base64
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow as tf


class Refusal(Exception):
    """A request that TensorFlow Serving answers with an error."""


def load(folder: str):
    """Load the highest version below a folder, as TensorFlow Serving finds it."""
    found = [path.parent for path in Path(folder).rglob("saved_model.pb") if path.parent.name.isdecimal()]
    if not found:
        raise Refusal(f"no versions of servable model found under base path {folder}")
    return tf.saved_model.load(str(max(found, key=lambda path: int(path.name))))


def predict(model, request: dict):
    """Run a signature on `instances`."""
    name = request.get("signature_name", "serving_default")
    if name not in model.signatures:
        raise Refusal(f'Serving signature name: "{name}" not found in signature def')
    signature = model.signatures[name]
    specs = signature.structured_input_signature[1]
    rows = request.get("instances")
    if not isinstance(rows, list) or not rows:
        raise Refusal("JSON Value: instances must be a list with entries")
    named = len(specs) > 1 or (isinstance(rows[0], dict) and set(rows[0]) != {"b64"})
    columns = {key: [row[key] for row in rows] if named else rows for key in specs}
    try:
        inputs = {key: _tensor(specs[key], values) for key, values in columns.items()}
        outputs = {key: _plain(value.numpy()) for key, value in signature(**inputs).items()}
    except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        raise Refusal(str(getattr(error, "message", error))[:500]) from error
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    return [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]


def _tensor(spec, values):
    if spec.dtype == tf.string:
        return tf.constant([base64.b64decode(one["b64"]) if isinstance(one, dict) else one for one in values])
    return tf.constant(np.array(values), spec.dtype)


def _plain(array):
    values = array.tolist()
    return (
        [one.decode() if isinstance(one, bytes) else one for one in values]
        if array.dtype == object
        else values
    )


class Rest(BaseHTTPRequestHandler):
    """One model's interface."""

    protocol_version = "HTTP/1.1"
    model = None

    def do_GET(self):
        self._answer(200, {"model_version_status": [{"version": "1", "state": "AVAILABLE"}]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self._answer(200, self.act(json.loads(body)))
        except (Refusal, ValueError) as error:
            self._answer(400, {"error": str(error)})

    def act(self, request):
        if self.path != "/v1/models/model:predict":
            raise Refusal(f"Malformed request: POST {self.path}")
        return {"predictions": predict(self.server.model, request)}

    def _answer(self, status, card):
        body = json.dumps(card).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *values):
        pass


class Loader(Rest):
    """Loads models and lets go of them."""

    servers: ClassVar[dict[int, ThreadingHTTPServer]] = {}

    def act(self, request):
        if self.path == "/unload":
            server = self.servers.pop(request["port"], None)
            if server is not None:
                server.shutdown()
                server.server_close()
            return {}
        try:
            model = load(request["folder"])
        except Exception as error:  # whatever a damaged graph makes TensorFlow raise
            raise Refusal(f"{type(error).__name__}: {str(error)[:500]}") from error
        server = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
        server.model = model
        self.servers[server.server_port] = server
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return {"port": server.server_port}


def main() -> None:
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Loader)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    own.write(f"{server.server_port}\n")
    own.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
