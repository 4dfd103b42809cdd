"""One DICOM file through `read_image`: every coding, every way to say what the values mean, every refusal."""

import logging
import struct
import subprocess
import sys
import threading
import traceback
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mri_tumor import _lazy
from mri_tumor.dataset.formats.dicom import file as dicom_file
from mri_tumor.dataset.reader import read_image
from mri_tumor.errors import MissingExtra, ReadError

Make = Callable[..., bytes]

VALUES = np.arange(40 * 60).reshape(40, 60).astype(np.int16)
FULL = {"WindowCenter": 1200, "WindowWidth": 2400}  # all of VALUES: black to white
SHOWN = np.rint(VALUES / 2399 * 255)
SYNTAXES = (
    "ImplicitVRLittleEndian",
    "ExplicitVRLittleEndian",
    "ExplicitVRBigEndian",
    "DeflatedExplicitVRLittleEndian",
)


def coded(syntax: str) -> bool:
    return syntax not in SYNTAXES


def refused(data: bytes, **options: object) -> ReadError:
    with pytest.raises(ReadError) as caught:
        read_image(data, **options)  # type: ignore[arg-type]
    assert caught.value.expected
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize("syntax", [*SYNTAXES, "RLELossless", "JPEG2000Lossless"])
def test_every_syntax_gives_the_same_pixels(make_dicom: Make, syntax: str, dtype: type) -> None:
    pixels = VALUES.astype(dtype)
    frames = [jpeg_2000(pixels)] if syntax == "JPEG2000Lossless" else coded(syntax)
    data = make_dicom(pixels, syntax=syntax, coded=frames, **FULL)
    np.testing.assert_array_equal(read_image(data), SHOWN)


def jpeg_2000(values: np.ndarray) -> bytes:
    openjpeg = pytest.importorskip("openjpeg.utils")
    return bytes(openjpeg.encode_array(values, codec_format=0, photometric_interpretation=2))


def lossless_jpeg(values: np.ndarray) -> bytes:
    """Return a lossless JPEG (ITU-T T.81, annex H), each value predicted by the one on its left.

    Its Huffman code gives every one of the 17 lengths of a difference five bits.
    """
    rows, columns = values.shape
    before = np.empty((rows, columns), np.int64)
    before[:, 1:], before[1:, 0], before[0, 0] = values[:, :-1], values[:-1, 0], 1 << 15
    bits = []
    for step in ((values.astype(np.int64) - before + (1 << 15)) % (1 << 16) - (1 << 15)).ravel().tolist():
        length = abs(step).bit_length()
        bits.append(f"{length:05b}")
        if 0 < length < 16:
            bits.append(f"{step if step > 0 else step + (1 << length) - 1:0{length}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    coded = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
    frame = b"\xff\xc3" + struct.pack(">HBHHBBBB", 11, 16, rows, columns, 1, 1, 0x11, 0)
    codes = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    table = b"\xff\xc4" + struct.pack(">H", 2 + len(codes)) + codes
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0)
    return b"\xff\xd8" + frame + table + scan + coded + b"\xff\xd9"


@pytest.mark.parametrize("syntax", ["JPEGLosslessSV1", "JPEGLossless"])
def test_lossless_jpeg(make_dicom: Make, syntax: str) -> None:
    pixels = VALUES.astype(np.uint16)
    data = make_dicom(pixels, syntax=syntax, coded=[lossless_jpeg(pixels)], **FULL)
    np.testing.assert_array_equal(read_image(data), SHOWN)


def test_floating_point(make_dicom: Make) -> None:
    floats = VALUES.astype("<f4") / 1000
    tags = {"PixelData": None, "FloatPixelData": floats.tobytes(), "BitsAllocated": 32, "BitsStored": None}
    data = make_dicom(
        VALUES,
        **tags,
        HighBit=None,
        PixelRepresentation=None,
        WindowCenter=1.2,
        WindowWidth=2.4,
        VOILUTFunction="LINEAR_EXACT",
    )
    np.testing.assert_allclose(read_image(data), VALUES / 2400 * 255, atol=0.51)


def test_8_bits(make_dicom: Make) -> None:
    values = np.arange(200, dtype=np.uint8).reshape(10, 20)
    data = make_dicom(values, WindowCenter=128, WindowWidth=256)
    np.testing.assert_array_equal(read_image(data), values)


