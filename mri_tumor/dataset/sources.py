"""Public data sets: where they live, and fetching them."""

import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mri_tumor.dataset.public.fetch import Wanted, fetch, is_whole, writing
from mri_tumor.dataset.public.known_tables import KnownPicture, known_pictures
from mri_tumor.errors import ArgumentError, DownloadError
from mri_tumor.files import locked
from mri_tumor.progress import track

logger = logging.getLogger(__name__)

CONNECTIONS = 4


@dataclass(frozen=True)
class Source:
    """A data set that can be fetched.

    Args:
        base_url: the address that the files' ids are relative to.
        pictures: the files.
        licence: what may be done with them.
        by_hand: the steps of somebody who must do without this library.
    """

    base_url: str
    pictures: Sequence[KnownPicture]
    licence: str
    by_hand: str


_SARTAJ_URL = (
    "https://raw.githubusercontent.com/SartajBhuvaji/Brain-Tumor-Classification-DataSet/"
    "3ea9f4eae54c67e5bddbf6f7a73582967a5f5f79"
)
_LICENCE = "licence not established: for research only, never redistribute"
_BY_HAND = {
    "figshare": (
        "(1) open https://doi.org/10.6084/m9.figshare.1512427; (2) fetch its four archives of N.mat files; "
        "(3) unpack them into one folder; (4) call dataset.scan_figshare(folder)"
    ),
    "kaggle": (
        "(1) log in at https://www.kaggle.com; (2) fetch sartajbhuvaji/brain-tumor-classification-mri; "
        "(3) unpack it; (4) call dataset.scan(folder) on the folder that holds Training and Testing; "
        "or call download('sartaj', folder), which needs no account"
    ),
    "sartaj": (
        "(1) open https://github.com/SartajBhuvaji/Brain-Tumor-Classification-DataSet; (2) choose Code, "
        "Download ZIP; (3) unpack it; (4) dataset.known(dataset.scan(folder)).summary() says whether all of "
        "it is there"
    ),
}


def download(name: str, directory: str | Path) -> Path:
    """Fetch a public data set and check every file by size and SHA-256.

    Files come into `.download-<name>` beside the folder, which is renamed when all are whole. Called again
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
        DownloadError: a file cannot be fetched, is another one, or cannot be written.
        MriTumorError: another process is fetching into this folder.

    >>> download("figshare", "brainTumorDataPublic")
    Traceback (most recent call last):
    ...
    mri_tumor.errors.ArgumentError: figshare cannot be fetched by this library. Expected: 'sartaj'. To do: ...
    """
    if name not in _BY_HAND:
        raise ArgumentError(f"no source is called {name!r}", "'sartaj'", "pass download('sartaj', folder)")
    if name != "sartaj":
        raise ArgumentError(f"{name} cannot be fetched by this library", "'sartaj'", _BY_HAND[name])
    source = Source(_SARTAJ_URL, known_pictures("sartaj"), _LICENCE, _BY_HAND["sartaj"])
    return fetch_source(source, Path(directory))


def fetch_source(source: Source, directory: Path, *, pause: float = 1.0) -> Path:
    """Fetch every file of a source into a folder, as `download` does."""
    logger.warning("%s", source.licence)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        if directory.is_dir() and all(map(is_whole, _wanted(source, directory))):
            return directory
        raise ArgumentError(
            f"{directory} holds other things", "a new or empty folder, or a whole copy", "choose another"
        )
    # Not the name that files.whole_folder uses: shards may be written beside it, to a folder of this name.
    partial = directory.parent / f".download-{directory.name}"
    try:
        with writing(partial):
            partial.mkdir(parents=True, exist_ok=True)
        with locked(partial, directory):
            wanted = _wanted(source, partial)
            _fetch_all(wanted, pause)
            with writing(directory):
                _remove_others(partial, {file.path for file in wanted})
                if directory.exists():
                    directory.rmdir()
                partial.replace(directory)
    except DownloadError as error:
        fix = f"{error.fix}. By hand: {source.by_hand}"
        raise DownloadError(error.found, error.expected, fix) from error
    return directory


def _remove_others(folder: Path, wanted: Collection[Path]) -> None:
    """Remove what an earlier call for other files left in a folder."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in wanted:
            path.unlink()


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
