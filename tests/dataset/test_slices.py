"""Slices of a volume: order, one window, what is no series, axes, PNG files, and that nobody is in them."""

import gzip
import logging
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mri_tumor import dataset
from mri_tumor.dataset.formats.dicom import window
from mri_tumor.dataset.slices import Slices, read_slices
from mri_tumor.errors import ArgumentError, ReadError

Make = Callable[..., bytes]

AXIAL = [1, 0, 0, 0, 1, 0]
HEIGHT, WIDTH = 12, 10


def picture(level: int) -> np.ndarray:
    """Return a slice of one level, with a brighter corner that shows how it lies."""
    values = np.full((HEIGHT, WIDTH), level, np.int16)
    values[:3, :2] = 1000
    return values


@pytest.fixture
def make_series(make_dicom: Make, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes slices of the levels given, 3 mm apart, under names of no order."""

    def make(levels: list[int], name: str = "series", **changes: list) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for number, level in enumerate(levels):
            tags = {
                "ImagePositionPatient": [-10, 20, 3 * number],
                "ImageOrientationPatient": AXIAL,
                "PixelSpacing": [2, 0.5],
                "InstanceNumber": number + 1,
                "WindowCenter": 500,
                "WindowWidth": 1000,
            }
            tags |= {keyword: values[number] for keyword, values in changes.items()}
            data = make_dicom(picture(level), **tags)
            (folder / f"{level * 7919 % 1000:03d}-{number}.dcm").write_bytes(data)
        return folder

    return make


def levels_of(slices: Slices) -> list[int]:
    return slices.images[:, -1, -1].tolist()


def refused(source: Path, **options: object) -> ReadError:
    with pytest.raises(ReadError) as caught:
        read_slices(source, **options)  # type: ignore[arg-type]
    assert caught.value.expected
    assert caught.value.fix
    return caught.value


def test_slices_come_by_position(make_series: Callable[..., Path]) -> None:
    levels = [100, 400, 200, 900, 0, 600]
    slices = read_slices(make_series(levels))
    assert slices.images.shape == (6, HEIGHT, WIDTH)
    assert slices.images.dtype == np.uint8
    assert levels_of(slices) == [round(level * 255 / 999) for level in levels]
    assert slices.positions == (0, 3, 6, 9, 12, 15)
    assert slices.numbers == (0, 1, 2, 3, 4, 5)
    assert len(slices) == len(list(slices)) == 6


def test_position_goes_before_instance_number(make_series: Callable[..., Path]) -> None:
    slices = read_slices(make_series([10, 20, 30], InstanceNumber=[3, 2, 1]))
    assert levels_of(slices) == sorted(levels_of(slices))


def test_instance_numbers_where_there_is_no_position(make_series: Callable[..., Path]) -> None:
    folder = make_series([10, 20, 30], InstanceNumber=[3, 2, 1], ImagePositionPatient=[None] * 3)
    slices = read_slices(folder)
    assert levels_of(slices) == sorted(levels_of(slices), reverse=True)
    assert slices.positions == ()


def test_oblique_slices_come_along_their_normal(make_series: Callable[..., Path]) -> None:
    normal = np.cross([0, 0.6, 0.8], [1, 0, 0])
    slices = read_slices(
        make_series(
            [10, 20, 30],
            ImageOrientationPatient=[[0, 0.6, 0.8, 1, 0, 0]] * 3,
            ImagePositionPatient=[[*(normal * step)] for step in (5, -5, 0)],
        )
    )
    assert [levels_of(slices).index(level) for level in sorted(levels_of(slices))] == [2, 0, 1]
    np.testing.assert_allclose(slices.positions, [-5, 0, 5], atol=1e-6)


def test_one_window_for_all_slices(make_series: Callable[..., Path]) -> None:
    slices = read_slices(make_series([0, 100, 300, 500], WindowCenter=[None] * 4))
    air, low, middle, high = levels_of(slices)
    assert air == low < middle < high  # each for itself would have had the same level
    assert abs((high - middle) - (middle - low)) <= 2


def test_windows_that_differ_give_way_to_percentiles(
    make_series: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    alike = read_slices(make_series([100, 300, 500], "none", WindowCenter=[None] * 3))
    slices = read_slices(make_series([100, 300, 500], WindowCenter=[100, 300, 500]))
    np.testing.assert_array_equal(slices.images, alike.images)
    assert "window differs" in caplog.text


def test_each_slice_has_its_own_rescale(make_series: Callable[..., Path]) -> None:
    folder = make_series([100, 200, 400], RescaleSlope=[4, 2, 1], RescaleIntercept=[0, 0, 0])
    assert len(set(levels_of(read_slices(folder)))) == 1


def test_gaps_are_a_warning(make_series: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    places = [[0, 0, step] for step in (0, 3, 6, 15, 18)]
    assert len(read_slices(make_series([1, 2, 3, 4, 5], ImagePositionPatient=places))) == 5
    assert "1 gaps among 5 slices" in caplog.text
    caplog.clear()
    nowhere = {"ImagePositionPatient": [None] * 3, "InstanceNumber": [1, 2, 9]}
    read_slices(make_series([1, 2, 3], "numbers", **nowhere))
    assert "of the numbers 1 to 9 6 are missing" in caplog.text


NO_SERIES = {
    "doubled": ({"ImagePositionPatient": [[0, 0, 0], [0, 0, 3], [0, 0, 3]]}, "1 of 3 slices lie where"),
    "directions": ({"ImageOrientationPatient": [AXIAL, AXIAL, [1, 0, 0, 0, 0, -1]]}, "not parallel"),
    "no plane": ({"ImageOrientationPatient": [[1, 0, 0, 1, 0, 0]] * 3}, "no plane"),
    "no order": ({"ImagePositionPatient": [None] * 3, "InstanceNumber": [1, 1, 2]}, "tell the order"),
    "two series": ({"SeriesInstanceUID": ["1.2", "1.2", "1.3"]}, "2 series"),
    "kinds": ({"PhotometricInterpretation": ["MONOCHROME1", "MONOCHROME2", "MONOCHROME2"]}, "differ in rows"),
    "a CT": ({"Modality": ["MR", "MR", "CT"]}, "modality is CT"),
    "burned in": ({"BurnedInAnnotation": ["NO", "YES", "NO"]}, "burned into"),
}


@pytest.mark.parametrize(("changes", "found"), NO_SERIES.values(), ids=NO_SERIES)
def test_what_is_no_series(make_series: Callable[..., Path], changes: dict, found: str) -> None:
    assert found in refused(make_series([1, 2, 3], **changes)).found


def test_slices_of_two_sizes(make_series: Callable[..., Path], make_dicom: Make) -> None:
    folder = make_series([1, 2, 3])
    (folder / "localiser.dcm").write_bytes(
        make_dicom(np.zeros((5, 6), np.int16), ImageOrientationPatient=AXIAL)
    )
    assert "differ in rows, columns" in refused(folder).found


def test_other_files_are_left_aside(
    make_series: Callable[..., Path], make_dicom: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = make_series([1, 2, 3])
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.dcm").write_bytes(make_dicom(picture(4)))
    (folder / "inside").mkdir()
    directory = make_dicom(None, Modality=None).replace(
        b"1.2.840.10008.5.1.4.1.1.4\0", b"1.2.840.10008.1.3.10\0\0\0\0\0\0"
    )
    alone = read_slices(folder)
    # Before all slices, as DICOMDIR is before the names that scanners give.
    (folder / "-DICOMDIR").write_bytes(directory.replace(b"WR-18950212", b"WR-00000000"))
    slices = read_slices(folder)
    assert len(slices) == 3
    assert (slices.group, slices.name) == (alone.group, alone.name)  # DICOMDIR says nothing of the patient
    assert "1 files are not DICOM" in caplog.text


@pytest.mark.parametrize("what", ["open", "iterdir"])
def test_what_cannot_be_opened_is_not_left_aside(
    make_series: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    folder = make_series([1, 2, 3])
    locked = sorted(folder.iterdir())[1] if what == "open" else folder
    real = getattr(Path, what)

    def fail(path: Path, *args: object) -> object:
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return real(path, *args)

    monkeypatch.setattr(Path, what, fail)
    assert "cannot be opened" in refused(folder).found
    assert locked.name in refused(folder).found


def test_a_path_that_is_no_name_of_a_file() -> None:
    refused(Path("nul\0"))
    refused(Path("x" * 5000))


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "not there" in refused(tmp_path / "nowhere").found
    assert "no DICOM picture" in refused(tmp_path).found
    (tmp_path / "text.nii").write_text("text")
    assert "neither DICOM nor NIfTI" in refused(tmp_path / "text.nii").found


def test_limits_go_for_all_slices(make_series: Callable[..., Path]) -> None:
    folder = make_series([1, 2, 3])
    assert len(read_slices(folder, max_pixels=3 * HEIGHT * WIDTH)) == 3
    assert "max_pixels" in refused(folder, max_pixels=3 * HEIGHT * WIDTH - 1).fix
    assert "max_bytes" in refused(folder, max_bytes=100).fix


def test_a_bomb_of_frames_is_refused(make_dicom: Make, tmp_path: Path) -> None:
    path = tmp_path / "many.dcm"
    path.write_bytes(make_dicom(picture(1), NumberOfFrames=2_000_000_000))
    assert "2,000,000,000 slices" in refused(path).found


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "RLELossless"])
@pytest.mark.parametrize("frames", [5000, 64_000_000])
def test_a_bomb_of_tiny_frames_is_refused(make_dicom: Make, tmp_path: Path, syntax: str, frames: int) -> None:
    path = tmp_path / "tiny.dcm"
    coded = [bytes(64)] if syntax == "RLELossless" else False
    tiny = np.zeros((1, 1), np.int16)
    path.write_bytes(make_dicom(tiny, syntax=syntax, coded=coded, NumberOfFrames=frames))
    tracemalloc.start()
    found = refused(path).found
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"{frames:,} " in found
    assert highest < 5_000_000


def test_a_table_that_frames_share_is_built_once(
    make_dicom: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.dcm"
    table = {"LUTDescriptor": [256, 0, 8], "LUTData": bytes(range(256))}
    stack = np.arange(60, dtype=np.uint8).reshape(20, 1, 3)
    path.write_bytes(make_dicom(stack, VOILUTSequence=table))
    calls, real = [], window._entries
    monkeypatch.setattr(window, "_entries", lambda *args: (calls.append(1), real(*args))[1])
    np.testing.assert_array_equal(read_slices(path).images, stack)
    assert len(calls) == 1


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "RLELossless"])
def test_a_plain_multi_frame_file(make_dicom: Make, tmp_path: Path, syntax: str) -> None:
    path = tmp_path / "frames.dcm"
    stack = np.stack([picture(level) for level in (300, 100, 200)])
    coded = syntax == "RLELossless"
    data = make_dicom(stack, syntax=syntax, coded=coded, WindowCenter=500.5, WindowWidth=1001)
    path.write_bytes(data)
    slices = read_slices(path)
    assert levels_of(slices) == [76, 26, 51]
    assert slices.positions == ()
    path.write_bytes(data[:-400])
    refused(path)


def enhanced(levels: tuple[int, ...], places: tuple[float, ...], slopes: tuple[float, ...]) -> dict:
    per_frame = [
        {
            "PlanePositionSequence": {"ImagePositionPatient": [0, 0, place]},
            "PixelValueTransformationSequence": {"RescaleSlope": slope, "RescaleIntercept": 0},
        }
        for place, slope in zip(places, slopes, strict=True)
    ]
    shared = {
        "PlaneOrientationSequence": {"ImageOrientationPatient": AXIAL},
        "FrameVOILUTSequence": {"WindowCenter": 500.5, "WindowWidth": 1001},
        "PixelMeasuresSequence": {"PixelSpacing": [2, 0.5]},
    }
    return {
        "PerFrameFunctionalGroupsSequence": per_frame,
        "SharedFunctionalGroupsSequence": shared,
        "pixels": np.stack([picture(level) for level in levels]),
    }


def test_an_enhanced_multi_frame_file(make_dicom: Make, tmp_path: Path) -> None:
    path = tmp_path / "enhanced.dcm"
    path.write_bytes(make_dicom(**enhanced((300, 100, 200), (6, 0, 3), (1, 1, 2))))
    slices = read_slices(path)
    assert levels_of(slices) == [26, 102, 76]  # by place: 100, 2 x 200, 300
    assert slices.positions == (0, 3, 6)


def test_an_enhanced_file_of_several_times_is_refused(make_dicom: Make, tmp_path: Path) -> None:
    path = tmp_path / "times.dcm"
    path.write_bytes(make_dicom(**enhanced((1, 2, 3, 4), (0, 3, 0, 3), (1, 1, 1, 1))))
    assert "2 of 4 slices lie where another one lies" in refused(path).found


def test_a_single_slice(make_dicom: Make, tmp_path: Path) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(make_dicom(picture(100)))
    np.testing.assert_array_equal(read_slices(path).images[0], dataset.read_image(path))


def test_axes(make_series: Callable[..., Path]) -> None:
    folder = make_series([0, 100, 200, 300])
    as_scanned, axial = read_slices(folder), read_slices(folder, axis="axial")
    np.testing.assert_array_equal(axial.images, as_scanned.images)
    assert axial.name != as_scanned.name
    coronal, sagittal = read_slices(folder, axis="coronal"), read_slices(folder, axis="sagittal")
    assert coronal.images.shape == (HEIGHT, 4, WIDTH)
    assert sagittal.images.shape == (WIDTH, 4, HEIGHT)
    # The head is on top: the last axial slice is the first row.
    np.testing.assert_array_equal(coronal.images[5], as_scanned.images[::-1, 5])
    np.testing.assert_array_equal(sagittal.images[7], as_scanned.images[::-1, :, 7])
    assert coronal.positions == tuple(2.0 * row for row in range(HEIGHT))
    assert sagittal.positions == tuple(0.5 * column for column in range(WIDTH))


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_however_a_head_was_scanned_it_is_shown_alike(
    make_dicom: Make,
    tmp_path: Path,
    axis: dataset.slices.Axis,  # type: ignore[name-defined]
) -> None:
    head = np.random.default_rng(0).integers(0, 1000, (6, 6, 6)).astype(np.int16)  # by z, y, x
    turned = {
        "axial": head,
        "sagittal": head[::-1].transpose(2, 0, 1),
        "coronal": head[::-1].transpose(1, 0, 2),
    }
    directions = {
        "axial": (AXIAL, [0, 0, 1]),
        "sagittal": ([0, 1, 0, 0, 0, -1], [1, 0, 0]),
        "coronal": ([1, 0, 0, 0, 0, -1], [0, 1, 0]),
    }
    seen = []
    for name, volume in turned.items():
        (folder := tmp_path / name).mkdir()
        orientation, step = directions[name]
        for number, values in enumerate(volume):
            place = [value * number for value in step]
            tags = {"ImagePositionPatient": place, "ImageOrientationPatient": orientation}
            (folder / f"{number}.dcm").write_bytes(
                make_dicom(values, WindowCenter=500, WindowWidth=1000, **tags)
            )
        seen.append(read_slices(folder, axis=axis).images)
    np.testing.assert_array_equal(seen[1], seen[0])
    np.testing.assert_array_equal(seen[2], seen[0])


def test_axes_that_cannot_be_had(make_series: Callable[..., Path]) -> None:
    gaps = make_series([1, 2, 3, 4], "gaps", ImagePositionPatient=[[0, 0, at] for at in (0, 3, 6, 30)])
    assert "gaps" in refused(gaps, axis="coronal").found
    assert len(read_slices(gaps, axis="axial")) == 4
    nowhere = make_series([1, 2, 3], "nowhere", ImagePositionPatient=[None] * 3)
    assert "do not say how the slices lie" in refused(nowhere, axis="axial").found


def test_groups_and_names(make_series: Callable[..., Path]) -> None:
    first, again = read_slices(make_series([1, 2])), read_slices(make_series([1, 2], "again"))
    other_series = read_slices(make_series([1, 2], "t2", SeriesInstanceUID=["1.9", "1.9"]))
    other_patient = read_slices(make_series([1, 2], "p2", PatientID=["p2", "p2"]))
    assert (first.group, first.name) == (again.group, again.name)
    assert first.group == other_series.group != other_patient.group
    assert first.name != other_series.name
    assert re.fullmatch(r"[0-9a-f]{16}", first.group)
    assert read_slices(make_series([1, 2]), salt="secret").group != first.group
    assert read_slices(make_series([1, 2]), group="mine").group == "mine"


def test_series_without_a_uid_do_not_share_a_name(make_series: Callable[..., Path]) -> None:
    nameless = {"SeriesInstanceUID": [None] * 3}
    first, other = (read_slices(make_series([1, 2, level], f"t{level}", **nameless)) for level in (3, 4))
    again = read_slices(make_series([1, 2, 3], "again", **nameless))
    assert first.group == other.group
    assert first.name != other.name
    assert first.name == again.name


def test_parts_keep_their_numbers(make_series: Callable[..., Path], tmp_path: Path) -> None:
    slices = read_slices(make_series([1, 2, 3, 4]), group="p1")
    part = slices[1:3]
    assert (part.numbers, part.positions, len(part)) == ((1, 2), (3, 6), 2)
    assert [path.name[-8:] for path in part.to_png(tmp_path / "png")] == ["0001.png", "0002.png"]
    assert "p1" in repr(slices)
    with pytest.raises(ArgumentError, match="a slice"):
        slices[0]  # type: ignore[index]


def test_png_files_are_what_scan_reads(make_series: Callable[..., Path], tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number, (patient, label) in enumerate(
        [("a", "glioma"), ("b", "glioma"), ("a", "none"), ("c", "none")]
    ):
        uid = f"1.{number}"
        levels = [10 * number + level for level in (100, 300, 500)]
        folder = make_series(levels, f"s{number}", PatientID=[patient] * 3, SeriesInstanceUID=[uid] * 3)
        slices = read_slices(folder)
        for path, image in zip(slices.to_png(root / label), slices, strict=True):
            np.testing.assert_array_equal(dataset.read_image(path), image)
    catalog = dataset.scan(root, ("glioma", "none"), groups=re.compile(r"([^-/]+)-[^/]*$"))
    assert len(catalog) == 12
    assert len(set(catalog.groups)) == 3
    assert set(catalog.select(label="glioma").groups) & set(catalog.select(label="none").groups)


def test_writing_again_gives_the_same_files(make_series: Callable[..., Path], tmp_path: Path) -> None:
    slices = read_slices(make_series([1, 2]))
    before = {path.name: path.read_bytes() for path in slices.to_png(tmp_path / "png")}
    slices.to_png(tmp_path / "png")
    assert {path.name: path.read_bytes() for path in (tmp_path / "png").iterdir()} == before


BAD = {
    "axis": {"axis": "transverse"},
    "group": {"group": "../x"},
    "salt": {"salt": ""},
    "modality": {"modality": 5},
    "volume": {"volume": 3},
    "max_pixels": {"max_pixels": 0},
    "max_bytes": {"max_bytes": "9"},
}


@pytest.mark.parametrize(("name", "options"), BAD.items(), ids=BAD)
def test_bad_arguments(make_series: Callable[..., Path], name: str, options: dict) -> None:
    with pytest.raises(ArgumentError, match=name):
        read_slices(make_series([1, 2]), **options)


def test_arguments_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    for options in BAD.values():
        if "volume" not in options:
            with pytest.raises(ArgumentError):
                read_slices(tmp_path / "nowhere", **options)


def test_bad_sources() -> None:
    with pytest.raises(ArgumentError, match="source"):
        read_slices(3)  # type: ignore[arg-type]


@pytest.mark.realdata
def test_a_real_series_is_one_head(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    slices = read_slices(shared / "data/dicom/brain_t1")
    assert slices.images.shape == (8, 384, 274)
    assert list(slices.positions) == sorted(slices.positions)
    assert "gaps among 8 slices" in caplog.text
    # The same tissue has the same level from slice to slice: one window for all.
    assert [int(np.percentile(image[image > 40], 90)) > 100 for image in slices][2:7] == [True] * 5


@pytest.mark.realdata
def test_real_frames_are_the_same_in_both_codings(shared: Path) -> None:
    folder = shared / "data/dicom/mr_misc"
    plain, coded = (read_slices(folder / name) for name in ("emri_small.dcm", "emri_small_RLE.dcm"))
    assert plain.images.shape == (10, 64, 64)
    np.testing.assert_array_equal(plain.images, coded.images)
    assert plain.images.std() > 20


@pytest.mark.realdata
def test_a_real_folder_of_several_series_is_refused(shared: Path) -> None:
    assert "3 series" in refused(shared / "data/dicom/mr_misc").found


def test_nifti(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    pytest.importorskip("mri_tumor.dataset.volumes.nifti")
    values = np.random.default_rng(0).integers(0, 900, (7, 8, 9)).astype(np.int16)
    path = tmp_path / "head.nii"
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    slices, sagittal = read_slices(path), read_slices(path, axis="sagittal")
    assert slices.images.shape == (9, 8, 7)
    assert sagittal.images.shape == (7, 9, 8)
    assert slices.group == sagittal.group
    assert slices.name != sagittal.name
    packed = tmp_path / "head.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_slices(packed).images, slices.images)
