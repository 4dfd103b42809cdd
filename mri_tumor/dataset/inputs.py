"""Everything that `predict` takes, understood in one place: to ids and preprocessed batches."""

import sys
from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.decoding import Picture, decode, read_ahead
from mri_tumor.dataset.draws import check_whole
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.reader import read_image
from mri_tumor.errors import ArgumentError, MissingExtra, MriTumorError, ReadError
from mri_tumor.manifest import FILE_NAME

Named = tuple[str, Picture]

_TAKEN = (
    "a path, the bytes of a picture file, a uint8 array (H, W), a list of these, a Catalog, a folder of "
    "shards, or preprocessed pictures: uint8 (size, size, 1) or (N, size, size, 1), or a Dataset of load()"
)


def batches(
    images: Any, preprocess: Preprocess, *, batch_size: int = 32
) -> Iterator[tuple[list[str], Picture]]:
    """Return batches of ids and preprocessed pictures of whatever a `predict` was given, in its order.

    Raw pictures (paths, bytes, `(H, W)` arrays, a Catalog) are preprocessed here, by threads, two batches
    ahead of their use: one is made while a network works on another, and a folder of thousands takes little
    memory. Preprocessed ones (`(size, size, 1)`, `(N, size, size, 1)`, shards, a Dataset) are used as they
    are.

    Args:
        images: one of

            * a path or the bytes of a file that `read_image` reads, or a uint8 array `(H, W)`, 0-255;
            * a list (or any iterable) of these, of Records, or of preprocessed `(size, size, 1)` arrays;
            * a Catalog, or the Examples of a catalog or of shards;
            * a folder that `write_tfrecords` made;
            * uint8 arrays or tensors `(size, size, 1)` or `(N, size, size, 1)`;
            * a `tf.data.Dataset` as `load` returns it, or of such pictures alone, batched or not.
        preprocess: the model's preprocessing.
        batch_size: most pictures a batch.

    Returns:
        An iterator of (ids, uint8 `(n, size, size, 1)`), n from 1 to `batch_size`. The ids are those of the
        catalog, shards or Dataset; the path of a path; `"0"`, `"1"`, ... by place for what has no name.

    Raises:
        ArgumentError: a type, shape or dtype that is not taken; at once for `images` itself, while iterating
            for an element of it.
        ReadError: while iterating: a picture cannot be read; names it.
        MissingExtra: while iterating: a picture is of a kind that needs an extra, as DICOM does.
        ManifestMismatch: shards of another preprocessing, or a folder that holds none.
        ShardError: a shard is damaged.
    """
    if not isinstance(preprocess, Preprocess):
        raise ArgumentError(
            f"preprocess is {preprocess!r}", "a Preprocess", "pass the model's own, Classifier.preprocess"
        )
    check_whole("batch_size", batch_size, 1)
    return _batched(_named(images, preprocess, 2 * batch_size), batch_size)


def count_of(images: Any) -> int | None:
    """Return how many pictures there are in whatever a `predict` was given, None where that shows in the end.

    >>> count_of(["a.png", "b.png"]), count_of("a.png"), count_of(np.zeros((5, 32, 32, 1), np.uint8))
    (2, 1, 5)
    """
    if isinstance(images, str | Path):
        return None if Path(images).is_dir() else 1
    if isinstance(images, bytes | Record):
        return 1
    if _is_array(images):
        return len(images) if len(images.shape) == 4 else 1
    if _is_dataset(images) or not isinstance(images, Sized):
        return None
    return len(images)


def _batched(stream: Iterator[Named], batch_size: int) -> Iterator[tuple[list[str], Picture]]:
    while chunk := list(islice(stream, batch_size)):
        yield [name for name, _ in chunk], np.stack([picture for _, picture in chunk])


def _named(images: Any, preprocess: Preprocess, ahead: int) -> Iterator[Named]:
    if isinstance(images, str | Path) and Path(images).is_dir():
        return _shards(Path(images), preprocess)
    if isinstance(images, str | Path | bytes | Record):
        return _listed([images], preprocess, ahead)
    if isinstance(images, Catalog):
        return read_ahead(lambda record: (record.id, decode(record, preprocess)), images, most=ahead)
    if _is_dataset(images):
        return _dataset(images, preprocess)
    if _is_examples(images):
        return _examples(images, preprocess)
    if _is_array(images):
        return _array(np.asarray(images), preprocess)
    if isinstance(images, Iterable) and not isinstance(images, dict | bytearray | memoryview):
        return _listed(images, preprocess, ahead)
    raise ArgumentError(f"images is {_what(images)}", _TAKEN, "pass one of these")


def _listed(items: Iterable[Any], preprocess: Preprocess, ahead: int) -> Iterator[Named]:
    def prepared(numbered: tuple[int, Any]) -> Named:
        place, item = numbered
        if isinstance(item, Record):
            return item.id, decode(item, preprocess)
        if isinstance(item, str | Path):
            return str(item), preprocess(read_image(item))
        name = f"element {place} of images"
        if isinstance(item, bytes):
            return str(place), _encoded(item, preprocess, name)
        if _is_array(item):
            return str(place), _one(np.asarray(item), preprocess, name)
        raise ArgumentError(f"{name} is {_what(item)}", _TAKEN, "pass one of these")

    return read_ahead(prepared, enumerate(items), most=ahead)


