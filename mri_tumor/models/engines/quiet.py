"""Conversions by other libraries: without their chatter, and with the program's logging as it was."""

import contextlib
import logging
import threading
from collections.abc import Iterator

_CONVERTING = threading.RLock()


@contextlib.contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Keep loggers silent during a conversion, and leave the root logger as it was found.

    OpenVINO raises the root logger's level while it converts, and leaves it there if it fails. One conversion
    at a time, because each would take the silence of another for what has to be restored.

    Args:
        *names: of the loggers that say nothing meanwhile.
    """
    root, loggers = logging.getLogger(), [logging.getLogger(name) for name in names]
    with _CONVERTING:
        handlers, filters = root.handlers[:], root.filters[:]
        levels = [one.level for one in (root, *loggers)]
        for one in loggers:
            one.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            root.handlers[:], root.filters[:] = handlers, filters
            for one, level in zip((root, *loggers), levels, strict=True):
                one.setLevel(level)
