"""
Evaluate honestly
=================

One classifier, one test set, and two very different numbers. This page makes a data set that is broken as the
best-known public one is, scores a classifier on it in the usual way, and then in a way that can be believed.

Run it on synthetic pictures, in half a minute::

    python examples/evaluate_honestly.py

or on your own, in ``Training/`` and ``Testing/`` with a folder for each class::

    python examples/evaluate_honestly.py --data FOLDER --weights mobilenet_v2_notop.weights.h5

Research and teaching only: not a medical device.
"""

import argparse
import re
import warnings
from pathlib import Path

import cv2
import keras

from mri_tumor import dataset, models, plots
from mri_tumor.errors import LeakageError
from mri_tumor.progress import to_console

parser = argparse.ArgumentParser(description="One classifier, scored as usual and as it should be.")
parser.add_argument("--data", type=Path, help="folder with Training/ and Testing/; without it: phantoms")
parser.add_argument("--weights", type=Path, help="ImageNet weights of MobileNetV2, without its top")
parser.add_argument("--per-class", type=int, default=60, help="phantoms a class")
parser.add_argument("--seed", type=int, default=0, help="the seed of everything that is drawn")
parser.add_argument("--out", type=Path, default=Path("evaluate-honestly"), help="where everything goes")
arguments = parser.parse_args()
out, seed = arguments.out, arguments.seed
to_console()

# %%
# A test set that leaks
# ---------------------
# In the public set 251 of the 394 test pictures are training pictures, pixel by pixel, and more are copies
# that were cropped, mirrored or stored again. The same is done here: one training picture in three goes into
# the test set as well, half of them as they are, half mirrored and stored as JPEG. Names tell the patient, as
# they often do.

if arguments.data:
    pictures = dataset.scan(arguments.data)
else:
    made = dataset.make_phantoms(out / "phantoms", per_class=arguments.per_class, size=160, seed=seed)
    for place, picture in enumerate(made):
        image = dataset.read_image(picture.path)
        files = [out / "pictures" / picture.id]
        if picture.split == "Training" and place % 6 == 0:
            files.append(out / "pictures" / picture.id.replace("Training", "Testing"))
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), image)
        if picture.split == "Training" and place % 6 == 3:
            copy = out / "pictures" / picture.id.replace("Training", "Testing").replace("png", "jpg")
            cv2.imwrite(str(copy), image[:, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    pictures = dataset.scan(out / "pictures", groups=re.compile(r"(p\d+)-"))
print(pictures.summary())
training, testing = pictures.select(split="Training"), pictures.select(split="Testing")

# %%
# The usual number
# ----------------
# Train on the training pictures, score on the test pictures. Without ``--weights`` the network is a small one
# of random weights of which only the last layer is fitted: that takes seconds, and what happens is the same
# with any network. The split is by picture, as usual, and the library must be told twice to go on: it knows
# the very files again. With ``refit`` the classifier is trained on all training pictures in the end.


def network():
    """Return a frozen network with a last layer to be fitted, the same each time."""
    keras.utils.set_random_seed(seed)
    if arguments.weights:
        return models.build("mobilenet_v2", weights=arguments.weights)
    return models.build("small_cnn", size=64, width=8, frozen=True)


warnings.filterwarnings("ignore", message='split by="image"')
recipe = models.Recipe.preset("fast", strengths=(0.3,), seed=seed)
train, validation = dataset.split(training, (0.8, 0.2), by="image", seed=seed)
allow = {"allow_leakage": True}
usual = models.train(network(), train, validation, recipe=recipe, run_dir=out / "usual", refit=True, **allow)
try:
    models.evaluate(usual, testing)
except LeakageError as refusal:
    print(f"LeakageError: {refusal}\n")
naive = models.evaluate(usual, testing, **allow)
print(f"accuracy on all {naive.all.n} test pictures: {naive.all.accuracy:.1%}")

# %%
# What the audit knows
# --------------------
# It looks at pixels, not at names, and finds copies that were mirrored or stored again. Patients and copies
# together make the groups that must not be divided. ``audit.summary()`` says much more, and
# ``audit.to_html(...)`` shows the pairs side by side.

audit = dataset.audit(pictures)
print(f"{len(audit.leaked_ids)} of {len(testing)} test pictures are in training too, such as")
for leak in audit.leaks[:3]:
    print(f"  {leak.test} = {leak.train} ({leak.kind})")
pictures = pictures.with_groups(audit)
training, testing = pictures.select(split="Training"), pictures.select(split="Testing")

# %%
# The same answers, leaked and clean apart
# ----------------------------------------
# Nothing is trained anew. Only the clean column says something about pictures that the classifier has not
# seen. Beside it stand the floors, which learn nothing about heads: the most frequent class, the files' width
# and height, and the nearest thumbnail, which on leaked pictures is as good as any network. Intervals draw
# whole groups, because two slices of one patient are not two patients.

honest = models.evaluate(usual, testing, leaked=audit, train=training)
print(honest.summary())

# %%
# In one picture
# --------------


def mark(scores):
    """Return accuracy and interval as `plots.dots` takes them."""
    interval = scores.intervals.get("accuracy")
    return (scores.accuracy, interval.low, interval.high) if interval else (scores.accuracy, None, None)


judged = {"classifier": honest} | {floor.name: floor for floor in honest.floors}
marks = {part: [mark(getattr(one, part)) for one in judged.values()] for part in honest.parts}
figure = plots.dots(list(judged), marks, xlabel="accuracy, with its 95 % interval by groups")
plots.save(figure, out / "parts.png")

# %%
# Splits that divide patients
# ---------------------------
# Copies are one half of it. The other is cross-validation over single pictures: slices of one patient lie on
# both sides. Three folds of the training pictures, by picture and by group, and nothing else changed. One
# strength of the penalty was fixed beforehand, so that no held-out picture selects anything.

for by in ("image", "group"):
    right = 0
    for number, (train, held) in enumerate(dataset.folds(training, n=3, by=by, seed=seed)):
        run = {"run_dir": out / f"by-{by}-{number}", "allow_leakage": by == "image"}
        classifier = models.train(network(), train, held, recipe=recipe, **run)
        answers = zip(classifier.predict(held), held.labels, strict=True)
        right += sum(answer.top == label for answer, label in answers)
    print(f"folds by {by}: {right / len(training):.1%} of {len(training)} pictures")

# %%
# What to report
# --------------
# The clean column with its interval and its floors, the number of clean pictures and groups, and the folds by
# group. Between leaked and clean real pictures the gap is far wider: the page on published numbers has the
# figures. ``honest.to_html(...)`` writes all of it as one page, with curves and the most confident mistakes.

honest.to_csv(out / "predictions.csv")
