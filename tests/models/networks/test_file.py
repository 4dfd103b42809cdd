"""The network's file: read back as it was written, refused before it can fill the memory or run anything."""

import tracemalloc
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from mri_tumor.errors import ManifestMismatch
from mri_tumor.models.builders import build
from mri_tumor.models.networks.file import load_network, save_network


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_network(build("small_cnn", size=32, width=2), tmp_path / "model.keras")
    return tmp_path / "model.keras"


def changed(file: Path, config: bytes, kind: int) -> Path:
    """Write a file with another configuration into the place of a network's."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in (members | {"config.json": config}).items():
            archive.writestr(name, content)
    return file


def test_a_network_is_read_back(file: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), np.uint8)
    network = load_network(file)
    save_network(network, file)
    np.testing.assert_array_equal(load_network(file)(images), network(images))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(zipfile.ZIP_DEFLATED, "it would grow when it is read"), (zipfile.ZIP_STORED, "more than 16 MiB")],
)
def test_what_would_fill_the_memory_is_not_read(file: Path, kind: int, reason: str) -> None:
    bomb = changed(file, b"[" + b"[]," * (6 << 20) + b"[]]", kind)
    tracemalloc.start()
    try:
        with pytest.raises(ManifestMismatch, match=rf"model.keras cannot be loaded .*{reason}"):
            load_network(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_a_member_that_nothing_asks_for_counts_too(file: Path) -> None:
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/more", bytes(10 << 20))
    with pytest.raises(ManifestMismatch, match="it would grow"):
        load_network(file)


def test_files_without_a_network_are_refused(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", "{}")
    with pytest.raises(ManifestMismatch, match=r"config\.json"):
        load_network(file)
    with pytest.raises(ManifestMismatch, match="cannot be loaded"):
        load_network(changed(file, b"[" * 100_000, zipfile.ZIP_STORED))


def test_what_carries_code_is_refused_by_name(file: Path) -> None:
    image = keras.Input((2,))
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x, output_shape=(2,))])
    keras.Model(image, inner(image)).save(file)
    with pytest.raises(ManifestMismatch, match="it holds Lambda"):
        load_network(file)
