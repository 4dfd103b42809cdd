"""Figshare's set, on files generated in the format in which MATLAB wrote it."""

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.dataset import read_outline, scan_figshare
from mri_tumor.dataset.auditing.file_checks import _SAID_BY
from mri_tumor.dataset.auditing.traits import traits_of
from mri_tumor.dataset.figshare import official_folds
from mri_tumor.dataset.reader import read_image
from mri_tumor.dataset.split import split
from mri_tumor.errors import ArgumentError, CatalogError, ReadError

HEADER = b"MATLAB 7.3 MAT-file, Platform: PCWIN64, Created on: Sat Aug 29 10:00:00 2015 HDF5 schema 1.00 ."
IMAGE = np.random.default_rng(0).integers(0, 3000, (20, 24)).astype(np.int16)
CORNERS = np.array([[5.0, 3.0], [15.0, 3.0], [15.0, 12.0], [5.0, 12.0]])
Change = Callable[[h5py.File], None]


def mask_of(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return cv2.fillPoly(np.zeros(shape, np.uint8), [np.rint(corners).astype(np.int32)], 1)


def mat_file(fill: Change) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512, libver="earliest") as file:
        fill(file)
    data = bytearray(buffer.getvalue())
    data[:128] = HEADER.ljust(124) + b"\x00\x02IM"
    return bytes(data)


def put(place: h5py.Group, name: str, values: np.ndarray, kind: str, **options: object) -> None:
    """Write a field as MATLAB does: axes reversed, its class as an attribute."""
    stored = place.create_dataset(name, data=values.T, **options)
    stored.attrs["MATLAB_class"] = np.bytes_(kind)
    if kind in ("char", "logical"):
        stored.attrs["MATLAB_int_decode"] = np.int32(values.dtype.itemsize)


def slice_file(
    image: np.ndarray = IMAGE,
    *,
    label: float = 1,
    patient: str = "100360",
    corners: np.ndarray = CORNERS,
    change: Change | None = None,
    **options: object,
) -> bytes:
    """Return a file of the set; corners as the reader gives them, counted from 0."""
    options = options or {"compression": "gzip", "chunks": True}

    def fill(file: h5py.File) -> None:
        struct = file.create_group("cjdata")
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        put(struct, "PID", np.array([[ord(letter) for letter in patient]], np.uint16), "char")
        put(struct, "image", image, image.dtype.name, **options)
        put(struct, "label", np.array([[float(label)]]), "double")
        put(struct, "tumorBorder", (corners + 1).reshape(-1, 1), "double")
        put(struct, "tumorMask", mask_of(corners, image.shape), "logical", **options)
        if change:
            change(file)

    return mat_file(fill)


def scaled(image: np.ndarray) -> np.ndarray:
    low, high = float(image.min()), float(image.max())
    return np.rint((image.astype(float) - low) / (high - low) * 255)


STORED = {
    "deflated": {"compression": "gzip", "chunks": True},
    "many chunks": {"compression": "gzip", "chunks": (7, 5)},
    "shuffled": {"compression": "gzip", "chunks": (7, 5), "shuffle": True},
    "only shuffled": {"chunks": (24, 20), "shuffle": True},
    "plain chunks": {"chunks": (7, 5)},
    "at once": {"compression": None},
}


@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
def test_a_slice_its_outline_and_both_lie_alike(options: dict[str, object]) -> None:
    data = slice_file(**options)
    image = read_image(data)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, scaled(IMAGE))
    outline = read_outline(data)
    assert outline.mask.dtype == bool
    np.testing.assert_array_equal(outline.mask, mask_of(CORNERS, IMAGE.shape) > 0)
    np.testing.assert_array_equal(outline.polygon, CORNERS)
    rows, columns = np.nonzero(outline.mask)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (5, 15, 3, 12)


@pytest.mark.parametrize("kind", ["int16", "uint16", "uint8", "float64"])
def test_other_kinds_of_numbers(kind: str) -> None:
    image = (IMAGE % 200).astype(kind)
    np.testing.assert_array_equal(read_image(slice_file(image)), scaled(image))


def test_negative_values_and_a_flat_slice() -> None:
    np.testing.assert_array_equal(read_image(slice_file(IMAGE - 2000)), scaled(IMAGE))
    assert not read_image(slice_file(np.full((20, 24), 7, np.int16))).any()


