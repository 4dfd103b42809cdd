"""
Compare engines
===============

The same classifier can be worked out by TensorFlow, by OpenVINO or by ONNX Runtime, and exported for
telephones as LiteRT. They differ in speed and size, and in half precision or in whole numbers perhaps also
in what they say. This page exports one classifier in every way that is installed here, and holds each against
the classifier itself.

Run it on synthetic pictures, in half a minute::

    python examples/compare_engines.py

or with a classifier and pictures of your own, in class folders::

    python examples/compare_engines.py --classifier RUN/classifier --data FOLDER

Research and teaching only: not a medical device.
"""

import argparse
from pathlib import Path

import keras

from mri_tumor import dataset, models
from mri_tumor.errors import EngineError, MissingExtra
from mri_tumor.progress import to_console

parser = argparse.ArgumentParser(description="One classifier by every engine and in every format.")
parser.add_argument("--classifier", type=Path, help="a folder of Classifier.save; without it one is trained")
parser.add_argument("--data", type=Path, help="class folders to measure by; without them: phantoms")
parser.add_argument("--per-class", type=int, default=40, help="phantoms a class")
parser.add_argument("--seed", type=int, default=0, help="the seed of everything that is drawn")
parser.add_argument("--out", type=Path, default=Path("compare-engines"), help="where everything goes")
arguments = parser.parse_args()
out, seed = arguments.out, arguments.seed
to_console()

# %%
# A classifier
# ------------
# A small one, trained for some seconds: how well it does is of no matter here.

if arguments.data:
    pictures = dataset.scan(arguments.data)
else:
    pictures = dataset.make_phantoms(out / "pictures", per_class=arguments.per_class, size=96, seed=seed)
if arguments.classifier:
    folder = arguments.classifier
else:
    folder = out / "run" / "classifier"
    divided = "Training" in {one.split for one in pictures}
    training = pictures.select(split="Training") if divided else pictures
    train, validation = dataset.split(training, (0.7, 0.3), seed=seed)
    keras.utils.set_random_seed(seed)
    network = models.build("small_cnn", size=64, width=8)
    recipe = models.Recipe(epochs=4, batch_size=16, learning_rate=3e-3, augment=None, seed=seed)
    models.train(network, train, validation, recipe=recipe, run_dir=out / "run")
classifier = models.Classifier.load(folder)

# %%
# Every format, every precision
# -----------------------------
# An export ends with a report: of how many pictures it names the same class, the largest difference of a
# probability, its size, and how long one picture and 32 pictures take beside compiled TensorFlow. int8 is
# calibrated by half of the pictures and measured on the others. What is not installed, and what this
# processor cannot do, is left out.

FORMATS = {
    "saved_model": ("float32",),
    "onnx": ("float32", "float16", "int8"),
    "litert": ("float32", "float16", "int8"),
    "openvino": ("float32", "float16", "bfloat16", "int8"),
}
reports, left_out = [], []
for name, precisions in FORMATS.items():
    for precision in precisions:
        target = out / f"{name}-{precision}"
        try:
            reports.append(classifier.export(target, name, precision=precision, pictures=pictures))
        except (MissingExtra, EngineError) as error:
            left_out.append(f"{name} in {precision}: {error.found}")

print(f"{'format':<22}{'MB':>7}{'labels':>11}{'largest difference':>20}{'ms for 1':>10}{'ms for 32':>11}")
for report in reports:
    name = f"{report.format} {report.precision}"
    same = f"{report.parity.labels} of {report.parity.pictures}"
    one, many = report.milliseconds["exported"].values()
    print(
        f"{name:<22}{report.bytes / 1e6:>7.2f}{same:>11}{report.parity.probabilities:>20.1e}"
        f"{one:>10.1f}{many:>11.1f}"
    )
print(*left_out, sep="\n")

# %%
# One report, whole
# -----------------
# It lies beside the export, for people (``parity.txt``) and for programs (``parity.json``).

print(reports[-1].summary())

# %%
# The engine of a classifier
# --------------------------
# ``engine="auto"`` takes OpenVINO where it is installed, says the same and no GPU is there, and TensorFlow
# elsewhere. The model is kept beside the classifier, so that the next loading is quick. Another precision
# than float32 is only taken where it changes no label and no set.

automatic = models.Classifier.load(folder, engine="auto")
print(f"engine: {automatic.engine.name}, {automatic.engine.precision}")
try:
    models.Classifier.load(folder, engine="openvino", precision="int8", pictures=pictures)
    print("int8 says what the network says")
except (MissingExtra, EngineError) as error:
    print(f"int8: {error}")