def _encoded(data: bytes, preprocess: Preprocess, name: str) -> Picture:
    try:
        return preprocess(read_image(data))
    except MissingExtra:
        raise
    except MriTumorError as error:
        raise ReadError(f"{name}: {error.found}", error.expected, error.fix) from error


def _array(images: np.ndarray[Any, Any], preprocess: Preprocess) -> Iterator[Named]:
    if images.ndim == 4:
        _check_pixels(images, "images")
        return _numbered(_preprocessed(images, preprocess, "images"))
    return _numbered([_one(images, preprocess, "images")])


def _one(image: np.ndarray[Any, Any], preprocess: Preprocess, name: str) -> Picture:
    _check_pixels(image, name)
    if image.ndim == 2 and image.size:
        return preprocess(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        return _preprocessed(image, preprocess, name)
    raise _misshapen(image, name)


def _preprocessed(images: np.ndarray[Any, Any], preprocess: Preprocess, name: str) -> Picture:
    size = preprocess.size
    if images.shape[-3:] == (size, size, 1):
        return images
    if images.shape[-1] != 1:
        raise _misshapen(images, name)
    raise ArgumentError(
        f"{name} has shape {images.shape}",
        f"(..., {size}, {size}, 1): pictures that this model's Preprocess made",
        "preprocess them with it, or pass raw pictures as paths, bytes or (H, W) arrays",
    )


def _misshapen(images: np.ndarray[Any, Any], name: str) -> ArgumentError:
    found = f"{name} has shape {images.shape}"
    if images.ndim == 3 and images.shape[-1] not in (3, 4):
        return ArgumentError(
            f"{found}, which could be N raw pictures or one preprocessed one of another layout",
            "(H, W) for a raw picture, (size, size, 1) or (N, size, size, 1) for preprocessed ones",
            "pass list(images) for raw pictures, images[..., None] for preprocessed ones",
        )
    if images.ndim in (3, 4) and images.shape[-1] in (3, 4):
        return ArgumentError(
            f"{found}: colour", "grey pictures", "pass the files' paths, or one grey channel"
        )
    return ArgumentError(found, _TAKEN, "pass one of these")


def _check_pixels(images: np.ndarray[Any, Any], name: str) -> None:
    if images.dtype == np.uint8:
        return
    raise ArgumentError(
        f"{name} has dtype {images.dtype}",
        "uint8, 0-255: the model scales pictures itself",
        "pass the pixels as they are read; np.uint8(np.round(x * 255)) undoes a scaling to 0-1",
    )


def _dataset(data: Any, preprocess: Preprocess) -> Iterator[Named]:
    from mri_tumor.dataset.stores import check_same

    check_same("the Dataset", getattr(data, "preprocess", preprocess), preprocess)
    spec, size = _images_of(data.element_spec), preprocess.size
    shape = getattr(spec, "shape", None)
    single = shape is not None and shape.rank == 3
    fits = shape is not None and shape.is_compatible_with(
        [size, size, 1] if single else [None, size, size, 1]
    )
    if not fits or spec.dtype.name != "uint8":
        raise ArgumentError(
            f"the Dataset's elements are {data.element_spec}",
            f'uint8 (B, {size}, {size}, 1), or a dictionary with that as "image"',
            "make it with dataset.load",
        )
    return _from_dataset(data.batch(32) if single else data, preprocess)


def _from_dataset(data: Any, preprocess: Preprocess) -> Iterator[Named]:
    place = 0
    for element in data.as_numpy_iterator():
        pictures = _preprocessed(_images_of(element), preprocess, "an element of the Dataset")
        ids = element.get("id") if isinstance(element, dict) else None
        names = (
            [str(place + step) for step in range(len(pictures))] if ids is None else [_text(n) for n in ids]
        )
        yield from zip(names, pictures, strict=True)
        place += len(pictures)


def _images_of(element: Any) -> Any:
    if isinstance(element, dict):
        return element.get("image")
    return element[0] if isinstance(element, tuple) and element else element


def _examples(examples: Any, preprocess: Preprocess) -> Iterator[Named]:
    from mri_tumor.dataset.stores import check_same

    check_same("the Examples", examples.preprocess, preprocess)
    return _from_dataset(examples.batches(), preprocess)


def _shards(directory: Path, preprocess: Preprocess) -> Iterator[Named]:
    from mri_tumor.dataset.stores import open_shards

    if not (directory / FILE_NAME).is_file():
        raise ArgumentError(
            f"{directory} is a folder without shards", _TAKEN, "pass dataset.scan(folder) for class folders"
        )
    return ((record.id, record.picture) for record in open_shards(directory, preprocess).records())


def _numbered(pictures: Iterable[Picture]) -> Iterator[Named]:
    return ((str(place), picture) for place, picture in enumerate(pictures))


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _is_array(value: Any) -> bool:
    # Tensors of any library come as arrays; a text or number in an array does not make a picture.
    return hasattr(value, "__array__") and hasattr(value, "shape")


def _is_dataset(value: Any) -> bool:
    # Where TensorFlow was never imported there is no Dataset either, and a client need not load it.
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(value, tensorflow.data.Dataset)


def _is_examples(value: Any) -> bool:
    pipeline = sys.modules.get("mri_tumor.dataset.pipeline")
    return pipeline is not None and isinstance(value, pipeline.Examples)


def _what(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
