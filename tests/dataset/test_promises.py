"""What the whole room promises: of a file only its pixels go on, and a seed gives the same bytes."""

import base64
import gzip
import json
import logging
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mri_tumor import dataset
from mri_tumor.errors import MriTumorError

SECRET = "Roentgen^Wilhelmine"  # whom the generated DICOM files are of
SMALL = dataset.Preprocess(size=32)


def jpeg(image: np.ndarray) -> bytes:
    """A JPEG with the name in its EXIF data, in a comment, and behind its end."""
    data = cv2.imencode(".jpg", image)[1].tobytes()
    name = SECRET.encode()
    tag = struct.pack(">HHII", 0x013B, 2, len(name) + 1, 26)  # the artist, as cameras write it
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 1) + tag + b"\0\0\0\0" + name + b"\0"
    parts = [(b"\xff\xe1", exif), (b"\xff\xfe", name)]
    blocks = b"".join(mark + struct.pack(">H", len(body) + 2) + body for mark, body in parts)
    return data[:2] + blocks + data[2:] + name


def png(image: np.ndarray) -> bytes:
    """A PNG with the name in a text chunk and in EXIF data."""
    data = cv2.imencode(".png", image)[1].tobytes()
    name = SECRET.encode()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    blocks = chunk(b"tEXt", b"Patient\0" + name) + chunk(b"eXIf", b"MM\0*\0\0\0\x08" + name)
    return data[:33] + blocks + data[33:]


@pytest.fixture
def named(make_folder: Callable[..., Path], make_dicom: Callable[..., bytes]) -> Path:
    """Training and Testing with JPEG, PNG and DICOM files that name a patient, and with a text file."""
    root = make_folder(per_class=5, split="Training")
    make_folder(per_class=5, split="Testing", seed=9)
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        path.unlink()
        if number % 3 == 0:
            path.with_suffix(".dcm").write_bytes(make_dicom(image.astype(np.int16)))
        else:
            path.with_suffix(".jpg").write_bytes(jpeg(image) if number % 3 == 1 else png(image))
    shown = sorted((root / "Training" / "no_tumor").iterdir())[1]
    (root / "Testing" / "no_tumor" / f"copy{shown.suffix}").write_bytes(shown.read_bytes())
    (root / "Training" / "no_tumor" / "text.png").write_text(SECRET * 50)
    return root


