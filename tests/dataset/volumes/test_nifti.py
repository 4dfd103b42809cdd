import gzip
import logging
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.dataset.formats.intensity import percentile_window, to_grey
from mri_tumor.dataset.formats.nifti_header import is_nifti
from mri_tumor.dataset.reader import read_image
from mri_tumor.dataset.volumes.nifti import read_nifti
from mri_tumor.errors import ArgumentError, MissingExtra, ReadError

nibabel = pytest.importorskip("nibabel")

RAS = np.diag([2.0, 2.0, 2.0, 1.0])
VALUES = np.random.default_rng(0).integers(0, 1000, (5, 6, 7)).astype(np.int16)


def nifti_of(
    values: np.ndarray, affine: np.ndarray = RAS, *, slope: float = 1, intercept: float = 0, form: int = 1
) -> bytes:
    """Return a NIfTI file of values as stored, by nibabel."""
    kind = nibabel.Nifti1Image if form == 1 else nibabel.Nifti2Image
    image = kind(values, affine, dtype=values.dtype)
    data = bytearray(image.to_bytes())
    if (slope, intercept) != (1, 0):
        struct.pack_into("<ff" if form == 1 else "<dd", data, 112 if form == 1 else 176, slope, intercept)
    return bytes(data)


def seen(values: np.ndarray) -> np.ndarray:
    return to_grey(values, *percentile_window(values))


def axial(ras: np.ndarray) -> np.ndarray:
    """Return axial slices of voxels in RAS order: from below, front on top, right on the left."""
    return seen(ras)[::-1, ::-1].transpose(2, 1, 0)


def test_views_by_hand() -> None:
    data = nifti_of(VALUES)
    np.testing.assert_array_equal(read_nifti(data), axial(VALUES))
    coronal = seen(VALUES)[::-1, ::-1, ::-1].transpose(1, 2, 0)  # from the front, head on top
    np.testing.assert_array_equal(read_nifti(data, axis="coronal"), coronal)
    sagittal = seen(VALUES)[::-1, ::-1, ::-1].transpose(0, 2, 1)  # from the right, head on top, front left
    np.testing.assert_array_equal(read_nifti(data, axis="sagittal"), sagittal)


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "SRA", "PIR", "ILP"])
@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
def test_however_the_voxels_are_stored_the_view_is_the_same(codes: str, view: str) -> None:
    stored = nibabel.Nifti1Image(VALUES, RAS).as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
        )
    )
    assert "".join(nibabel.aff2axcodes(stored.affine)) == codes
    turned = read_nifti(stored.to_bytes(), axis=view)  # type: ignore[arg-type]
    np.testing.assert_array_equal(turned, read_nifti(nifti_of(VALUES), axis=view))  # type: ignore[arg-type]


@given(st.permutations(range(3)), st.tuples(*[st.sampled_from([-1, 1])] * 3), st.integers(0, 2**32 - 1))
def test_oblique_volumes_are_turned_as_nibabel_turns_them(
    order: list[int], signs: tuple[int, ...], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tilt, _ = np.linalg.qr(np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = tilt @ np.diag(signs)[order] * rng.uniform(0.5, 4, 3)
    affine[:3, 3] = rng.normal(size=3) * 50
    image = nibabel.Nifti1Image(VALUES, affine)
    canonical = np.asarray(nibabel.as_closest_canonical(image).dataobj)
    np.testing.assert_array_equal(read_nifti(image.to_bytes()), axial(canonical))


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "i8", "u8", "f4", "f8", ">i2", ">f4"])
@pytest.mark.parametrize("form", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_kinds_of_values(kind: str, form: int, packed: bool) -> None:
    values = (VALUES % 100).astype(kind)
    data = nifti_of(values, form=form)
    np.testing.assert_array_equal(read_nifti(gzip.compress(data) if packed else data), axial(values))


@pytest.mark.parametrize("form", [1, 2])
def test_big_end_first(form: int) -> None:
    image = (nibabel.Nifti1Image if form == 1 else nibabel.Nifti2Image)(VALUES, RAS)
    kind = type(image.header)
    swapped = type(image)(VALUES, RAS, kind(endianness=">"))
    data = swapped.to_bytes()
    assert data[:4] == struct.pack(">I", 348 if form == 1 else 540)
    np.testing.assert_array_equal(read_nifti(data), axial(VALUES))


def test_slope_and_intercept() -> None:
    np.testing.assert_array_equal(read_nifti(nifti_of(VALUES, slope=0.5, intercept=-30)), axial(VALUES))
    np.testing.assert_array_equal(read_nifti(nifti_of(VALUES, slope=-2)), axial(-2.0 * VALUES))
    np.testing.assert_array_equal(read_nifti(nifti_of(VALUES, slope=0)), axial(VALUES))
    np.testing.assert_array_equal(read_nifti(nifti_of(VALUES, slope=np.nan)), axial(VALUES))


def test_values_that_are_no_numbers() -> None:
    values = VALUES.astype(np.float32)
    values[0, 0, 0], values[1, 0, 0], values[2, 0, 0] = np.nan, np.inf, -np.inf
    slices = read_nifti(nifti_of(values))
    assert slices[0, -1, ::-1][:3].tolist() == [0, 255, 0]
    assert not read_nifti(nifti_of(np.full((3, 3, 3), np.nan, np.float32))).any()


def test_one_window_for_all_slices() -> None:
    values = np.zeros((4, 4, 3), np.int16)
    values[..., 1], values[..., 2] = 50, np.arange(200, 216).reshape(4, 4)
    slices = read_nifti(nifti_of(values))
    assert slices[1].max() < slices[2].min()


def test_one_of_several_volumes() -> None:
    four = np.stack([VALUES, VALUES[::-1], 1000 - VALUES], axis=3)
    data = nifti_of(four)
    for number in range(3):
        np.testing.assert_array_equal(read_nifti(data, volume=number), axial(four[..., number]))
    with pytest.raises(ReadError, match="holds 3 volumes") as caught:
        read_nifti(data)
    assert "volume=0 to 2" in caught.value.fix
    for wrong in (3, -1, 1.5, "0", True):
        with pytest.raises(ArgumentError, match="volume is"):
            read_nifti(data, volume=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 7, 1), (5, 6, 7, 1, 1)])
