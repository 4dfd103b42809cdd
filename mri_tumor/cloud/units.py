"""Units of work: what one shard is made from, as a file that a job can be given.

On this machine a unit is a card, a JSON file that names the pictures where they lie. For a job on SageMaker
it is a tar archive that holds the card first and then the pictures, under numbers for names.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri_tumor.cloud.archive import write_tar
from mri_tumor.cloud.tar import Source, damaged, members
from mri_tumor.errors import ReadError
from mri_tumor.files import write_text

if TYPE_CHECKING:
    from mri_tumor.dataset.shards.writing import Share

_CARD = "unit.json"
_PACKED = ".tar"


def write_card(share: "Share", folder: Path) -> Path:
    """Write the card of a unit whose pictures are read where they lie; return the file."""
    path = folder / f"{_name(share)}.json"
    write_text(path, _card(share, [str(record.path.absolute()) for record in share.pictures]))
    return path


def pack_unit(share: "Share", folder: Path) -> Path:
    """Write a unit with its pictures into an archive; the same pictures give the same bytes.

    Args:
        share: what is packed.
        folder: where the archive goes.

    Returns:
        The archive.

    Raises:
        ReadError: a picture cannot be read.
    """
    path, card = folder / f"{_name(share)}{_PACKED}", folder / _CARD
    names = [_number(place) for place in range(len(share.pictures))]
    write_text(card, _card(share, names))
    pictures = zip(names, share.pictures.paths, strict=True)
    try:
        with path.open("wb") as file:
            write_tar(file, [(_CARD, card), *pictures])
    except OSError as error:
        found = f"the pictures of {share.name} cannot be packed ({error})"
        raise ReadError(found, "files that can be read, and room for copies", "check the files") from error
    card.unlink()
    return path


@contextlib.contextmanager
def opened(path: Path) -> Iterator["Share"]:
    """Yield the share that a unit says; what is unpacked for it goes with the block.

    Raises:
        PackageError: the archive is damaged, or holds anything but a card and its pictures.
    """
    if path.suffix != _PACKED:
        yield _share(json.loads(path.read_bytes()), path.parent)
        return
    # Beside the archive, where there is room for pictures: a container's /tmp may be small.
    folder = Path(tempfile.mkdtemp(prefix=".unit-", dir=path.parent))
    try:
        yield _unpacked(path, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpacked(path: Path, folder: Path) -> "Share":
    with path.open("rb") as stream:
        source = Source(stream, str(path), path.stat().st_size)
        names = [_CARD]
        for place, member in enumerate(members(source)):
            # The names are ours: whatever else stands there is never written.
            if member.problem or member.kind != "file" or member.name != names[place]:
                raise damaged(str(path), f"member {place} is {member.name[:100]!r}, not {names[place]!r}")
            with (folder / names[place]).open("xb") as file:
                for chunk in source.content(member):
                    file.write(chunk)
            names.append(_number(place))
    card = json.loads((folder / _CARD).read_bytes()) if len(names) > 1 else {"records": []}
    if [record["file"] for record in card["records"]] != names[1:-1] or not card["records"]:
        raise damaged(str(path), "its pictures are not those that its card names")
    return _share(card, folder)


def _card(share: "Share", files: Sequence[str]) -> str:
    records = [
        {"id": record.id, "label": record.label, "group": record.group, "index": index, "file": file}
        for index, (record, file) in enumerate(zip(share.pictures, files, strict=True), share.first)
    ]
    how = {
        "classes": list(share.pictures.classes),
        "preprocess": share.preprocess.to_dict(),
        "compression": share.compression,
    }
    return json.dumps({"shard": share.name, **how, "records": records})


def _share(card: Mapping[str, Any], folder: Path) -> "Share":
    from mri_tumor.dataset.catalog import Catalog, Record
    from mri_tumor.dataset.preprocess import Preprocess
    from mri_tumor.dataset.shards.writing import Share

    records = [Record(one["id"], folder / one["file"], one["label"], one["group"]) for one in card["records"]]
    return Share(
        name=card["shard"],
        pictures=Catalog(records, card["classes"]),
        first=card["records"][0]["index"],
        preprocess=Preprocess.from_dict(card["preprocess"]),
        on_error="raise",
        compression=card["compression"],
    )


def _name(share: "Share") -> str:
    return "unit" + share.name.partition(".")[0].removeprefix("part")


def _number(place: int) -> str:
    return f"{place:06d}"
