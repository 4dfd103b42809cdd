"""
The whole workflow
==================

From folders of brain-MRI pictures to predictions of a deployed endpoint and a report, with the three APIs in
the order in which the data flows: **dataset**, **models**, **cloud**.

Run it on the synthetic pictures that come with the library::

    python examples/full_workflow.py

or on your own, in ``Training/`` and ``Testing/`` with a folder for each class::

    python examples/full_workflow.py --data FOLDER --weights mobilenet_v2_notop.weights.h5

Research and teaching only: not a medical device.
"""

import argparse
from pathlib import Path

from mri_tumor import cloud, dataset, models, plots
from mri_tumor.progress import to_console
from mri_tumor.report import Report

parser = argparse.ArgumentParser(description="Pictures to predictions of an endpoint, and a report.")
parser.add_argument("--data", type=Path, help="folder with Training/ and Testing/; without it: phantoms")
parser.add_argument("--groups", type=Path, help="CSV (path, group): pictures that must stay together")
parser.add_argument("--weights", type=Path, help="ImageNet weights of MobileNetV2, without its top")
parser.add_argument(
    "--refit", action="store_true", help="after selection, train anew on all training pictures"
)
parser.add_argument("--per-class", type=int, default=100, help="phantoms a class")
parser.add_argument("--epochs", type=int, help="at most so many epochs; without weights")
parser.add_argument("--seed", type=int, default=0, help="the seed of everything that is drawn")
parser.add_argument("--out", type=Path, default=Path("demo"), help="where everything goes")
arguments = parser.parse_args()
out, seed = arguments.out, arguments.seed
to_console()

# %%
# Pictures, and what belongs together
# -----------------------------------
# The audit reads every picture and finds copies, also mirrored and rotated ones. Copies form a group, and a
# group never lies on both sides of a split. Test pictures with a copy in the training set are *leaked*:
# their score says nothing, and is reported apart.

if arguments.data:
    pictures = dataset.scan(arguments.data, groups=arguments.groups)
else:
    pictures = dataset.make_phantoms(out / "pictures", per_class=arguments.per_class, seed=seed)
audit = dataset.audit(pictures)
print(audit.summary())
pictures = pictures.with_groups(audit)
testing = pictures.select(split="Testing")

# %%
# An 80/20 split, and the augmentation
# ------------------------------------
# The validation part chooses when to stop; only the training part is rotated, brightened and mirrored.

train, validation = dataset.split(pictures.select(split="Training"), (0.8, 0.2), seed=seed)
augment = dataset.Augment(rotation=15, brightness=0.2, contrast=0.2)
preprocess = dataset.Preprocess(size=224 if arguments.weights else 96)
preview = dataset.preview(train, out / "augmented.png", augment=augment, preprocess=preprocess, seed=seed)

# %%
# TFRecord shards
# ---------------
# Each part becomes a folder of shards with a manifest: labels, preprocessing, counts, a SHA-256 for every
# shard.

for name, part in {"train": train, "validation": validation, "test": testing}.items():
    dataset.write_tfrecords(part, out / "shards" / name, preprocess=preprocess)

# %%
# Training
# --------
# The estimator runs the job as SageMaker would: in a process of its own, with channels, hyperparameters and
# a model.tar.gz at the end; the next example runs it there. With pretrained weights the frozen network looks
# once at every picture and at two augmented copies, and the head is solved at its optimum; without, a small
# network learns from scratch.

channels = {name: out / "shards" / name for name in ("train", "validation")}
hyperparameters = {"seed": seed, "refit": arguments.refit, **augment.to_dict()}
if arguments.weights:
    channels["weights"] = arguments.weights
    hyperparameters |= {"model": "mobilenet_v2", "preset": "fast", "copies": 2}
else:
    hyperparameters |= {
        "model": "small_cnn",
        "epochs": arguments.epochs or 40,
        "batch_size": 16,
        "lr_patience": 6,
    }
estimator = cloud.Estimator(hyperparameters=hyperparameters, output=out / "jobs")
estimator.fit(channels)

# %%
# A first look, and the package
# -----------------------------
# The classifier comes back from the job and is judged on the validation part. That part chose the epoch, so
# this is no measure of what it can do; the test is. With ``--refit`` the classifier was trained on that part
# too, and ``evaluate`` would refuse it. The job's ``model.tar.gz`` is what an endpoint takes.

classifier = estimator.classifier()
if not arguments.refit:
    print(models.evaluate(classifier, out / "shards" / "validation").summary())
package = estimator.model_data
cloud.validate_package(package)

# %%
# The endpoint
# ------------
# The package is deployed, and the test pictures, kept as a ``tf.data.Dataset``, are predicted through it.
# Then the same files are sent raw, as other programs would send them. Leaving the ``with`` block removes
# the endpoint.

test = dataset.load(out / "shards" / "test")
with cloud.deploy(package) as endpoint:
    evaluation = models.evaluate(endpoint, test, leaked=audit)
    raw = endpoint.predict_raw(testing)
print(evaluation.summary())
evaluation.to_csv(out / "predictions.csv")

# %%
# Is the endpoint the classifier?
# -------------------------------
# The probabilities must agree to 1e-5; raw files, which are preprocessed inside the endpoint, may differ a
# little.

served = evaluation.predictions
local = classifier.predict(test)
difference = max(
    abs(mine.probabilities[label] - theirs.probabilities[label])
    for mine, theirs in zip(local, served, strict=True)
    for label in classifier.labels
)
same = sum(mine.top == theirs.top for mine, theirs in zip(served, raw, strict=True)) / len(raw)

# %%
# The report
# ----------
# One self-contained page.

training = classifier.manifest.sections["training"]
history = {name: [row[name] for row in estimator.history] for name in estimator.history[0]}
report = Report("Brain-MRI pictures through the whole workflow")
report.heading("The pictures").verbatim(pictures.summary()).verbatim(audit.summary())
report.figure(preview, "The first 25 augmented training pictures")
report.heading("Training").facts(hyperparameters)
strengths = [f"{strength:g}" for strength in history.get("strength", [])]
curves = plots.curves(history, best_epoch=training["best_epoch"], strengths=strengths)
report.figure(curves, "Loss and accuracy, epoch by epoch or penalty by penalty")
report.heading("The test pictures, predicted through the endpoint").verbatim(evaluation.summary())
report.text(
    "Leaked pictures are copies of training pictures: only the clean ones say something about new pictures, "
    "and few pictures say little. Phantoms say nothing about patients."
)
for name, scores in {"all": evaluation.all, "clean": evaluation.clean}.items():
    if scores is not None:
        title = f"{name}: {scores.n} pictures"
        matrix = plots.confusion(scores.confusion, evaluation.labels, title=title)
        report.figure(matrix, f"Confusion matrix, {name} test pictures")
report.facts(
    {
        "largest difference between endpoint and classifier": f"{difference:.1e}",
        "same label when the raw file is sent": f"{same:.1%} of {len(raw)} pictures",
    }
)
print(f"The report lies at {report.save(out / 'report.html')}")
