"""Laws of reading DICOM: whatever the bytes, a grey picture or an error of ours, and not a word besides."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mri_tumor.dataset.reader import read_image
from mri_tumor.dataset.slices import read_slices
from mri_tumor.errors import ReadError

Make = Callable[..., bytes]

QUICK = settings(max_examples=50, suppress_health_check=list(HealthCheck))
VALUES = np.random.default_rng(0).integers(-500, 1500, (9, 13)).astype(np.int16)
SYNTAXES = ("ImplicitVRLittleEndian", "ExplicitVRBigEndian", "DeflatedExplicitVRLittleEndian", "RLELossless")


def quiet(read: Callable[[], np.ndarray]) -> np.ndarray | None:
    """Return the picture, None when it is refused; anything else, a warning or a line of pydicom fails."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.name)  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            image = read()
    except ReadError:
        return None
    finally:
        logging.getLogger().removeHandler(handler)
        assert not any(name.startswith("pydicom") for name in lines)
    assert image.dtype == np.uint8
    assert image.size
    return image


@QUICK
@given(st.data())
def test_any_damage_gives_a_picture_or_a_read_error(make_dicom: Make, data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from(SYNTAXES))
    whole = bytearray(make_dicom(VALUES, syntax=syntax, coded=syntax == "RLELossless"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(128, len(whole) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))
    quiet(lambda: read_image(bytes(whole[:end]), max_pixels=1_000_000))


NUMBER = st.one_of(st.integers(-(2**31), 2**31 - 1), st.floats(-1e30, 1e30), st.just(0))
DECIMAL = NUMBER.map(lambda value: f"{value:.8g}")
SMALL = st.integers(0, 2**16 - 1)
TAGS = st.fixed_dictionaries(
    {},
    optional={
        "Rows": SMALL,
        "Columns": SMALL,
        "BitsStored": SMALL,
        "HighBit": SMALL,
        "PixelRepresentation": st.integers(0, 1),
        "NumberOfFrames": st.integers(-5, 10**12).map(str),
        "PhotometricInterpretation": st.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB", "", "x"]),
        "RescaleSlope": DECIMAL,
        "RescaleIntercept": DECIMAL,
        "WindowCenter": DECIMAL,
        "WindowWidth": DECIMAL,
        "VOILUTFunction": st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "", "x"]),
        "PixelPaddingValue": st.integers(0, 2**15 - 1),
        "PixelPaddingRangeLimit": st.integers(0, 2**15 - 1),
        "VOILUTSequence": st.fixed_dictionaries(
            {
                "LUTDescriptor": st.lists(st.integers(0, 2**15 - 1), min_size=2, max_size=4),
                # Whole 16-bit words: pydicom writes no others.
                "LUTData": st.binary(max_size=40).map(lambda data: data[: len(data) // 2 * 2]),
            }
        ),
    },
)


@QUICK
@given(TAGS)
def test_any_tags_give_a_picture_or_a_read_error(make_dicom: Make, tags: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's word on what it writes here
        data = make_dicom(VALUES, **tags)
    image = quiet(lambda: read_image(data, max_pixels=1_000_000))
    if image is not None:
        assert image.size <= VALUES.size


@QUICK
@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_any_positions_give_slices_or_a_read_error(
    make_dicom: Make, tmp_path_factory: pytest.TempPathFactory, positions: list[list[float]]
) -> None:
    folder = tmp_path_factory.mktemp("series")
    for number, position in enumerate(positions):
        at = [f"{value:.6g}" for value in position]
        data = make_dicom(VALUES, ImagePositionPatient=at, ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
        (folder / f"{number}.dcm").write_bytes(data)
    images = quiet(lambda: read_slices(folder).images)
    heights = sorted(float(f"{position[2]:.6g}") for position in positions)
    apart = all(np.diff(heights) >= 0.02)
    if apart:
        assert images is not None
    if images is not None:
        assert images.shape == (len(positions), *VALUES.shape)


@QUICK
@given(st.floats(-1e4, 1e4), st.floats(1.5, 1e4), st.integers(1, 100))
def test_a_window_is_the_same_however_values_are_rescaled(
    make_dicom: Make, centre: float, width: float, slope: int
) -> None:
    centre, width = round(centre), round(width) + 1
    plain = make_dicom(VALUES, WindowCenter=centre, WindowWidth=width, VOILUTFunction="LINEAR_EXACT")
    scaled = make_dicom(
        VALUES,
        RescaleSlope=slope,
        RescaleIntercept=7,
        WindowCenter=centre * slope + 7,
        WindowWidth=width * slope,
        VOILUTFunction="LINEAR_EXACT",
    )
    assert np.abs(read_image(plain).astype(int) - read_image(scaled)).max() <= 1


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name", ["MR_small.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"]
)
def test_real_files_cut_anywhere_are_refused(shared: Path, name: str) -> None:
    whole = (shared / "data/dicom/mr_misc" / name).read_bytes()
    rng = np.random.default_rng(0)
    for end in rng.integers(0, len(whole) - 200, 60):
        assert quiet(lambda end=end: read_image(whole[:end])) is None, end  # type: ignore[misc]