def test_a_jpeg_inside(make_dicom: Make) -> None:
    smooth = cv2.resize(np.random.default_rng(0).integers(0, 255, (5, 5), np.uint8), (32, 24))
    frame = cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    data = make_dicom(smooth, syntax="JPEGBaseline8Bit", coded=[frame], WindowCenter=128, WindowWidth=256)
    assert np.abs(read_image(data).astype(int) - smooth).max() < 8


def test_signed_values(make_dicom: Make) -> None:
    values = np.array([[-1000, 0, 1000]], np.int16)
    for syntax in ("ExplicitVRLittleEndian", "RLELossless"):
        data = make_dicom(values, syntax=syntax, coded=coded(syntax), WindowCenter=0.5, WindowWidth=2001)
        np.testing.assert_array_equal(read_image(data), [[0, 128, 255]])


@pytest.mark.parametrize("high", [11, 13, 15])
def test_unused_bits_do_not_count(make_dicom: Make, high: int) -> None:
    kept = (0xF << 12 if high == 11 else 0x3 << 14 if high == 13 else 0) | ((1 << (high - 11)) - 1)
    values = ((np.array([[0, 2048, 4095]]) << (high - 11)) | kept).astype(np.uint16)
    data = make_dicom(values, BitsStored=12, HighBit=high, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_array_equal(read_image(data), [[0, 128, 255]])


def test_unused_bits_of_signed_values(make_dicom: Make) -> None:
    values = (np.array([[-2048, 0, 2047]]) & 0xFFF).astype(np.uint16).astype(np.int16)
    data = make_dicom(values, BitsStored=12, HighBit=11, WindowCenter=0, WindowWidth=4096)
    np.testing.assert_array_equal(read_image(data), [[0, 128, 255]])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # By PS3.3, C.11.2.1.2, with centre 2048 and width 4096.
        ("LINEAR", [0, 0, 64, 128, 255, 255]),
        ("LINEAR_EXACT", [0, 0, 64, 128, 255, 255]),
        ("SIGMOID", [5, 30, 69, 128, 225, 250]),
    ],
)
def test_functions_of_a_window(make_dicom: Make, function: str, expected: list[int]) -> None:
    values = np.array([[-2000, 0, 1024, 2048, 4096, 6000]], np.int16)
    data = make_dicom(values, WindowCenter=2048, WindowWidth=4096, VOILUTFunction=function)
    shares = 1 / (1 + np.exp(-4 * (values - 2048) / 4096))
    if function == "SIGMOID":
        np.testing.assert_array_equal(read_image(data), np.rint(shares * 255))
    np.testing.assert_array_equal(read_image(data), [expected])


def test_linear_and_linear_exact_differ_by_half_a_value(make_dicom: Make) -> None:
    values = np.arange(6, dtype=np.int16)[None]
    window = {"WindowCenter": 2, "WindowWidth": 2}
    np.testing.assert_array_equal(read_image(make_dicom(values, **window)), [[0, 0, 255, 255, 255, 255]][:1])
    exact = make_dicom(values, **window, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_array_equal(read_image(exact), [[0, 0, 128, 255, 255, 255]])


def test_a_window_of_one_value_is_a_threshold(make_dicom: Make) -> None:
    values = np.arange(6, dtype=np.int16)[None]
    data = make_dicom(values, WindowCenter=3, WindowWidth=1)
    np.testing.assert_array_equal(read_image(data), [[0, 0, 0, 255, 255, 255]])


def test_the_first_of_several_windows_counts(make_dicom: Make) -> None:
    data = make_dicom(VALUES, WindowCenter=[1200, 10], WindowWidth=[2400, 20])
    np.testing.assert_array_equal(read_image(data), SHOWN)


def test_the_window_is_in_rescaled_values(make_dicom: Make) -> None:
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 1399.5, "WindowWidth": 4799}
    np.testing.assert_array_equal(read_image(make_dicom(VALUES, **tags)), SHOWN)


def test_a_slope_of_nothing_is_refused(make_dicom: Make) -> None:
    assert "slope is 0" in refused(make_dicom(VALUES, RescaleSlope=0, RescaleIntercept=0)).found


LUT = {"LUTDescriptor": [4, 10, 8], "LUTData": bytes([0, 0, 200, 0, 100, 0, 255, 0])}


