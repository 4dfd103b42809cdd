"""
Transfer learning
=================

Sixty pictures are too few to teach a network what a head looks like. A network that has learned from other
pictures brings that along, and only its last layer must be fitted.

Run it on synthetic pictures, in half a minute; the other pictures are then synthetic too::

    python examples/transfer_learning.py

or on your own, in ``Training/`` and ``Testing/`` with a folder for each class, from ImageNet::

    python examples/transfer_learning.py --data FOLDER --weights mobilenet_v2_notop.weights.h5

Research and teaching only: not a medical device.
"""

import argparse
from pathlib import Path

import cv2
import keras
import numpy as np

from mri_tumor import dataset, models, plots
from mri_tumor.progress import to_console

parser = argparse.ArgumentParser(description="What a network brings along from other pictures.")
parser.add_argument("--data", type=Path, help="folder with Training/ and Testing/; without it: phantoms")
parser.add_argument("--groups", type=Path, help="CSV (path, group): pictures that must stay together")
parser.add_argument("--weights", type=Path, help="ImageNet weights of MobileNetV2, without its top")
parser.add_argument("--per-class", type=int, default=60, help="phantoms a class, a quarter to learn from")
parser.add_argument("--seed", type=int, default=0, help="the seed of everything that is drawn")
parser.add_argument("--out", type=Path, default=Path("transfer-learning"), help="where everything goes")
arguments = parser.parse_args()
out, seed = arguments.out, arguments.seed
to_console()

# %%
# Few pictures of your own
# ------------------------
# Without ``--data`` these are phantoms from a scanner of its own: the middle greys are brighter than
# elsewhere.

if arguments.data:
    pictures = dataset.scan(arguments.data, groups=arguments.groups)
else:
    made = dataset.make_phantoms(
        out / "phantoms", per_class=arguments.per_class, test_share=0.7, size=128, seed=seed
    )
    brighter = (255 * (np.arange(256) / 255) ** 0.6).round().astype(np.uint8)
    for picture in made:
        file = out / "pictures" / picture.id
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), brighter[dataset.read_image(picture.path)])
    pictures = dataset.scan(out / "pictures", groups=out / "phantoms" / "groups.csv")
audit = dataset.audit(pictures)
pictures = pictures.with_groups(audit)
train, validation = dataset.split(pictures.select(split="Training"), (0.75, 0.25), seed=seed)
testing = pictures.select(split="Testing")
print(f"{len(train)} pictures to learn from, {len(validation)} to select by, {len(testing)} to judge by")

# %%
# What is brought along
# ---------------------
# With ``--weights`` it is MobileNetV2, which has learned from a million photographs. Without, a small network
# learns here first, from more pictures of other heads and of the usual scanner.

classifiers = {}
if not arguments.weights:
    others = dataset.make_phantoms(out / "others", per_class=80, size=128, seed=seed + 11)
    parts = dataset.split(others.select(split="Training"), (0.85, 0.15), seed=seed)
    keras.utils.set_random_seed(seed)
    untrained = models.build("small_cnn", size=64, width=8)
    recipe = models.Recipe(epochs=10, batch_size=16, learning_rate=3e-3, lr_patience=6, seed=seed)
    source = models.train(untrained, *parts, recipe=recipe, run_dir=out / "source")
    classifiers["source as it is"] = source


def network(pretrained):
    """Return a frozen network with a fresh last layer for our classes."""
    keras.utils.set_random_seed(seed)
    if arguments.weights:
        return models.build("mobilenet_v2", weights=arguments.weights if pretrained else None, frozen=True)
    built = models.build("small_cnn", size=64, width=8, frozen=True)
    for layer in built.layers if pretrained else ():
        if layer.name != "logits":
            layer.set_weights(source.model.get_layer(layer.name).get_weights())
    return built


# %%
# Only the last layer is fitted
# -----------------------------
# ``fast`` looks at every picture once, keeps what the frozen network made of it, and solves the last layer on
# that. The same is done to the same network with random weights: the difference is what was brought along.

fast = models.Recipe.preset("fast", strengths=(0.01, 0.03, 0.1, 0.3), seed=seed)
for name, pretrained in {"random weights": False, "transferred": True}.items():
    run = out / name.replace(" ", "-")
    classifiers[name] = models.train(network(pretrained), train, validation, recipe=fast, run_dir=run)

# %%
# What it brought
# ---------------
# Accuracy on the test pictures, with the interval over draws of whole groups. Two intervals may overlap
# although one classifier is surely better, since both are judged by the same pictures: ``compare`` draws the
# groups once for both.

judged = {name: models.evaluate(one, testing, leaked=audit) for name, one in classifiers.items()}
marks = []
for name, evaluation in judged.items():
    scores = evaluation.clean or evaluation.all
    interval = scores.intervals["accuracy"]
    print(f"{name}: {scores.accuracy:.1%} ({interval.low:.1%} to {interval.high:.1%}) of {scores.n} pictures")
    marks.append((scores.accuracy, interval.low, interval.high))
print(models.compare(judged["random weights"], judged["transferred"]).summary())
figure = plots.dots(
    list(judged), {"clean": marks}, xlabel="accuracy on clean test pictures, with its 95 % interval"
)
plots.save(figure, out / "transfer.png")

# %%
# What to do with your own
# ------------------------
# Begin with ``fast`` and ImageNet weights. With a GPU ``standard`` goes on from there and trains the whole
# network in small steps, and keeps that only where it lowers the validation loss. Batch normalisation of
# given weights stays as it is: small batches would ruin its statistics.
