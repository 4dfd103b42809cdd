"""Where a server listens: this machine only, unless somebody names another address."""

import ipaddress
import logging
import os
import socket
from typing import Any

from mri_tumor.errors import ArgumentError, EndpointError

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
"""This machine, and nobody else."""


def bind(host: str = HOST, port: int = 0) -> socket.socket:
    """Return a socket of an address that is taken but does not listen yet.

    Args:
        host: an address or name of this machine. Any but a loopback address is reached from other machines,
            without encryption and without authentication: a warning says so.
        port: 0 for any free one.

    Raises:
        ArgumentError: the host is not known.
        EndpointError: the port is taken, or not ours to take.

    >>> with bind() as taken:
    ...     address_of(taken).startswith("http://127.0.0.1:")
    True
    """
    family, address = _resolved(host, port)
    # Named as TCP, or asyncio lets small packets wait for 40 ms, and an answer is two of them.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # a port that was ours a minute ago; on Windows this would steal others' ports
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise _not_ours(host, port, error) from error
    if not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
        logger.warning(
            "%s can be reached from other machines: no encryption, no authentication, no protection."
            " For research on a network that you trust only",
            address_of(taken),
        )
    return taken


def listen(taken: socket.socket) -> None:
    """Let connections come.

    Raises:
        EndpointError: another program listens there since.
    """
    try:
        taken.listen(128)
    except OSError as error:
        host, port = taken.getsockname()[:2]
        raise _not_ours(host, port, error) from error


def address_of(taken: socket.socket) -> str:
    """Return the URL of a socket."""
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Return an address in the form that `bind` takes."""
    try:
        found = socket.getaddrinfo(host or HOST, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise ArgumentError(
            f"the host {host!r} is not known ({getattr(error, 'strerror', None) or error})",
            "an address of this machine",
            f"leave the host out for {HOST}, or name an address of this machine",
        ) from error
    family, _, _, _, address = found[0]
    return family, address


def _not_ours(host: str, port: int, error: OSError) -> EndpointError:
    return EndpointError(
        f"port {port} of {host} cannot be taken ({error.strerror or error})",
        "a free port of an address of this machine",
        "choose another port, 0 for any free one, or stop the program that has it",
        code=503,
    )