def test_a_table_is_applied(make_dicom: Make) -> None:
    values = np.array([[9, 10, 11, 12, 13, 99]], np.uint16)
    expected = [[0, 0, 200, 100, 255, 255]]
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        data = make_dicom(
            values, **{keyword: {**LUT, "ModalityLUTType": "US"}}, WindowCenter=128, WindowWidth=256
        )
        np.testing.assert_array_equal(read_image(data), expected)


def test_a_table_of_bytes_and_a_big_endian_one(make_dicom: Make) -> None:
    values = np.array([[9, 10, 11, 12, 13, 99]], np.uint16)
    tables = {
        "ExplicitVRLittleEndian": bytes([0, 200, 100, 255]),
        "ExplicitVRBigEndian": bytes([0, 0, 0, 200, 0, 100, 0, 255]),
    }
    for syntax, entries in tables.items():
        data = make_dicom(values, syntax=syntax, VOILUTSequence={**LUT, "LUTData": entries})
        np.testing.assert_array_equal(read_image(data), [[0, 0, 200, 100, 255, 255]])


def test_a_table_that_is_too_short_is_no_table(make_dicom: Make) -> None:
    short = {**LUT, "LUTDescriptor": [400, 10, 8]}
    data = make_dicom(VALUES, VOILUTSequence=short, **FULL)
    np.testing.assert_array_equal(read_image(data), SHOWN)


def test_monochrome_1_is_inverted(make_dicom: Make) -> None:
    data = make_dicom(VALUES, PhotometricInterpretation="MONOCHROME1", **FULL)
    np.testing.assert_array_equal(read_image(data), 255 - SHOWN)
    picture = np.pad(np.full((10, 10), 500, np.uint16), 20, constant_values=4000)
    picture[25, 25] = 100
    dark_air = read_image(make_dicom(picture, PhotometricInterpretation="MONOCHROME1"))
    assert dark_air[0, 0] == 0
    assert dark_air[25, 25] == 255


NOT_A_WINDOW = [
    {},
    {"WindowCenter": 100},
    {"WindowCenter": 100, "WindowWidth": 0},
    {"WindowCenter": 100, "WindowWidth": 0.5},
    {"WindowCenter": 100, "WindowWidth": 100, "VOILUTFunction": "CUBIC"},
]


@pytest.mark.parametrize("tags", NOT_A_WINDOW)
def test_percentiles_where_there_is_no_window(make_dicom: Make, tags: dict) -> None:
    picture = np.zeros((40, 40), np.uint16)
    picture[10:30, 10:30] = np.arange(400).reshape(20, 20) + 1000
    picture[10, 10:12] = 1, 30_000  # a single dark and a single bright value must not spoil the rest
    image = read_image(make_dicom(picture, **tags))
    assert image[0, 0] == 0
    assert image[10, 11] == 255
    assert image[29, 29] == 255
    assert image[11, 10] < 15
    assert 120 < image[20, 10] < 136


def test_padding_is_black_and_does_not_count(make_dicom: Make) -> None:
    picture = np.tile(np.arange(100, dtype=np.int16), (4, 1))
    padded = np.pad(picture, 30, constant_values=-2000)
    for photometric, first in (("MONOCHROME2", 0), ("MONOCHROME1", 255)):
        tags = {"PhotometricInterpretation": photometric, "PixelPaddingValue": -2000}
        image = read_image(make_dicom(padded, **tags))
        assert not image[:30].any()
        assert not image[:, :30].any()
        assert abs(int(image[31, 30]) - first) < 3
        assert 120 < image[31, 80] < 136


def test_a_range_of_padding(make_dicom: Make) -> None:
    values = np.array([[0, 50, 100, 3000, 3500, 4000]], np.uint16)
    tags = {
        "PixelPaddingValue": 4000,
        "PixelPaddingRangeLimit": 3000,
        "WindowCenter": 50.5,
        "WindowWidth": 101,
    }
    np.testing.assert_array_equal(read_image(make_dicom(values, **tags)), [[0, 128, 255, 0, 0, 0]])


def test_padding_of_the_wrong_type(make_dicom: Make) -> None:
    data = make_dicom(
        np.array([[-2000, 0, 100]], np.int16), PixelPaddingValue=-2000, WindowCenter=0, WindowWidth=99
    )
    wrong = data.replace(b"\x28\x00\x20\x01SS", b"\x28\x00\x20\x01US")
    assert wrong != data
    np.testing.assert_array_equal(read_image(wrong), read_image(data))


