"""
Calibrate and abstain
=====================

A network always names a class, also for a picture of noise. This page makes one into a classifier whose
probabilities mean what they say, which names every class that it cannot rule out, and which gives no answer
where it cannot tell.

Run it on synthetic pictures, in half a minute::

    python examples/calibrate_and_abstain.py

or on your own, in ``Training/`` and ``Testing/`` with a folder for each class::

    python examples/calibrate_and_abstain.py --data FOLDER --weights mobilenet_v2_notop.weights.h5

Research and teaching only: not a medical device.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

from mri_tumor import dataset, models, plots
from mri_tumor.progress import to_console

parser = argparse.ArgumentParser(description="A classifier that says what it cannot tell.")
parser.add_argument("--data", type=Path, help="folder with Training/ and Testing/; without it: phantoms")
parser.add_argument("--groups", type=Path, help="CSV (path, group): pictures that must stay together")
parser.add_argument("--weights", type=Path, help="ImageNet weights of MobileNetV2, without its top")
parser.add_argument("--risk", type=float, default=0.1, help="how often a set may lack the true class")
parser.add_argument("--per-class", type=int, default=130, help="phantoms a class")
parser.add_argument("--seed", type=int, default=0, help="the seed of everything that is drawn")
parser.add_argument("--out", type=Path, default=Path("calibrate-and-abstain"), help="where everything goes")
arguments = parser.parse_args()
out, seed = arguments.out, arguments.seed
to_console()

# %%
# Three parts, not two
# --------------------
# One to learn from, one to select the epoch by, and one that neither has seen: only there can be measured how
# far the classifier is to be believed. Leaked test pictures are left out, since they would flatter it.

if arguments.data:
    pictures = dataset.scan(arguments.data, groups=arguments.groups)
else:
    pictures = dataset.make_phantoms(
        out / "pictures", per_class=arguments.per_class, test_share=0.3, size=128, seed=seed
    )
audit = dataset.audit(pictures)
pictures = pictures.with_groups(audit)
train, validation, calibration = dataset.split(
    pictures.select(split="Training"), (0.55, 0.15, 0.3), seed=seed
)
testing = pictures.select(split="Testing")
testing = testing.select(ids=set(testing.ids) - set(audit.leaked_ids))
print(f"{len(train)} to learn from, {len(validation)} to select by, {len(calibration)} to calibrate by")

# %%
# A classifier that always answers
# --------------------------------

keras.utils.set_random_seed(seed)
if arguments.weights:
    network = models.build("mobilenet_v2", weights=arguments.weights)
    recipe = models.Recipe.preset("fast", seed=seed)
else:
    network = models.build("small_cnn", size=64, width=8)
    recipe = models.Recipe(epochs=12, batch_size=16, learning_rate=3e-3, lr_patience=6, seed=seed)
plain = models.train(network, train, validation, recipe=recipe, run_dir=out / "run")
before = models.evaluate(plain, testing)
print(f"right: {before.all.accuracy:.1%} of {before.all.n} test pictures")

# %%
# Calibrate
# ---------
# The network stays as it is. Fitted are one temperature for all probabilities, one threshold a class for the
# sets, and the distance beyond which a picture is called novel.

calibrated = models.calibrate(plain, calibration, risk=arguments.risk)
after = models.evaluate(calibrated, testing)
temperature = calibrated.manifest.sections["decision"]["temperature"]
print(
    f"temperature {temperature:.2f}: the network was too {'sure' if temperature > 1 else 'unsure'} of itself"
)

# %%
# Are the probabilities what they say?
# ------------------------------------
# On the dotted line a classifier that says 80 % is right in 80 of 100 cases. A temperature moves all
# probabilities alike, and changes no answer.

curves = {}
for name, evaluation in {"before": before, "after": after}.items():
    cases = evaluation.cases()
    error = models.expected_calibration_error(cases.probabilities, cases.truth, bins=6)
    brier = models.brier(cases.probabilities, cases.truth)
    print(f"{name}: calibration error {error:.3f}, Brier score {brier:.3f}")
    curves[name] = models.reliability_curve(cases.probabilities, cases.truth, bins=6)
reliability = plots.reliability(curves, title=f"{after.all.n} test pictures")
plots.save(reliability, out / "reliability.png")

# %%
# Sets, and no answer
# -------------------
# A set lacks the true class of at most a tenth of each class's pictures, if these are of the same kind as the
# pictures that it was calibrated by. With so few of a class the share that is found scatters widely. A set of
# one class is an answer; a set of several is none.

scores = after.all
decisions, interval = scores.decisions, scores.intervals["coverage"]
for label, share in decisions.class_coverage.items():
    print(f"the set holds the true class of {share:.0%} of {label}")
print(f"in all of {decisions.coverage:.1%}, {interval.low:.1%} to {interval.high:.1%} by groups")
print(f"classes in a set: {decisions.set_size:.2f}; no answer for {decisions.abstention_rate:.1%}")
print(
    f"right where it answers: {decisions.selective_accuracy:.1%}; before, of all: {before.all.accuracy:.1%}"
)

# %%
# What was never in the training set
# ----------------------------------
# The network names a class for each of these. The calibrated classifier measures how far they lie from the
# training pictures, 1 at the threshold, and gives no answer beyond it. It is a rough sieve: four small heads
# in one picture look enough like a head.

rng = np.random.default_rng(seed)
head = dataset.read_image(testing.paths[0])
strange = {
    "a test picture": head,
    "noise": rng.integers(0, 256, head.shape).astype(np.uint8),
    "a chessboard": np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((16, 16))).astype(np.uint8) * 255,
    "dark and bright swapped": 255 - head,
    "four heads in one": np.tile(head[::2, ::2], (2, 2)),
}
titles = []
for name, one in zip(strange, calibrated.predict(list(strange.values())), strict=True):
    answer = one.label or f"no answer, {one.reason}"
    titles.append(f"{name}:\n{answer}")
    print(f"{name}: {one.top} at {one.probabilities[one.top]:.0%}, novelty {one.novelty:.1f}: {answer}")
figure = plots.grid(list(strange.values()), titles)
plots.save(figure, out / "strange.png")

# sphinx_gallery_thumbnail_number = 2

# %%
# Keep it
# -------
# Saved, exported or deployed, it decides the same way everywhere.

calibrated.save(out / "calibrated")
again = models.Classifier.load(out / "calibrated")
print(again.predict(testing.paths[0])[0].notice)