def test_catalog(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("brainTumorDataPublic_1-766", "brainTumorDataPublic_767-1532")]
    for number, (label, patient) in enumerate([(1, "100360"), (2, "MR01F"), (3, "9"), (2, "MR01F")], start=9):
        places[number % 2].mkdir(exist_ok=True)
        (places[number % 2] / f"{number}.mat").write_bytes(slice_file(label=label, patient=patient))
    (tmp_path / "cvind.mat").write_bytes(b"left aside")
    (tmp_path / "README.txt").write_text("left aside")
    catalog = scan_figshare(tmp_path)
    assert catalog.ids == ("9.mat", "10.mat", "11.mat", "12.mat")
    assert catalog.labels == ("meningioma", "glioma", "pituitary", "glioma")
    assert catalog.classes == ("glioma", "meningioma", "pituitary")
    first, second, third, fourth = catalog.groups
    assert second == fourth
    assert len({first, second, third}) == 3
    assert not any(name in str(catalog.groups) for name in ("100360", "MR01F"))
    assert all(len(record.digest) == 64 for record in catalog)
    assert scan_figshare(str(tmp_path), salt="ours").groups != catalog.groups
    assert len(scan_figshare(tmp_path, classes=("glioma", "meningioma", "none", "pituitary"))) == 4
    with pytest.raises(CatalogError, match="meningioma"):
        scan_figshare(tmp_path, classes=("glioma",))
    with pytest.raises(ArgumentError, match="salt"):
        scan_figshare(tmp_path, salt="")


@pytest.fixture
def ten_slices(tmp_path: Path) -> Path:
    for number in range(1, 11):
        path = tmp_path / f"{number}.mat"
        path.write_bytes(slice_file(IMAGE + number, label=1 + number // 2 % 2, patient=f"p{number // 2}"))
    return tmp_path


def test_what_comes_after(ten_slices: Path) -> None:
    catalog = scan_figshare(ten_slices, classes=("glioma", "meningioma"))
    train, test = split(catalog, (0.5, 0.5))
    assert not set(train.groups) & set(test.groups)
    path = catalog.paths[0]
    assert traits_of(path, read_image(path)).format == _SAID_BY[".mat"] == "MATLAB"


def test_official_folds(ten_slices: Path) -> None:
    catalog = scan_figshare(ten_slices, classes=("glioma", "meningioma"))
    folds = np.array([[1, 1, 2, 2, 3, 3, 4, 4, 5, 5.0]]).T
    path = ten_slices / "cvind.mat"
    path.write_bytes(mat_file(lambda file: put(file, "cvind", folds, "double")))
    pairs = list(official_folds(catalog, path))
    assert [part.ids for _, part in pairs] == [(f"{n}.mat", f"{n + 1}.mat") for n in range(1, 10, 2)]
    assert all(len(train) == 8 and not set(train.ids) & set(part.ids) for train, part in pairs)
    path.write_bytes(mat_file(lambda file: put(file, "cvind", folds[:4], "double")))
    with pytest.raises(CatalogError, match=r"'5\.mat'"):
        official_folds(catalog, path)
    for fold in (np.nan, np.inf, 1.5):
        path.write_bytes(
            mat_file(lambda file, fold=fold: put(file, "cvind", np.full((10, 1), fold), "double"))
        )
        with pytest.raises(ReadError, match="whole number"):
            official_folds(catalog, path)
    path.write_bytes(b"hello")
    with pytest.raises(ReadError, match="MATLAB"):
        official_folds(catalog, path)


def test_folders_that_hold_something_else(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"no \.mat file"):
        scan_figshare(tmp_path)
    with pytest.raises(CatalogError, match=r"no \.mat file"):
        scan_figshare(tmp_path / "missing")
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "1.mat").write_bytes(slice_file())
    with pytest.raises(CatalogError, match="twice"):
        scan_figshare(tmp_path)
    (tmp_path / "b" / "1.mat").rename(tmp_path / "b" / "2.mat")
    (tmp_path / "b" / "2.mat").write_bytes(b"hello")
    with pytest.raises(ReadError, match=r"2\.mat: this is no MATLAB v7\.3 file"):
        scan_figshare(tmp_path)


def refusal(data: bytes, read: Callable[[bytes], object] = read_image) -> str:
    with pytest.raises(ReadError) as caught:
        read(data)
    assert caught.value.found.startswith("<bytes>")
    assert caught.value.expected
    assert caught.value.fix
    return caught.value.found


def replaced(name: str, put_new: Callable[[h5py.Group], None]) -> bytes:
    def change(file: h5py.File) -> None:
        del file["cjdata"][name]
        put_new(file["cjdata"])

    return slice_file(change=change)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other.mat").write_bytes(slice_file())
    elsewhere = h5py.ExternalLink(str(tmp_path / "other.mat"), "/cjdata/image")
    for link in (elsewhere, h5py.SoftLink("/cjdata/tumorMask")):
        data = replaced("image", lambda struct, link=link: struct.__setitem__("image", link))
        assert "has no field cjdata/image" in refusal(data)


def test_pixels_outside_of_the_file_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(480 * 2))

    def outside(struct: h5py.Group) -> None:
        struct.create_dataset("image", (24, 20), np.int16, external=[(str(secret), 0, 960)])

    assert "does not hold cjdata/image itself" in refusal(replaced("image", outside))

    def virtual(struct: h5py.Group) -> None:
        layout = h5py.VirtualLayout((24, 20), np.int16)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.mat"), "cjdata/image", (24, 20))
        struct.create_virtual_dataset("image", layout)

    assert "rare way" in refusal(replaced("image", virtual))