@pytest.mark.parametrize("written", [63536, 2096, 65536 - 1, 4096 - 1])
def test_signed_padding_of_12_bits_that_was_written_unsigned(make_dicom: Make, written: int) -> None:
    padding = written - (1 << 16 if written > 4095 else 1 << 12)
    values = (np.array([[padding, 0, 100]]) & 0xFFF).astype(np.int16)
    tags = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1"}
    as_signed = struct.unpack("<h", struct.pack("<H", written))[0]
    data = make_dicom(values, PixelPaddingValue=as_signed, WindowCenter=50.5, WindowWidth=101, **tags)
    data = data.replace(b"\x28\x00\x20\x01SS", b"\x28\x00\x20\x01US")
    np.testing.assert_array_equal(read_image(data), [[0, 255, 0]])


def test_padding_beyond_the_stored_bits_is_no_value_of_theirs(make_dicom: Make) -> None:
    values = np.array([[0, 50, 100]], np.int16)
    tags = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1"}
    data = make_dicom(values, PixelPaddingValue=-32768, WindowCenter=50.5, WindowWidth=101, **tags)
    np.testing.assert_array_equal(read_image(data), [[255, 127, 0]])


def test_one_value_everywhere_is_black(make_dicom: Make) -> None:
    assert not read_image(make_dicom(np.full((4, 5), 7, np.uint16))).any()


@pytest.mark.parametrize("syntax", ["ImplicitVRLittleEndian", "ExplicitVRLittleEndian"])
def test_without_preamble(make_dicom: Make, syntax: str) -> None:
    data = make_dicom(VALUES, syntax=syntax, preamble=False, **FULL)
    assert b"DICM" not in data
    np.testing.assert_array_equal(read_image(data), SHOWN)


def test_padded_pixels_are_read_and_short_ones_refused(make_dicom: Make) -> None:
    longer = make_dicom(VALUES, PixelData=VALUES.tobytes() + b"\x00" * 64, **FULL)
    np.testing.assert_array_equal(read_image(longer), SHOWN)
    assert "cannot be decoded" in refused(make_dicom(VALUES, PixelData=VALUES.tobytes()[:-64])).found


@pytest.mark.parametrize("syntax", [*SYNTAXES, "RLELossless"])
def test_cut_off_files_are_refused(make_dicom: Make, syntax: str) -> None:
    data = make_dicom(VALUES, syntax=syntax, coded=coded(syntax), **FULL)
    for end in (*range(140, len(data), 97), len(data) - 9):
        refused(data[:end])


REFUSED = {
    "CT": ({"Modality": "CT"}, "modality is CT"),
    "no modality": ({"Modality": "", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "modality is not given"),
    "mosaic": ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, "mosaic"),
    "burned in": ({"BurnedInAnnotation": "YES"}, "burned into"),
    "colour": ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "RGB"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE"),
    "frames": ({"NumberOfFrames": 7}, "7 frames"),
    "no frames": ({"NumberOfFrames": 0}, "0 frames"),
    "no pixels": ({"PixelData": None}, "no pixels"),
    "report": ({"PixelData": None, "Modality": "SR"}, "modality SR"),
    "no rows": ({"Rows": 0}, "60 x 0"),
    "bits": ({"BitsStored": 12, "HighBit": 3}, "12 bits"),
    "many bits": ({"BitsStored": 65535, "PixelPaddingValue": 1}, "65,535 bits"),
}