def test_other_shapes_of_one_volume(shape: tuple[int, ...]) -> None:
    values = VALUES[..., :1].reshape(5, 6) if len(shape) == 2 else VALUES.reshape(shape)
    expected = axial(values.reshape(5, 6, -1))
    np.testing.assert_array_equal(read_nifti(nifti_of(values)), expected)


def test_paths(tmp_path: Path) -> None:
    path = tmp_path / "größer.nii.gz"
    path.write_bytes(gzip.compress(nifti_of(VALUES)))
    np.testing.assert_array_equal(read_nifti(path), axial(VALUES))
    np.testing.assert_array_equal(read_nifti(str(path)), axial(VALUES))


def test_a_file_that_does_not_say_how_it_lies(caplog: pytest.LogCaptureFixture) -> None:
    data = bytearray(nifti_of(VALUES))
    struct.pack_into("<hh", data, 252, 0, 0)
    with caplog.at_level(logging.WARNING):
        assert read_nifti(bytes(data)).shape == (7, 6, 5)
    assert "how it lies" in caplog.text


def refusal(data: bytes, **options: object) -> str:
    with pytest.raises(ReadError) as caught:
        read_nifti(data, **options)  # type: ignore[arg-type]
    assert caught.value.found.startswith("<bytes>")
    assert caught.value.expected
    assert caught.value.fix
    return caught.value.found


@pytest.mark.parametrize(
    ("kind", "says"),
    [("c8", "complex"), ("c16", "complex"), ([("R", "u1"), ("G", "u1"), ("B", "u1")], "type")],
)
def test_kinds_that_are_no_grey(kind: object, says: str) -> None:
    assert says in refusal(nifti_of(np.zeros((3, 3, 3), np.dtype(kind))))  # type: ignore[call-overload]


def patched(place: int, form: str, *values: float, data: bytes = b"") -> bytes:
    changed = bytearray(data or nifti_of(VALUES))
    struct.pack_into(form, changed, place, *values)
    return bytes(changed)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"hello", "whole header"),
        (patched(344, "4s", b"ni1\0"), "pair"),
        (patched(344, "4s", b"\0\0\0\0"), "whole header"),
        (patched(40, "<h", 9), "9 axes"),
        (patched(40, "<h", 0), "0 axes"),
        (patched(40, "<h", 1), "shape 5"),
        (patched(42, "<h", 0), "shape 0 x"),
        (patched(42, "<h", -4), "shape -4 x"),
        (patched(70, "<h", 0), "values of the type"),
        (patched(70, "<h", 999), "makes no sense"),
        (patched(108, "<f", 100), "byte 100"),
        (patched(108, "<f", 2e7), "byte 20,000,000"),
        (patched(108, "<f", 1e15), "begin at byte"),
        (gzip.compress(patched(108, "<f", 1e38)), "begin at byte"),
        (nifti_of(np.zeros((1, 1, 70_000), np.int8), form=2), "1 x 1 x 70000 voxels"),
        (patched(108, "<f", np.nan), "makes no sense"),
        (patched(108, "<f", np.inf), "makes no sense"),
        (patched(280, "<12f", *[0] * 12), "orientation"),
        (patched(280, "<f", np.nan), "orientation"),
        (patched(42, "<h", 500), "cut off"),
        (nifti_of(np.zeros((2, 2, 2, 1, 3), np.int16)), "2 x 2 x 2 x 1 x 3"),
    ],
)
def test_damaged_headers(data: bytes, says: str) -> None:
    assert says in refusal(data)


