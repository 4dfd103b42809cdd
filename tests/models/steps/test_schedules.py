import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.models.steps.schedules import curve

EPOCHS = st.integers(1, 50)


@given(st.floats(0, 1, exclude_max=True), EPOCHS, st.integers(0, 60), st.floats(0, 1))
def test_no_step_is_above_the_full_rate_or_below_none(place, epochs, warmup, floor):
    for schedule in ("plateau", "cosine", "constant"):
        assert 0 <= curve(place * epochs, schedule=schedule, epochs=epochs, warmup=warmup, floor=floor) <= 1


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), EPOCHS, st.integers(0, 5))
def test_the_rate_rises_in_the_warm_up_and_falls_after_it(one, other, epochs, warmup):
    low, high = sorted(place * epochs for place in (one, other))
    options = {"schedule": "cosine", "epochs": epochs, "warmup": warmup}
    first, second = curve(low, **options), curve(high, **options)
    if high < warmup:
        assert first <= second
    elif low >= warmup:
        assert first >= second


def test_the_cosine_ends_at_the_floor_and_is_half_way_in_the_middle():
    options = {"schedule": "cosine", "epochs": 10, "warmup": 2, "floor": 0.2}
    assert curve(2, **options) == 1
    assert curve(6, **options) == pytest.approx(0.6)
    assert curve(math.nextafter(10, 0), **options) == pytest.approx(0.2)


@pytest.mark.parametrize("schedule", ["plateau", "constant"])
def test_the_others_keep_the_rate_after_the_warm_up(schedule):
    found = [curve(place, schedule=schedule, epochs=9, warmup=4) for place in (0, 1, 4, 8.9)]
    assert found == [0, 0.25, 1, 1]
