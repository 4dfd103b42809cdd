import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mri_tumor.errors import ArgumentError
from mri_tumor.models.deciding.plan import softmax
from mri_tumor.models.deciding.temperature import HIGHEST, LOWEST, fit_temperature

LOGITS = arrays(np.float64, (12, 3), elements=st.floats(-10, 10))
LABELS = arrays(np.int64, (12,), elements=st.integers(0, 2))


def drawn(count: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (count, 4) that are right when they are divided by the temperature, and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, 4))
    shares = softmax(logits, temperature).cumsum(axis=1)
    return logits, (rng.random((count, 1)) > shares[:, :-1]).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 6.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(20_000, temperature)) == pytest.approx(temperature, rel=0.05)


@given(LOGITS, LABELS, st.floats(-100, 100))
def test_what_is_added_to_all_logits_does_not_count(
    logits: np.ndarray, labels: np.ndarray, shift: float
) -> None:
    # Compared by its inverse and loosely: where all logits are about equal any temperature is as good.
    first, second = (fit_temperature(values, labels) for values in (logits, logits + shift))
    loss = [-np.log(softmax(logits, t)[np.arange(12), labels]).mean() for t in (first, second)]
    assert loss[0] == pytest.approx(loss[1], abs=1e-6)


@given(LOGITS, LABELS)
def test_no_temperature_has_a_lower_loss_and_the_top_class_stays(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    found = fit_temperature(logits, labels)
    assert LOWEST <= found <= HIGHEST
    rows = np.arange(12)
    with np.errstate(divide="ignore"):
        losses = [
            -np.log(softmax(logits, value)[rows, labels]).mean() for value in np.geomspace(0.051, 19.5, 60)
        ]
        assert -np.log(softmax(logits, found)[rows, labels]).mean() <= min(losses) + 1e-5
    top = softmax(logits, found).argmax(axis=1)
    np.testing.assert_allclose(logits[rows, top], logits.max(axis=1), atol=1e-6)


def test_a_network_without_a_mistake_gets_the_lowest() -> None:
    # The loss has no lowest point; it is as good as 0 from some temperature on.
    assert LOWEST <= fit_temperature(np.eye(3) * 5, np.arange(3)) < 0.2


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.array([[0.0, np.nan, 1.0]])])
def test_nothing_to_fit_it_to(logits: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="not finite"):
        fit_temperature(logits, np.zeros(len(logits), np.int64))
