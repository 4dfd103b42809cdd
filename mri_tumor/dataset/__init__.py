"""The dataset API: folders of pictures to audited, grouped, preprocessed `tf.data`."""

from typing import TYPE_CHECKING

from mri_tumor._lazy import attach

# Imported at once: a module of the same name would otherwise take the function's place in this package.
from mri_tumor.dataset.audit import audit
from mri_tumor.dataset.known import known
from mri_tumor.dataset.split import split

if TYPE_CHECKING:
    from mri_tumor.dataset.audit import AuditReport
    from mri_tumor.dataset.augment import Augment
    from mri_tumor.dataset.catalog import Catalog, Record, scan
    from mri_tumor.dataset.figshare import Outline, read_outline, scan_figshare
    from mri_tumor.dataset.known import Known
    from mri_tumor.dataset.mixup import MixUp
    from mri_tumor.dataset.phantom import make_phantoms
    from mri_tumor.dataset.pipeline import load
    from mri_tumor.dataset.pixel_statistics import Statistics, statistics
    from mri_tumor.dataset.preprocess import Preprocess
    from mri_tumor.dataset.previews import preview
    from mri_tumor.dataset.reader import read_image
    from mri_tumor.dataset.slices import Slices, read_slices
    from mri_tumor.dataset.sources import download
    from mri_tumor.dataset.split import folds
    from mri_tumor.dataset.split_file import read_folds, read_split, write_folds, write_split
    from mri_tumor.dataset.tfrecord import verify_tfrecords, write_tfrecords

__all__ = [
    "AuditReport",
    "Augment",
    "Catalog",
    "Known",
    "MixUp",
    "Outline",
    "Preprocess",
    "Record",
    "Slices",
    "Statistics",
    "audit",
    "download",
    "folds",
    "known",
    "load",
    "make_phantoms",
    "preview",
    "read_folds",
    "read_image",
    "read_outline",
    "read_slices",
    "read_split",
    "scan",
    "scan_figshare",
    "split",
    "statistics",
    "verify_tfrecords",
    "write_folds",
    "write_split",
    "write_tfrecords",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "AuditReport": ".audit",
        "Augment": ".augment",
        "Catalog": ".catalog",
        "Known": ".known",
        "MixUp": ".mixup",
        "Outline": ".figshare",
        "Preprocess": ".preprocess",
        "Record": ".catalog",
        "Slices": ".slices",
        "Statistics": ".pixel_statistics",
        "download": ".sources",
        "folds": ".split",
        "load": ".pipeline",
        "make_phantoms": ".phantom",
        "preview": ".previews",
        "read_folds": ".split_file",
        "read_image": ".reader",
        "read_outline": ".figshare",
        "read_slices": ".slices",
        "read_split": ".split_file",
        "scan": ".catalog",
        "scan_figshare": ".figshare",
        "statistics": ".pixel_statistics",
        "verify_tfrecords": ".tfrecord",
        "write_folds": ".split_file",
        "write_split": ".split_file",
        "write_tfrecords": ".tfrecord",
    },
)