@pytest.mark.parametrize(("tags", "found"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(make_dicom: Make, tags: dict, found: str) -> None:
    assert found in refused(make_dicom(VALUES, **tags)).found


def test_several_frames_are_sent_to_read_slices(make_dicom: Make) -> None:
    assert "read_slices" in refused(make_dicom(np.zeros((3, 4, 5), np.uint16))).fix


def test_what_may_be_allowed(make_dicom: Make) -> None:
    ct = make_dicom(VALUES, Modality="CT", **FULL)
    assert "modality='CT'" in refused(ct).fix
    for modality in ("CT", "ct", None):
        np.testing.assert_array_equal(read_image(ct, modality=modality), SHOWN)
    assert "modality is CT" in refused(ct, modality="PT").found
    burned = make_dicom(VALUES, BurnedInAnnotation="YES", **FULL)
    assert "burned_in=True" in refused(burned).fix
    np.testing.assert_array_equal(read_image(burned, burned_in=True), SHOWN)


def test_a_removed_modality_is_known_by_the_storage_class(make_dicom: Make) -> None:
    np.testing.assert_array_equal(read_image(make_dicom(VALUES, Modality="", **FULL)), SHOWN)


def test_limits(make_dicom: Make) -> None:
    data = make_dicom(VALUES)
    assert "max_pixels" in refused(data, max_pixels=VALUES.size - 1).fix
    assert "max_bytes" in refused(data, max_bytes=len(data) - 1).fix
    read_image(data, max_pixels=VALUES.size, max_bytes=len(data))


def test_a_header_that_promises_too_much_is_refused_before_decoding(make_dicom: Make) -> None:
    assert "65535 x 65535" in refused(make_dicom(VALUES, Rows=65535, Columns=65535)).found
    assert "frames" in refused(make_dicom(VALUES, NumberOfFrames=2_000_000_000)).found


def test_a_deflate_bomb_is_refused(make_dicom: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_file, "MAX_INFLATED", 1_000_000)
    plain = make_dicom(VALUES, syntax="DeflatedExplicitVRLittleEndian")
    head = plain[: plain.index(b"1.2.840.10008.1.2.1.99") + 22]
    head = plain[: dicom_file._end_of_file_meta(plain)]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = head + packer.compress(bytes(2_000_000)) + packer.flush()
    assert len(bomb) < 5000
    assert "inflates to more than 1,000,000 bytes" in refused(bomb).found


def test_a_coded_frame_larger_than_the_header_says_is_refused(make_dicom: Make) -> None:
    big = np.zeros((3000, 2000), np.uint16)
    j2k = make_dicom(VALUES, syntax="JPEG2000Lossless", coded=[jpeg_2000(big)])
    assert "(3000, 2000, 1)" in refused(j2k).found
    jpeg = cv2.imencode(".jpg", np.zeros((900, 800, 3), np.uint8))[1].tobytes()
    data = make_dicom(VALUES.astype(np.uint8), syntax="JPEGBaseline8Bit", coded=[jpeg])
    assert "(900, 800, 3)" in refused(data).found


def jp2(values: np.ndarray, box: bytes) -> bytes:
    """Return a JP2 file with a box of anything in front of its codestream."""
    openjpeg = pytest.importorskip("openjpeg.utils")
    whole = bytes(openjpeg.encode_array(values, codec_format=1, photometric_interpretation=2))
    place = whole.index(b"jp2c") - 4
    return whole[:place] + struct.pack(">I4s", 8 + len(box), b"free") + box + whole[place:]


@pytest.mark.parametrize("lead", [0, 2000])
def test_the_size_of_a_jp2_file_is_that_of_its_codestream(make_dicom: Make, lead: int) -> None:
    pixels = VALUES.astype(np.uint16)
    box = bytes(lead) + jpeg_2000(pixels)[:200]  # a codestream where none is looked for
    fits = make_dicom(pixels, syntax="JPEG2000Lossless", coded=[jp2(pixels, box)], **FULL)
    np.testing.assert_array_equal(read_image(fits), SHOWN)
    big = np.zeros((300, 200), np.uint16)
    data = make_dicom(pixels, syntax="JPEG2000Lossless", coded=[jp2(big, box)])
    assert "has a frame of (300, 200, 1)" in refused(data).found


def test_a_coded_frame_that_says_no_size_is_refused(make_dicom: Make) -> None:
    data = make_dicom(VALUES, syntax="JPEG2000Lossless", coded=[b"\x00\x00\x00\x0cjP  " + bytes(100)])
    assert "no size" in refused(data).found


def test_runs_are_decoded_no_further_than_the_picture_goes(make_dicom: Make) -> None:
    segment = b"\x81\x01" * 1_000_000
    frame = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2
    tracemalloc.start()
    image = read_image(make_dicom(VALUES, syntax="RLELossless", coded=[frame], WindowCenter=0, WindowWidth=1))
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (image == 255).all()
    assert highest < 40_000_000  # the runs would make 256 MB


@pytest.mark.parametrize("segments", [1, 3])
def test_runs_of_other_segments_are_refused(make_dicom: Make, segments: int) -> None:
    frame = struct.pack("<16I", segments, 64, 64, 64, *[0] * 12) + b"\x81\x01" * 100
    assert "ValueError" in refused(make_dicom(VALUES, syntax="RLELossless", coded=[frame])).found


def test_a_syntax_that_is_not_read(make_dicom: Make) -> None:
    refused(make_dicom(VALUES, syntax="MPEG2MPML", coded=[b"\x00\x00\x01\xb3" + bytes(100)]))


def test_nobody_is_named(make_dicom: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    values = ({"Rows": None}, {"PixelData": b"\x00\x00"}, {"Modality": "CT"}, {"BurnedInAnnotation": "YES"})
    for tags in values:
        data = make_dicom(VALUES, **tags).replace(b"WindowCenter", b"Roentgen^Wil")
        with pytest.raises(ReadError) as caught:
            read_image(data)
        shown = "".join(traceback.format_exception(caught.value))
        assert "Roentgen" not in shown
    assert "Roentgen" not in caplog.text


def test_values_that_pydicom_would_quote_are_kept_back(
    make_dicom: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    data = make_dicom(VALUES, WindowCenter=100, WindowWidth=100, RescaleSlope="1.00", RescaleIntercept=0)
    read_image(data.replace(b"1.00", b"Name"))
    assert "Name" not in caplog.text


@pytest.mark.parametrize("logger", ["pydicom", "pydicom.pixels.decoders.base", "openjpeg.utils", "pylibjpeg"])
def test_what_decoders_log_is_kept_back_too(logger: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pytest.importorskip("pydicom")
    with dicom_file.guarded("a"):
        logging.getLogger(logger).error("Roentgen")
        thread = threading.Thread(target=lambda: logging.getLogger(logger).error("of another thread"))
        thread.start()
        thread.join()
    logging.getLogger(logger).error("afterwards")
    assert caplog.messages == ["of another thread", "afterwards"]


def test_a_file_is_parsed_once(make_dicom: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import pydicom

    calls, read = [], pydicom.dcmread
    monkeypatch.setattr(
        pydicom, "dcmread", lambda *args, **options: (calls.append(1), read(*args, **options))[1]
    )
    read_image(make_dicom(VALUES))
    assert len(calls) == 1


def test_a_missing_extra_is_named_at_use(make_dicom: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'pydicom'")

    data = make_dicom(VALUES)
    monkeypatch.setattr(_lazy.importlib, "import_module", fail)
    with pytest.raises(MissingExtra, match=r"mri-tumor\[dicom\]"):
        read_image(data)


def test_other_pictures_are_read_without_loading_pydicom() -> None:
    code = "import sys, mri_tumor.dataset.slices, mri_tumor.dataset.reader; print('pydicom' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


REAL_COUNT = 12


@pytest.mark.realdata
def test_real_files_read_or_are_refused(shared: Path) -> None:
    paths = sorted((shared / "data/dicom/mr_misc").iterdir())
    assert sum(path.suffix == ".dcm" for path in paths) == REAL_COUNT
    unread = {}
    for path in paths:
        try:
            assert read_image(path).std() > 5, path
        except ReadError as error:
            unread[path.name] = error.found
    assert sorted(unread) == [
        "LICENSE.pydicom",
        "LICENSE.pydicom-data",
        "MR_truncated.dcm",
        "emri_small.dcm",
        "emri_small_RLE.dcm",
    ]
    assert "cut off" in unread["MR_truncated.dcm"]
    assert "10 frames" in unread["emri_small.dcm"]


@pytest.mark.realdata
def test_real_pictures_are_the_same_in_all_syntaxes(shared: Path) -> None:
    folder = shared / "data/dicom/mr_misc"
    first = read_image(folder / "MR_small.dcm")
    others = list(folder.glob("MR_small_*.dcm"))
    assert len(others) == 7
    for path in others:
        np.testing.assert_array_equal(read_image(path), first, err_msg=path.name)


@pytest.mark.realdata
def test_real_brains_are_bright_on_black(shared: Path) -> None:
    paths = sorted((shared / "data/dicom/brain_t1").iterdir())
    assert len(paths) == 8
    for path in paths:
        image = read_image(path)
        assert image.shape == (384, 274)
        assert image[:5].mean() < 10
        assert image[:, :5].mean() < 10
        assert 10 < image.mean() < 90
        assert image.max() == 255
