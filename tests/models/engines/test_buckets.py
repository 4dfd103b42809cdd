"""Whatever the count, every picture comes once, in order, in shapes that are few."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.models.engines.buckets import buckets, in_buckets


@given(count=st.integers(1, 300), power=st.integers(0, 6))
def test_all_pictures_are_taken_in_shapes_of_powers_of_two(count: int, power: int) -> None:
    most = 2**power
    found = list(buckets(count, most))
    assert sum(taken for taken, _ in found) == count
    for taken, shape in found:
        assert taken <= shape <= most
        assert shape < 2 * taken
        assert shape & (shape - 1) == 0


@given(count=st.integers(1, 40), power=st.integers(0, 4))
def test_rows_come_in_the_order_of_the_pictures(count: int, power: int) -> None:
    shapes = []

    def call(images: Any) -> dict[str, np.ndarray]:
        shapes.append(len(images))
        return {"first": images[:, 0, 0, 0].astype(np.int64), "mean": images.mean(axis=(1, 2, 3))}

    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 2, 2, 1))
    found = in_buckets(call, images, 2**power)
    assert found["first"].tolist() == list(range(count))
    assert found["mean"].tolist() == list(range(count))
    assert len(set(shapes)) <= power + 1
