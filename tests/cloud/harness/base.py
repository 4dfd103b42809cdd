"""What all parts of the platform share: where it is, its files, its children and its own S3 client."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from harness.faults import Faults
from harness.recognise import PLATFORM_KEY, ROLE_KEY
from harness.store import Store

REGION = "eu-west-1"


class Platform:
    """The platform that runs in a server's process.

    Args:
        url: where the server answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = Store(REGION)
        self.faults = Faults()
        self.folder = Path(tempfile.mkdtemp(prefix="mri_tumor-harness-"))
        self.orders: dict[str, Any] = {}  # what a test wants of coming resources: see control.py
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def client(self, service: str, key: str = PLATFORM_KEY) -> Any:
        """Return a client for this very server."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key="platform",
            config=Config(
                retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=60
            ),
        )

    def new_folder(self, name: str) -> Path:
        """Return a new folder; its name begins with the given one."""
        return Path(tempfile.mkdtemp(prefix=f"{name[:40]}-", dir=self.folder))

    def environment(self) -> dict[str, str]:
        """Return what every container has: a path to this Python, and the execution role's credentials."""
        kept = ("HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "PYTHONUNBUFFERED": "TRUE",  # as in AWS's images
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ROLE_KEY,
            "AWS_SECRET_ACCESS_KEY": "role",
            "AWS_EC2_METADATA_DISABLED": "true",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "",
        }

    def start(
        self, command: list[str], environment: Mapping[str, str], *, folder: Path | None = None, **pipes: Any
    ) -> subprocess.Popen[bytes]:
        """Start a child in a session of its own.

        Raises:
            RuntimeError: the platform is closing.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the platform is closing")
            child = subprocess.Popen(
                command, env=dict(environment), cwd=folder, start_new_session=True, **pipes
            )
            self._children.add(child)
        return child

    def end(self, child: subprocess.Popen[bytes], *, grace: float = 0.0) -> None:
        """End a child and whatever it started: by SIGTERM to it alone, and by force after the grace."""
        if grace and child.poll() is None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(grace)
        # The group too when the child itself is gone: what it started may live on.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        with self._lock:
            self._children.discard(child)

    def close(self) -> None:
        """End all children and remove all files."""
        with self._lock:
            self._closed = True
            children = list(self._children)
        for child in children:
            self.end(child)
        shutil.rmtree(self.folder, ignore_errors=True)