def everything_in(folder: Path) -> bytes:
    """Return the bytes of all files, unpacked where they are packed."""
    found = []
    for path in sorted(folder.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        found.append(gzip.decompress(data) if path.suffix == ".gz" else data)
        found += map(base64.b64decode, re.findall(rb"base64,([A-Za-z0-9+/=]+)", data))
    return b"\n".join(found)


def use_all(root: Path, out: Path) -> None:
    """Do with a folder all that the room can do, and write all that it can write."""
    pictures = dataset.scan(root)
    report = dataset.audit(pictures)
    report.to_csv(out / "findings.csv")
    report.to_html(out / "audit.html")
    (out / "audit.txt").write_text(report.summary())
    found = dataset.known(pictures)
    (out / "known.txt").write_text(found.summary())
    good = pictures.select(where=lambda record: "text.png" not in record.id).with_groups(report)
    good.to_csv(out / "catalog.csv")
    parts = dict(zip("ab", dataset.split(good.select(split="Training"), (0.5, 0.5)), strict=True))
    dataset.write_split(out / "split.json", parts)
    dataset.write_folds(out / "folds.json", dataset.folds(good.select(split="Training"), 2))
    for kind in (None, "gzip"):
        dataset.write_tfrecords(
            pictures, out / f"shards-{kind}", preprocess=SMALL, compression=kind, on_error="skip"
        )
    dataset.verify_tfrecords(out / "shards-gzip")
    dataset.preview(good, out / "preview.png", augment=dataset.Augment(), preprocess=SMALL)
    (out / "statistics.json").write_text(json.dumps(dataset.statistics(good).to_dict()))


def test_no_name_leaves_a_file_and_nothing_is_logged_of_it(
    named: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    assert SECRET.encode() in everything_in(named)
    out = tmp_path / "out"
    out.mkdir()
    with caplog.at_level(logging.DEBUG):
        use_all(named, out)
    written = everything_in(out)
    assert b"data:image" in written
    for mark in (SECRET.encode(), b"Exif\0", b"eXIf", b"WR-18950212"):
        assert mark not in written
    assert SECRET not in caplog.text + "".join(capfd.readouterr())
    # Nor does a log hold pixels, in whatever form.
    ours = [record for record in caplog.records if record.name.startswith("mri_tumor")]
    assert ours
    for record in ours:
        arguments = record.args.values() if isinstance(record.args, dict) else record.args or ()
        assert not any(isinstance(value, bytes | bytearray | np.ndarray) for value in arguments)
        assert len(record.getMessage()) < 1000


def test_errors_do_not_quote_a_file(named: Path, tmp_path: Path) -> None:
    bad = named / "Training" / "no_tumor" / "text.png"
    for work in (
        lambda: dataset.read_image(bad),
        lambda: dataset.read_image(bad.read_bytes()),
        lambda: dataset.load(dataset.scan(named), SMALL),
        lambda: dataset.write_tfrecords(dataset.scan(named), tmp_path / "x", preprocess=SMALL),
    ):
        with pytest.raises(MriTumorError) as caught:
            work()
        assert SECRET not in str(caught.value)
        assert len(str(caught.value)) < 1000


def test_a_bomb_among_pictures_costs_nothing(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = make_folder(per_class=4)
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000))
    chunks = [(b"IHDR", head), (b"IDAT", body), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in chunks
    )
    (root / "no_tumor" / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    report = dataset.audit(dataset.scan(root))
    assert [(one.id, "60000 x 60000" in one.reason) for one in report.unreadable] == [
        ("no_tumor/bomb.png", True)
    ]
    manifest = dataset.write_tfrecords(
        dataset.scan(root), tmp_path / "shards", preprocess=SMALL, on_error="skip"
    )
    assert [one["id"] for one in manifest.sections["skipped"]] == ["no_tumor/bomb.png"]


MAKE = """
import hashlib, sys
from pathlib import Path
from mri_tumor import dataset

out = Path(sys.argv[1])
pictures = dataset.make_phantoms(out / "phantoms", per_class=6, size=64, seed=5)
pictures = pictures.with_groups(dataset.audit(pictures))
parts = dict(zip(("train", "validation"), dataset.split(pictures, (0.7, 0.3), seed=5)))
dataset.write_split(out / "split.json", parts)
dataset.write_folds(out / "folds.json", dataset.folds(pictures, 2, seed=5))
for name, part in parts.items():
    dataset.write_tfrecords(part, out / name, preprocess=dataset.Preprocess(size=32), shards=2)
digest = hashlib.sha256()
augment = dataset.Augment(rotation=15, zoom=0.1, noise=4, bias_field=0.2)
data = dataset.load(out / "train", batch_size=7, augment=augment, shuffle=True, seed=5, epoch=3)
mixup = dataset.MixUp()
for batch in data:
    images, rows = mixup(batch["image"], batch["label"], batch["index"], seed=5, epoch=3)
    digest.update(repr(batch["id"].numpy().tolist()).encode())
    for part in (batch["image"], images, rows):
        digest.update(part.numpy().tobytes())
(out / "epoch").write_text(digest.hexdigest())
"""


@pytest.mark.slow
def test_a_seed_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    for name, settings in (
        ("one", {"PYTHONHASHSEED": "1"}),
        ("other", {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}),
    ):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-W", "ignore", "-c", MAKE, tmp_path / name]
        done = subprocess.run(
            command, env={**os.environ, **settings}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    files = {
        name: {
            path.relative_to(tmp_path / name).as_posix(): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "other")
    }
    assert {"split.json", "folds.json", "epoch", "train/manifest.json"} <= files["one"].keys()
    assert files["one"].keys() == files["other"].keys()
    assert [name for name, data in files["one"].items() if data != files["other"][name]] == []
