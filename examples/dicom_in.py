"""
DICOM in
========

From a scanner's DICOM series to class folders, groups by patient, and TFRecord shards that name nobody.

Run it on a few series that it makes itself from synthetic heads (extra ``dicom``)::

    python examples/dicom_in.py

or on your own: ``FOLDER`` holds one folder a series, and the table says what each shows (``series,label``)::

    python examples/dicom_in.py --series FOLDER --labels labels.csv --salt SECRET

Research and teaching only: not a medical device.
"""

import argparse
import csv
import re
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from mri_tumor import LABELS, dataset, plots
from mri_tumor.dataset.phantom import phantom
from mri_tumor.errors import ReadError
from mri_tumor.progress import to_console

parser = argparse.ArgumentParser(description="DICOM series to class folders, groups and shards.")
parser.add_argument("--series", type=Path, help="folder with one folder a series; without it: made here")
parser.add_argument("--labels", type=Path, help="CSV (series, label): the folder's name and its class")
parser.add_argument("--salt", default="a secret of your own", help="what patients' ids are hashed with")
parser.add_argument("--seed", type=int, default=0, help="the seed of everything that is drawn")
parser.add_argument("--out", type=Path, default=Path("dicom-in"), help="where everything goes")
arguments = parser.parse_args()
if bool(arguments.series) != bool(arguments.labels):
    parser.error("--series and --labels go together")
if arguments.series and arguments.salt == parser.get_default("salt"):
    parser.error("--salt: pass a secret of your own, and keep it")
out, seed = arguments.out, arguments.seed
series_folder, labels_file = arguments.series or out / "series", arguments.labels or out / "labels.csv"
to_console()

# %%
# What a scanner sends
# --------------------
# Files without a suffix, in no order, with 12-bit values. Some store white as zero (MONOCHROME1). The name of
# the patient is in each of them.


def write_dicom(path, picture, patient, place, series, kind, **elements):
    """Write one slice as a scanner might, in the given photometric interpretation."""
    values = picture.astype(np.uint16) * 7 + 120
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = MRImageStorage
    file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    file.Modality, file.ImageType = "MR", ["ORIGINAL", "PRIMARY"]
    file.PatientName, file.PatientID = f"Doe^{patient}", patient
    file.StudyInstanceUID, file.SeriesInstanceUID = f"{series}.1", series
    file.InstanceNumber = place + 1
    file.ImagePositionPatient, file.ImageOrientationPatient = [0, 0, 5.0 * place], [1, 0, 0, 0, 1, 0]
    file.PixelSpacing, file.SliceThickness = [0.8, 0.8], 5
    file.Rows, file.Columns = values.shape
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, kind
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
    file.PixelData = (4095 - values if kind == "MONOCHROME1" else values).astype("<u2").tobytes()
    for keyword, value in elements.items():
        setattr(file, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)


if not arguments.series:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(16):
        label, name = LABELS[number % 4], f"scan-{number:02d}"
        kind = "MONOCHROME1" if number % 3 == 2 else "MONOCHROME2"
        for place in range(5):
            picture = phantom(label, patient=number, slice_=place, size=160, seed=seed)
            path = series_folder / name / f"IM{rng.integers(10**6):06d}"
            write_dicom(path, picture, f"MRN{4711 + number}", place, f"1.2.826.0.{number + 1}", kind)
        rows.append((name, label))
    with labels_file.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("series", "label"), *rows])
with labels_file.open(encoding="utf-8", newline="") as file:
    labels = {row["series"]: row["label"] for row in csv.DictReader(file)}

# %%
# One series
# ----------
# The slices come back in the order in which they lie in the head, with one window for all, black to white,
# whatever the file's photometric interpretation. The group stands for the patient: it is hashed with a salt
# that you keep to yourself.

first = next(iter(labels))
slices = dataset.read_slices(series_folder / first, salt=arguments.salt)
print(slices, slices.images.dtype)
print(f"at {slices.positions} mm; group {slices.group}")
some = {}
for name in list(labels)[:5]:
    images = dataset.read_slices(series_folder / name, salt=arguments.salt).images
    some[f"{name}, {labels[name]}"] = images[len(images) // 2]
figure = plots.grid(list(some.values()), list(some))
plots.save(figure, out / "series.png")

# %%
# What the stored values look like
# --------------------------------
# Read without a look at the header, the same files are other pictures: dark, or with bright and dark swapped.
# A classifier trained on the pictures above would be asked about these.

raw = {}
for name in list(labels)[:5]:
    file = pydicom.dcmread(sorted((series_folder / name).iterdir())[0])
    raw[f"{name}, {file.PhotometricInterpretation}"] = (file.pixel_array >> 4).astype(np.uint8)
stored = plots.grid(list(raw.values()), list(raw))
plots.save(stored, out / "stored.png")

# %%
# Class folders
# -------------
# Each series goes into the folder of its class. The PNGs hold pixels and nothing else, and their names the
# group, so that it comes back by a pattern.

for name, label in labels.items():
    dataset.read_slices(series_folder / name, salt=arguments.salt).to_png(out / "pictures" / label)
pictures = dataset.scan(out / "pictures", groups=re.compile(r"([^-/]+)-[^/]*$"))
print(pictures.summary())
print(pictures.ids[0])

# %%
# DICOM files that already lie in class folders need no copy: ``dataset.scan`` reads them as they are, and
# makes the groups from their headers.

# %%
# What is refused
# ---------------
# What is no MR picture, or may show a name, is refused with what to do about it.

for elements in ({"Modality": "CT"}, {"BurnedInAnnotation": "YES"}):
    path = out / "refused" / f"{next(iter(elements))}.dcm"
    write_dicom(path, slices.images[0], "MRN1", 0, "1.2.826.0.99", "MONOCHROME2", **elements)
    try:
        dataset.read_image(path)
    except ReadError as refusal:
        print(str(refusal).replace(f"{out}/", ""))

# %%
# Split by patient, and shards
# ----------------------------
# Patients are joined with the copies that the audit finds, and no group is divided. From here on everything
# goes as with any pictures.

pictures = pictures.with_groups(dataset.audit(pictures))
train, validation = dataset.split(pictures, (0.75, 0.25), seed=seed)
print(f"groups on both sides: {len(set(train.groups) & set(validation.groups))}")
for name, part in {"train": train, "validation": validation}.items():
    dataset.write_tfrecords(part, out / "shards" / name, preprocess=dataset.Preprocess(size=96))
batch = next(iter(dataset.load(out / "shards" / "train", batch_size=8)))
print(batch["image"].shape, batch["image"].dtype)

# %%
# Nobody is named
# ---------------

patients = set()
for path in (path for name in labels for path in (series_folder / name).iterdir()):
    header = pydicom.dcmread(path, stop_before_pixels=True)
    patients |= {str(header.get(name, "")).encode() for name in ("PatientName", "PatientID")}
patients = {text for text in patients if len(text) > 3}  # shorter ones turn up in any file
written = [path for part in ("pictures", "shards") for path in (out / part).rglob("*") if path.is_file()]
named = [path for path in written if any(text in path.read_bytes() for text in patients)]
print(f"files written: {len(written)}; with a name or an id of a patient: {len(named)}")
