"""
Explain
=======

A heat map shows where a picture holds what speaks for a class. It looks like a finding and is none: a network
that is wrong draws one too. This page makes heat maps in four ways and measures them against where a tumour
is known to be.

Run it on synthetic pictures, in half a minute::

    python examples/explain.py

or on your own, in ``Training/`` and ``Testing/`` with a folder for each class::

    python examples/explain.py --data FOLDER --weights mobilenet_v2_notop.weights.h5

Research and teaching only: not a medical device.
"""

import argparse
from pathlib import Path

import cv2
import keras
import numpy as np

from mri_tumor import LABELS, dataset, models, plots
from mri_tumor.dataset.phantom import phantom
from mri_tumor.models.explaining.quality import energy, overlap, pointing
from mri_tumor.progress import to_console

parser = argparse.ArgumentParser(description="What speaks for a class in a picture, and how far to trust it.")
parser.add_argument("--data", type=Path, help="folder with Training/ and Testing/; without it: phantoms")
parser.add_argument("--weights", type=Path, help="ImageNet weights of MobileNetV2, without its top")
parser.add_argument("--per-class", type=int, default=90, help="phantoms a class")
parser.add_argument("--seed", type=int, default=0, help="the seed of everything that is drawn")
parser.add_argument("--out", type=Path, default=Path("explain"), help="where everything goes")
arguments = parser.parse_args()
out, seed = arguments.out, arguments.seed
to_console()

# %%
# A classifier
# ------------

if arguments.data:
    pictures = dataset.scan(arguments.data)
else:
    pictures = dataset.make_phantoms(out / "pictures", per_class=arguments.per_class, size=128, seed=seed)
audit = dataset.audit(pictures)
pictures = pictures.with_groups(audit)
train, validation = dataset.split(pictures.select(split="Training"), (0.8, 0.2), seed=seed)
keras.utils.set_random_seed(seed)
if arguments.weights:
    network = models.build("mobilenet_v2", weights=arguments.weights)
    recipe = models.Recipe.preset("fast", seed=seed)
else:
    network = models.build("small_cnn", size=64, width=8)
    recipe = models.Recipe(epochs=10, batch_size=16, learning_rate=3e-3, lr_patience=6, seed=seed)
classifier = models.train(network, train, validation, recipe=recipe, run_dir=out / "run")
# Of a copy of a training picture the network knows the answer: it is left out.
testing = pictures.select(split="Testing", where=lambda one: one.id not in audit.leaked_ids)
evaluation = models.evaluate(classifier, testing)
print(f"right: {evaluation.all.accuracy:.0%} of {len(testing)} test pictures")

# %%
# What speaks for the class
# -------------------------
# One picture of each class. ``explain`` takes whatever ``predict`` takes and keeps ids and order. What is
# explained is the most likely class, or the one that ``target=`` names.

shown = [testing.select(label=label)[0] for label in LABELS if label in testing.labels]
explained = classifier.explain(shown)
titles = [
    f"{record.label}, called {one.label} ({one.probability:.0%})"
    for record, one in zip(shown, explained, strict=True)
]
maps = plots.heat_maps(
    [one.picture for one in explained],
    [one.overlay() for one in explained],
    titles,
    columns=2,
    note=explained[0].notice,
)
plots.save(maps, out / "explained.png")
for one in explained:
    print(f"{Path(one.id).name}: {one.label}, hottest at {one.peak}, heat from one half on in {one.box()}")

# %%
# Four ways to look
# -----------------
# LayerCAM, Grad-CAM and Grad-CAM++ go by gradients, on all maps that the features are pooled from;
# ``layer="last"`` looks at the deepest alone. Occlusion blurs patches away and asks again, some 200 times a
# picture. They do not agree, and none of them is the truth.

ways = {
    "layercam": {"method": "layercam"},
    "gradcam": {"method": "gradcam"},
    "gradcam++": {"method": "gradcam++"},
    "occlusion": {"method": "occlusion"},
}
tumour = next(one for one in shown if one.label != "none")
looks = [classifier.explain(tumour, target=tumour.label, **options)[0] for options in ways.values()]
compared = plots.heat_maps(
    [one.picture for one in looks],
    [one.overlay() for one in looks],
    list(ways),
    columns=2,
    caption=f"What speaks for {tumour.label}",
    note=looks[0].notice,
)
plots.save(compared, out / "four_ways.png")

# %%
# Where the tumour is
# -------------------
# The head of a phantom patient is the same with and without its tumour: where they differ is known exactly.
# Of real pictures somebody has to draw an outline. ``placement`` brings it into the square that the network
# sees. This part is about phantoms whatever the network was trained on: with pictures of your own, put their
# outlines here.


def with_outline(label: str, patient: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a phantom, and which pixels of its square the tumour has changed."""
    image, healthy = (phantom(name, patient=patient, size=128, seed=seed) for name in (label, "none"))
    changed = cv2.GaussianBlur(cv2.absdiff(image, healthy), (0, 0), 2) > 25
    return image, classifier.preprocess.placement(image).carry(changed)


known = {}
for label in ("glioma", "meningioma"):
    made = [with_outline(label, 2_000_000 + number) for number in range(10)]
    known[label] = [(image, outline) for image, outline in made if outline.sum() > 20]
outlines = [outline for pairs in known.values() for _, outline in pairs]
size = classifier.preprocess.size
down, across = np.mgrid[:size, :size] - (size - 1) / 2
middle = np.exp(-(down**2 + across**2) / 2 / (size / 8) ** 2)


def scores(heats: list[np.ndarray]) -> str:
    """Return three measures, each the mean over the phantoms."""
    found = [
        (pointing(heat, outline), energy(heat, outline), overlap(heat, outline))
        for heat, outline in zip(heats, outlines, strict=True)
    ]
    return "hits {:.2f}  energy {:.2f}  overlap {:.2f}".format(*np.mean(found, axis=0))


print(f"{len(outlines)} phantoms; a tumour has {np.mean(outlines):.1%} of the picture")
for name, options in ways.items():
    found = [
        one.heat
        for label, pairs in known.items()
        for one in classifier.explain([image for image, _ in pairs], target=label, **options)
    ]
    print(f"{name:10}  {scores(found)}")
print(f"{'the middle':10}  {scores([middle] * len(outlines))}")

# %%
# So which method is right depends on the network. The last map of this small one has 4 by 4 cells, each
# larger than a tumour: gradients say little more than in which part of the head it goes by something, and
# asking it again with patches blurred away says much more, for 100 times the work. On MobileNetV2 and real
# pictures it is another story, with numbers:
# `What a heat map can and cannot say <../concepts/heat_maps.html>`_. Measure where you can; where you cannot,
# look by two methods, and believe neither where they disagree.
