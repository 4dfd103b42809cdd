"""Engines' models, kept beside the classifier that they were made from."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri_tumor.errors import MriTumorError
from mri_tumor.files import digest_of, sha256_of, whole_folder, write_text
from mri_tumor.models.engines.engine import Engine
from mri_tumor.models.engines.parity import Parity

logger = logging.getLogger(__name__)

FOLDER = "engines"
"""The folder, in that of a classifier; it can be removed at any time."""

CARD = "engine.json"
_SCHEMA = 2


@dataclass(frozen=True)
class Kept:
    """An engine, and how it was found to agree with its network.

    Args:
        engine: opened.
        parity: the differences, and how often both say the same.
        measured_on: which pictures, in words.
    """

    engine: Engine
    parity: Parity
    measured_on: str


class Store:
    """Keeps the models of one classifier.

    Args:
        folder: the classifier's, or None to keep nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder / FOLDER

    def get(self, key: dict[str, Any], open_: Callable[[Path], Engine]) -> Kept | None:
        """Return what is kept under a key; None if nothing is, or if it is damaged, which a warning says.

        Args:
            key: everything that the model follows from.
            open_: opens the model that lies in a folder.
        """
        place = self._place(key)
        if place is None or not place.is_dir():
            return None
        try:
            card = json.loads((place / CARD).read_bytes())
            parity = Parity(**card["parity"])
            _check(place, card, key)
            return Kept(open_(place), parity, str(card["measured_on"]))
        except MriTumorError:
            raise
        except Exception as error:  # damaged files show in as many ways as there are libraries that read them
            logger.warning("%s cannot be used (%r); it is made anew", place, error)
            return None

    def put(self, key: dict[str, Any], model: Path, kept: Kept) -> None:
        """Keep a model's files where that is possible; a folder that cannot be written is left as it is."""
        place = self._place(key)
        if place is None:
            return
        names = sorted(file.name for file in model.iterdir())
        card = {
            "key": key,
            "files": {name: sha256_of(model / name) for name in names},
            "parity": vars(kept.parity),
            "measured_on": kept.measured_on,
        }
        try:
            with whole_folder(place) as partial:
                for name in names:
                    shutil.copyfile(model / name, partial / name)
                write_text(partial / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            logger.info("the engine is not kept (%s): it is made anew at the next loading", error)

    def forget(self, key: dict[str, Any]) -> None:
        """Remove what is kept under a key, as far as that is possible."""
        if (place := self._place(key)) is not None:
            shutil.rmtree(place, ignore_errors=True)

    def _place(self, key: dict[str, Any]) -> Path | None:
        # A link would lead out of the classifier's folder.
        if self._folder is None or self._folder.is_symlink():
            return None
        digest = digest_of([_SCHEMA, key])
        return self._folder / f"{key['engine']}-{key['precision']}-{digest[:16]}"


def _check(place: Path, card: dict[str, Any], key: dict[str, Any]) -> None:
    if card["key"] != key:
        raise ValueError("it is of another key")
    there = {file.name for file in place.iterdir()} - {CARD}
    if there != set(card["files"]):
        raise ValueError(f"it holds {', '.join(sorted(there))}")
    for name, recorded in card["files"].items():
        if sha256_of(place / name) != recorded:
            raise ValueError(f"{name} has another SHA-256 than was written")