@pytest.mark.parametrize("dtype", [h5py.ref_dtype, h5py.string_dtype(), "c16", "S4", "f2", "i4,f4"])
def test_fields_that_are_no_plain_numbers(dtype: object) -> None:
    data = replaced("image", lambda struct: struct.create_dataset("image", (24, 20), dtype) and None)
    assert "something else than numbers" in refusal(data)


def test_filters_of_others_are_not_loaded() -> None:
    for options in ({"compression": "lzf"}, {"scaleoffset": 4}, {"fletcher32": True}):
        assert "rare way" in refusal(slice_file(chunks=(24, 20), **options))


def test_other_matlab_files() -> None:
    no_field = "has no field cjdata/image"
    assert no_field in refusal(mat_file(lambda file: put(file, "x", IMAGE, "int16")))
    assert no_field in refusal(mat_file(lambda file: put(file, "cjdata", IMAGE, "int16")))
    assert no_field in refusal(mat_file(lambda file: file.create_group("cjdata") and None))
    assert no_field in refusal(mat_file(lambda _: None), read_outline)
    assert "no numbers in cjdata/image" in refusal(
        replaced("image", lambda struct: struct.create_group("image") and None)
    )
    assert "no MATLAB v7.3" in refusal(b"hello", read_outline)
    assert "MATLAB 5" in refusal(b"MATLAB 5.0 MAT-file" + bytes(600))


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("image", np.zeros((3, 4, 5), np.int16), "3 axes"),
        ("image", np.zeros((0, 4), np.int16), "4 x 0 pixels"),
        ("image", np.zeros((9000, 9000), np.int8), "9000 x 9000 pixels"),
    ],
)
def test_slices_of_impossible_sizes(name: str, values: np.ndarray, says: str) -> None:
    assert says in refusal(
        replaced(name, lambda struct: put(struct, name, values, "int16", compression="gzip"))
    )


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("tumorMask", np.zeros((5, 5), np.uint8), "another size"),
        ("tumorMask", np.zeros((20, 24), np.uint8), "empty"),
        ("tumorBorder", np.zeros((5, 1)), "no polygon"),
        ("tumorBorder", np.full((8, 1), np.nan), "no polygon"),
        ("tumorBorder", np.zeros((300_000, 1)), "300,000 numbers"),
    ],
)
def test_outlines_that_are_none(name: str, values: np.ndarray, says: str) -> None:
    data = replaced(name, lambda struct: put(struct, name, values, "double", compression="gzip"))
    assert says in refusal(data, read_outline)
    read_image(data)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("label", np.array([[4.0]]), "no class"),
        ("label", np.array([[1.5]]), "whole numbers"),
        ("label", np.array([[1.0, 2.0]]), "2 numbers"),
        ("label", np.zeros((0, 0)), "whole numbers"),
        ("PID", np.zeros((0, 0), np.uint16), "whole numbers"),
        ("PID", np.array([[7, 8]], np.uint16), "no text"),
        ("PID", np.array([[0xD800]], np.uint16), "no text"),
        ("PID", np.full((1, 100), 65, np.uint16), "100 numbers"),
    ],
)
def test_labels_and_patients_that_are_none(tmp_path: Path, name: str, values: np.ndarray, says: str) -> None:
    path = tmp_path / "1.mat"
    path.write_bytes(replaced(name, lambda struct: put(struct, name, values, "double")))
    with pytest.raises(ReadError, match=says) as caught:
        scan_figshare(tmp_path)
    assert str(path) in caught.value.found


def test_a_deflate_bomb() -> None:
    def bomb(struct: h5py.Group) -> None:
        stored = struct.create_dataset("image", (24, 20), np.int16, chunks=(24, 20), compression="gzip")
        stored.id.write_direct_chunk((0, 0), zlib.compress(bytes(300_000_000)))

    assert "damaged" in refusal(replaced("image", bomb))


def test_chunks_that_are_missing() -> None:
    def some(struct: h5py.Group) -> None:
        stored = struct.create_dataset("image", (24, 20), np.int16, chunks=(12, 20), compression="gzip")
        stored[:12] = 5

    assert "does not hold all" in refusal(replaced("image", some))
    none = replaced("image", lambda struct: struct.create_dataset("image", (24, 20), np.int16) and None)
    assert "points behind its end" in refusal(none)


WHOLE = slice_file()


def test_any_cut_is_noticed() -> None:
    for end in range(1, len(WHOLE), 13):
        refusal(WHOLE[:end])


def everything(data: bytes) -> None:
    for read in (read_image, read_outline):
        try:
            read(data)
        except ReadError:
            continue


def test_any_flipped_byte_gives_a_picture_or_a_read_error(capfd: pytest.CaptureFixture[str]) -> None:
    for place in range(512, len(WHOLE), 13):
        damaged = bytearray(WHOLE)
        damaged[place] ^= (0x01, 0x80, 0xFF)[place % 3]
        everything(bytes(damaged))
    assert capfd.readouterr() == ("", "")


@settings(max_examples=200)
@given(st.data())
def test_any_damage_gives_a_picture_or_a_read_error(data: st.DataObject) -> None:
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(512, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    everything(bytes(damaged))