def test_limits() -> None:
    data = nifti_of(VALUES)
    read_nifti(data, max_pixels=210, max_bytes=len(data))
    assert "210 voxels" in refusal(data, max_pixels=209)
    assert f"{len(data)} bytes" in refusal(data, max_bytes=len(data) - 1)
    with pytest.raises(ArgumentError, match="max_pixels"):
        read_nifti(data, max_pixels=0)
    with pytest.raises(ArgumentError, match="axis"):
        read_nifti(data, axis="oblique")  # type: ignore[arg-type]


def test_a_header_of_many_voxels_is_refused_before_they_are_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip, "GzipFile", lambda **_: pytest.fail("it was inflated"))
    huge = patched(42, "<hhh", 30_000, 30_000, 30_000)
    assert "27,000,000,000,000 voxels" in refusal(gzip.compress(huge))


def test_bombs() -> None:
    assert "behind its last voxel" in refusal(gzip.compress(nifti_of(VALUES) + bytes(200_000_000), 1))
    np.testing.assert_array_equal(read_nifti(gzip.compress(nifti_of(VALUES) + bytes(1000))), axial(VALUES))


def test_a_header_that_promises_much_reserves_nothing() -> None:
    data = gzip.compress(patched(42, "<hhh", 400, 400, 390))
    tracemalloc.start()
    assert "cut off" in refusal(data)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert highest < 10_000_000  # the voxels would have 125 MB


SMALL = nifti_of(VALUES[:3, :3, :2])


@pytest.mark.parametrize("whole", [SMALL, gzip.compress(SMALL)], ids=["plain", "gzip"])
def test_any_cut_is_noticed(whole: bytes) -> None:
    read_nifti(whole)
    for end in range(1, len(whole)):
        refusal(whole[:end])


def test_a_flip_in_a_compressed_file_is_noticed() -> None:
    whole = gzip.compress(SMALL)
    for place in range(10, len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        refusal(bytes(damaged))


def picture_or_refusal(data: bytes) -> None:
    try:
        slices = read_nifti(data, max_pixels=1_000_000)
    except ReadError:
        return
    assert slices.dtype == np.uint8
    assert slices.ndim == 3
    assert slices.size > 0


def test_any_flipped_byte_of_a_header_gives_slices_or_a_read_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for whole in (SMALL, nifti_of(VALUES[:3, :3, :2], form=2)):
        for place in range(min(544, len(whole))):
            for flip in (0x01, 0x40, 0x80, 0xFF):
                damaged = bytearray(whole)
                damaged[place] ^= flip
                picture_or_refusal(bytes(damaged))
    out, errors = capfd.readouterr()
    assert (out, errors.replace("\n", "")) == ("", "")


@settings(max_examples=300)
@given(st.booleans(), st.data())
def test_any_damage_gives_slices_or_a_read_error(packed: bool, data: st.DataObject) -> None:
    damaged = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    picture_or_refusal(gzip.compress(bytes(damaged)) if packed else bytes(damaged))


def test_what_is_nifti() -> None:
    assert is_nifti(SMALL)
    assert is_nifti(gzip.compress(SMALL))
    assert is_nifti(nifti_of(VALUES, form=2))
    for other in (b"", b"\x1f\x8b", gzip.compress(b"hello"), bytes(600), SMALL[:300]):
        assert not is_nifti(other)


def test_read_image_points_to_read_slices() -> None:
    for data in (SMALL, gzip.compress(SMALL)):
        with pytest.raises(ReadError, match="NIfTI volume") as caught:
            read_image(data)
        assert "read_slices" in caught.value.fix


def test_without_nibabel(tmp_path: Path) -> None:
    path = tmp_path / "volume.nii"
    path.write_bytes(SMALL)
    code = (
        "import sys; sys.modules['nibabel'] = None\n"
        "from mri_tumor.dataset.volumes.nifti import read_nifti\n"
        f"read_nifti({str(path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert MissingExtra.__name__ in done.stderr
    assert 'pip install "mri-tumor[nifti]"' in done.stderr


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("anatomical.nii", (25, 41, 33)),
        ("example4d.nii.gz", (24, 96, 128)),
        ("someones_anatomy.nii.gz", (56, 67, 57)),
    ],
)
def test_public_volumes(shared: Path, name: str, shape: tuple[int, ...]) -> None:
    path = shared / "data" / "nifti" / name
    image = nibabel.as_closest_canonical(nibabel.load(path))
    values = np.asanyarray(image.dataobj).reshape(*image.shape[:3], -1)
    slices = read_nifti(path, volume=values.shape[3] - 1)
    assert slices.shape == shape
    assert np.abs(slices.astype(int) - axial(values[..., -1])).max() <= 1
    assert len(np.unique(slices)) > 100
