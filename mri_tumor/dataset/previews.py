"""The first augmented training pictures, drawn: what training sees."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mri_tumor import plots
from mri_tumor.dataset.augment import Augment, check_augment
from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.draws import check_whole, shuffled
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.stores import open_store
from mri_tumor.labels import display_name


def preview(
    source: Catalog | str | Path,
    path: str | Path | None = None,
    *,
    augment: Augment | None = None,
    count: int = 25,
    seed: int = 0,
    epoch: int = 0,
    preprocess: Preprocess | None = None,
) -> Figure:
    """Draw the first augmented training examples of an epoch, five in a row, as training sees them.

    They are the first `count` of `load(source, preprocess, augment=augment, shuffle=True, seed=seed,
    epoch=epoch)`; of a catalog only these are read.

    Args:
        source: a Catalog, or a folder that `write_tfrecords` made.
        path: where to save the drawing as PNG, or None.
        augment: random changes, or None.
        count: how many to draw; a smaller source shows all it has.
        seed: from 0.
        epoch: from 0.
        preprocess: as in `load`.

    Returns:
        The figure; each picture's class stands above it.

    Raises:
        ArgumentError, CatalogError, ReadError, ShardError, ManifestMismatch, MissingExtra: as `Examples`.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> pictures = make_phantoms(tempfile.mkdtemp(), per_class=5, size=64)
    >>> figure = preview(pictures, count=10, augment=Augment(), preprocess=Preprocess(size=32))
    >>> sorted({axes.get_title() for axes in figure.axes})
    ['Glioma', 'Meningioma', 'No tumour', 'Pituitary tumour']
    """
    check_whole("count", count, 1)
    check_augment(augment)
    store = open_store(source, preprocess)
    order = shuffled(store.most, seed, epoch)[:count]
    images = np.stack(list(store.pictures(order)))
    if augment is not None:
        images = augment(images, order, seed=seed, epoch=epoch).numpy()
    names = [display_name(store.labels[place]) for place in store.label_indices[order]]
    title = f"The first {len(order)} training pictures of epoch {epoch}, seed {seed}"
    figure = plots.grid(list(images), names, caption=title + (", augmented" if augment else ""))
    if path is not None:
        plots.save(figure, path)
    return figure
