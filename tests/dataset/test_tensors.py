import gc

import numpy as np
import pytest

from mri_tumor.dataset.tensors import aligned, as_tensor

SHAPES = [(3, 5, 7, 1), (2, 64), (0, 4, 4, 1), (1,)]


@pytest.mark.parametrize("shape", SHAPES)
def test_aligned_arrays_begin_where_a_tensor_may(shape: tuple[int, ...]) -> None:
    array = aligned(shape)
    assert (array.shape, array.dtype, array.flags.c_contiguous) == (shape, np.uint8, True)
    assert array.size == 0 or array.ctypes.data % 64 == 0  # NumPy gives no address of nothing


def test_a_tensor_of_an_aligned_array_is_no_copy() -> None:
    array = aligned((2, 3))
    tensor = as_tensor(array)
    array[...] = 7  # against the rule, to see it
    assert tensor.numpy().tolist() == [[7, 7, 7], [7, 7, 7]]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_tensor_outlives_its_array(shape: tuple[int, ...]) -> None:
    array = aligned(shape)
    array[...] = np.arange(array.size, dtype=np.uint8).reshape(shape)
    expected, tensor = array.copy(), as_tensor(array)
    del array
    gc.collect()
    others = [aligned(shape) for _ in range(100)]
    for other in others:
        other[...] = 255
    np.testing.assert_array_equal(tensor.numpy(), expected)


def test_other_arrays_are_copied() -> None:
    for array in (aligned((3, 3))[:, 1:], aligned((65,))[1:], np.ones((2, 2), np.float32)):
        array[...] = 1
        assert as_tensor(array).numpy().tolist() == array.tolist()
