"""Public data sets: where they live, and fetching them."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mri_tumor.dataset.fetch import Wanted, fetch, is_whole
from mri_tumor.dataset.known_tables import KnownPicture, known_pictures
from mri_tumor.errors import ArgumentError
from mri_tumor.progress import track

logger = logging.getLogger(__name__)

CONNECTIONS = 4


@dataclass(frozen=True)
class Source:
    """A data set that can be fetched: its address, its files and what may be done with them."""

    base_url: str
    pictures: Sequence[KnownPicture]
    licence: str


_SARTAJ_URL = (
    "https://raw.githubusercontent.com/SartajBhuvaji/Brain-Tumor-Classification-DataSet/"
    "3ea9f4eae54c67e5bddbf6f7a73582967a5f5f79"
)
_LICENCE = "licence not established: for research only, never redistribute"
_BY_HAND = {
    "figshare": (
        "open https://doi.org/10.6084/m9.figshare.1512427, fetch its four archives of N.mat files, unpack "
        "them into one folder, and call dataset.scan_figshare(folder)"
    ),
    "kaggle": (
        "log in at https://www.kaggle.com, fetch sartajbhuvaji/brain-tumor-classification-mri, unpack it, "
        "and call dataset.scan(folder); or call download('sartaj', folder), which needs no account"
    ),
}


def download(name: str, directory: str | Path) -> Path:
    """Fetch a public data set and check every file by size and SHA-256.

    Files come into `.partial-<name>` beside the folder, which is renamed when all are whole. Called again
    after an interruption, it goes on where it stopped; a folder that is there and whole is left as it is.

    Args:
        name: `"sartaj"`: 3264 pictures in four classes; its licence is not established: for research only,
            never redistribute.
        directory: where it goes; `scan` reads it.

    Returns:
        The folder.

    Raises:
        ArgumentError: the set is unknown or must be fetched by hand (figshare), or the folder
            holds other things.
        DownloadError: a file cannot be fetched or is another one.
    """
    if name in _BY_HAND:
        raise ArgumentError(f"{name} cannot be fetched by this library", "'sartaj'", _BY_HAND[name])
    if name != "sartaj":
        raise ArgumentError(f"no source is called {name!r}", "'sartaj'", "pass download('sartaj', folder)")
    return fetch_source(Source(_SARTAJ_URL, known_pictures("sartaj"), _LICENCE), Path(directory))


def fetch_source(source: Source, directory: Path, *, pause: float = 1.0) -> Path:
    """Fetch every file of a source into a folder, as `download` does."""
    logger.warning("%s", source.licence)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        if directory.is_dir() and all(map(is_whole, _wanted(source, directory))):
            return directory
        raise ArgumentError(
            f"{directory} holds other things", "a new or empty folder, or a whole copy", "choose another"
        )
    partial = directory.parent / f".partial-{directory.name}"
    partial.mkdir(parents=True, exist_ok=True)
    _fetch_all(_wanted(source, partial), pause)
    if directory.exists():
        directory.rmdir()
    partial.replace(directory)
    return directory


def _wanted(source: Source, folder: Path) -> list[Wanted]:
    return [
        Wanted(f"{source.base_url}/{quote(item.id)}", folder / item.id, item.size, item.sha256)
        for item in source.pictures
    ]


def _fetch_all(files: Sequence[Wanted], pause: float) -> None:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        work = [pool.submit(fetch, file, pause=pause) for file in files]
        try:
            for done in track(as_completed(work), "fetching pictures", total=len(work)):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
