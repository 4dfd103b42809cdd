import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mri_tumor.models.engines.quiet import quiet


def state() -> tuple:
    root, tool = logging.getLogger(), logging.getLogger("a.tool")
    return root.level, root.handlers[:], root.filters[:], tool.level


def test_a_converter_that_fails_leaves_the_logging_as_it_was() -> None:
    def fail() -> None:
        assert not logging.getLogger("a.tool").isEnabledFor(logging.ERROR)
        root = logging.getLogger()
        root.setLevel(logging.ERROR)
        root.addFilter(lambda record: False)
        root.addHandler(logging.NullHandler())
        raise ZeroDivisionError

    before = state()
    with pytest.raises(ZeroDivisionError), quiet("a.tool"):
        fail()
    assert state() == before


def test_conversions_at_once_do_not_take_each_others_silence_for_the_programs() -> None:
    before, inside, left = state(), threading.Event(), threading.Event()

    def first() -> None:
        with quiet("a.tool"):
            inside.set()
            left.wait(0.2)
        left.set()

    def second() -> None:
        inside.wait(5)
        with quiet("a.tool"):
            left.wait(5)

    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(first), pool.submit(second)]:
            one.result()
    assert state() == before
