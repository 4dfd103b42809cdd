import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.draws import check_whole, shuffled, uniform
from mri_tumor.errors import ArgumentError


@given(seed=st.integers(0, 2**70), epoch=st.integers(0, 2**40), first=st.integers(0, 2**62))
def test_draws_lie_in_their_interval_and_depend_on_the_index_alone(seed: int, epoch: int, first: int) -> None:
    drawn = uniform("rotation", seed, epoch, np.arange(first, first + 5))
    assert ((drawn >= 0) & (drawn < 1)).all()
    np.testing.assert_array_equal(drawn[3:], uniform("rotation", seed, epoch, [first + 3, first + 4]))


def test_the_generator_is_splitmix64(monkeypatch: pytest.MonkeyPatch) -> None:
    # The published generator, started at 1234567 as its authors do, gives these two numbers first.
    monkeypatch.setattr("mri_tumor.dataset.draws._key", lambda *where: np.uint64(1234567))
    expected = np.array([6457827717110365317, 3203168211198807973], np.uint64) // np.uint64(2**11)
    np.testing.assert_array_equal(uniform("", 0, 0, [1, 2]), expected.astype(float) / 2**53)


def test_draws_are_uniform_and_differ_by_purpose() -> None:
    drawn = uniform("mirror", 0, 0, np.arange(100_000))
    assert np.abs(np.histogram(drawn, 10, (0, 1))[0] / 10_000 - 1).max() < 0.05
    assert abs(np.corrcoef(drawn, uniform("rotation", 0, 0, np.arange(100_000)))[0, 1]) < 0.02
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.02


def test_orders_are_the_same_for_ever() -> None:
    assert shuffled(8, seed=1, epoch=2).tolist() == [3, 1, 2, 5, 0, 6, 7, 4]
    assert shuffled(0, seed=1, epoch=2).tolist() == []


@pytest.mark.parametrize("wrong", [-1, 1.0, True, "1", None])
def test_other_than_whole_numbers_are_refused(wrong: object) -> None:
    with pytest.raises(ArgumentError, match="count is"):
        check_whole("count", wrong, 0)


def test_whole_numbers_of_numpy_are_taken() -> None:
    assert type(check_whole("count", np.int32(3), 0)) is int
