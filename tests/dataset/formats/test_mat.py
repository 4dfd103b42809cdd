"""MATLAB v7.3 files against h5py, which reads the same arrays by libhdf5."""

import io
import struct
from collections.abc import Callable
from math import pi
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mri_tumor.dataset.formats.mat import matches, numbers_of, shape_of
from mri_tumor.errors import ReadError

VALUES = np.arange(60, dtype=np.int32).reshape(6, 10)


def hdf5_of(fill: Callable[[h5py.File], object], **options: object) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512, libver="earliest", **options) as file:
        fill(file)
    return buffer.getvalue()


def refusal(data: bytes, field: str = "x", most: int = 1000) -> str:
    with pytest.raises(ReadError) as caught:
        numbers_of(data, field, "a.mat", most=most)
    assert caught.value.found.startswith("a.mat: ")
    assert caught.value.expected
    assert caught.value.fix
    return caught.value.found


@given(
    arrays(
        st.sampled_from(["i1", "u1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", "<u8", "<f4", ">f4", "<f8"]),
        array_shapes(max_dims=3, max_side=20),
    ),
    st.sampled_from([{}, {"chunks": True}, {"compression": 9}, {"compression": 1, "shuffle": True}]),
)
def test_any_array_is_as_h5py_reads_it(values: np.ndarray, options: dict[str, object]) -> None:
    data = hdf5_of(lambda file: file.create_dataset("a/b/c", data=values, **options))
    assert matches(data)
    assert shape_of(data, "a/b/c", "a.mat") == values.shape[::-1]
    found = numbers_of(data, "a/b/c", "a.mat", most=values.size)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values.T)


def test_scalars_and_empty_arrays() -> None:
    data = hdf5_of(lambda file: file.update({"one": 7.5, "none": np.zeros((0, 4))}))
    assert numbers_of(data, "one", "a.mat", most=1) == 7.5
    assert numbers_of(data, "none", "a.mat", most=0).shape == (4, 0)


def test_groups_of_many_names_and_arrays_of_many_chunks() -> None:
    def fill(file: h5py.File) -> None:
        for number in range(500):
            file[f"group/name{number}"] = number
        file.create_dataset("x", data=VALUES, chunks=(1, 1), compression=1)

    data = hdf5_of(fill)
    for number in (0, 1, 250, 499):
        assert numbers_of(data, f"group/name{number}", "a.mat", most=1) == number
    assert "no field group/name500" in refusal(data, "group/name500")
    assert "no field group/name" in refusal(data, "group/name")
    np.testing.assert_array_equal(numbers_of(data, "x", "a.mat", most=60), VALUES.T)


def test_compact_arrays() -> None:
    def fill(file: h5py.File) -> None:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_layout(h5py.h5d.COMPACT)
        space, kind = h5py.h5s.create_simple((6, 10)), h5py.h5t.NATIVE_INT32
        h5py.h5d.create(file.id, b"x", kind, space, settings).write(h5py.h5s.ALL, h5py.h5s.ALL, VALUES)

    np.testing.assert_array_equal(numbers_of(hdf5_of(fill), "x", "a.mat", most=60), VALUES.T)


def test_chunks_that_reach_beyond_the_array() -> None:
    data = hdf5_of(lambda file: file.create_dataset("x", data=VALUES, chunks=(50, 50), maxshape=(None, None)))
    np.testing.assert_array_equal(numbers_of(data, "x", "a.mat", most=60), VALUES.T)


def test_a_file_that_matlab_wrote() -> None:
    path = Path(scipy.__file__).parent / "io" / "matlab" / "tests" / "data" / "testhdf5_7.4_GLNX86.mat"
    if not path.is_file():
        pytest.skip("this scipy comes without its test data")
    found = numbers_of(path.read_bytes(), "testdouble", path.name, most=9)
    np.testing.assert_allclose(found, [np.arange(9) * pi / 4])


def test_limits() -> None:
    data = hdf5_of(lambda file: file.update({"x": VALUES}))
    assert "60 numbers in x, of at most 59" in refusal(data, most=59)


def test_other_versions_of_hdf5() -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512, libver="latest") as file:
        file["x"] = VALUES
    assert "another version" in refusal(buffer.getvalue())
    ordered = hdf5_of(lambda file: file.create_group("new", track_order=True).update({"x": VALUES}))
    assert "a.mat" in refusal(ordered, "new/x")
    assert "no MATLAB v7.3" in refusal(b"hello")
    assert not matches(b"hello")


def test_a_tree_in_a_circle() -> None:
    data = bytearray(hdf5_of(lambda file: file.create_dataset("x", data=VALUES, chunks=(2, 2))))
    tree = data.rindex(b"TREE\x01\x00")
    struct.pack_into("<B", data, tree + 5, 1)
    assert "damaged" in refusal(bytes(data))
    children = 24 + 32
    struct.pack_into("<Q", data, tree + children, tree - 512)
    assert "damaged" in refusal(bytes(data))


def test_a_header_in_a_circle() -> None:
    def fill(file: h5py.File) -> None:
        file["x"] = VALUES
        file["x"].attrs.update({f"name{number}": number for number in range(30)})

    data = bytearray(hdf5_of(fill))
    np.testing.assert_array_equal(numbers_of(bytes(data), "x", "a.mat", most=60), VALUES.T)
    message = data.rindex(b"\x10\x00\x10\x00")  # the header goes on elsewhere: address and length follow
    struct.pack_into("<Q", data, message + 8, message - 512)
    assert "circle" in refusal(bytes(data))
    struct.pack_into("<QQ", data, message + 8, message - 512 - 8, 1 << 40)
    assert "does not end" in refusal(bytes(data))


def test_names_that_a_tree_leads_to_twice() -> None:
    def fill(file: h5py.File) -> None:
        for number in range(60):
            file[f"name{number}"] = number

    data = bytearray(hdf5_of(fill))
    tree = data.index(b"TREE\x00\x00")
    first, second = tree + 24 + 8, tree + 24 + 24
    data[second : second + 8] = data[first : first + 8]
    assert "twice" in refusal(bytes(data), "zebra")


def test_chunks_much_larger_than_their_array() -> None:
    tall = {"shape": (65_535, 1), "chunks": (1, (1 << 20) - 1), "maxshape": (None, None), "dtype": "u1"}
    data = hdf5_of(lambda file: file.create_dataset("x", **tall, compression=9))
    assert "much larger" in refusal(data, most=65_535)
