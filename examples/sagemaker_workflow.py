"""
Training and serving on SageMaker
=================================

The same story twice: on this machine, with the entry point and the request handler that SageMaker runs, and
on SageMaker itself once it is given a role.

On this machine, without an account::

    python examples/sagemaker_workflow.py

On SageMaker, with the ARN of an execution role::

    python examples/sagemaker_workflow.py --role ARN --output s3://BUCKET/PREFIX

An endpoint and a running job cost money. This script deletes its endpoint at the end, also after an error,
and ``mri-tumor endpoints`` lists what is left of any other. Research and teaching only: not a medical device.
"""

import argparse
from pathlib import Path

from mri_tumor import cloud, dataset, models, plots
from mri_tumor.progress import to_console
from mri_tumor.report import Report

parser = argparse.ArgumentParser(description="Pictures to predictions of an endpoint on SageMaker.")
parser.add_argument("--role", help="the ARN of the execution role; without it all runs on this machine")
parser.add_argument("--output", help="with --role: the s3:// folder for data, jobs and packages")
parser.add_argument("--instance-type", default="ml.m5.xlarge", help="with --role: what the job runs on")
parser.add_argument("--endpoint-type", default="ml.m5.large", help="with --role: the same, or serverless")
parser.add_argument("--spot", action="store_true", help="with --role: train on spare instances")
parser.add_argument("--data", type=Path, help="folder with Training/ and Testing/; without it: phantoms")
parser.add_argument("--weights", type=Path, help="ImageNet weights of MobileNetV2, without its top")
parser.add_argument("--per-class", type=int, default=60, help="phantoms a class")
parser.add_argument("--epochs", type=int, default=12, help="at most so many epochs; without weights")
parser.add_argument("--seed", type=int, default=0, help="the seed of everything that is drawn")
parser.add_argument("--out", type=Path, default=Path("demo-sagemaker"), help="where everything goes here")
arguments = parser.parse_args()
if bool(arguments.role) != bool(arguments.output):
    parser.error("--role and --output go together")
out, seed = arguments.out, arguments.seed
to_console()

# %%
# Here or there
# -------------
# What differs is two instance types and the terms on which something runs in the account. What is missing
# there is said before anything is created.

if arguments.role:
    training, serving = arguments.instance_type, arguments.endpoint_type
    terms = {"role": arguments.role, "output": arguments.output}
    options = {**terms, "spot": arguments.spot, "max_run": 2 * 3600}
    findings = cloud.doctor(**terms)
    for finding in findings:
        print(f"{'ok     ' if finding.good else 'missing'}  {finding.what}: {finding.text}")
    if not all(finding.good for finding in findings):
        raise SystemExit(1)
else:
    training = serving = "local"
    terms, options = {}, {"output": out / "jobs"}

# %%
# Pictures, split by what belongs together
# ----------------------------------------
# OpenCV reads the pictures; the audit finds copies; copies never lie on both sides of the 80/20 split.

if arguments.data:
    pictures = dataset.scan(arguments.data)
else:
    pictures = dataset.make_phantoms(out / "pictures", per_class=arguments.per_class, seed=seed)
audit = dataset.audit(pictures)
pictures = pictures.with_groups(audit)
train, validation = dataset.split(pictures.select(split="Training"), (0.8, 0.2), seed=seed)
testing = pictures.select(split="Testing")

# %%
# TFRecord shards
# ---------------
# One preprocessing for the shards, for what the client sends, and inside the exported model.

preprocess = dataset.Preprocess(size=224 if arguments.weights else 96)
for name, part in {"train": train, "validation": validation}.items():
    dataset.write_tfrecords(part, out / "shards" / name, preprocess=preprocess)

# %%
# The training job
# ----------------
# Rotation, brightness and contrast vary the training part only. With a role the shards go to S3 first, unless
# they are there, and the library travels with the job: nothing is installed in AWS's image.

augment = dataset.Augment(rotation=15, brightness=0.2, contrast=0.2)
channels = {name: out / "shards" / name for name in ("train", "validation")}
hyperparameters = {"seed": seed, **augment.to_dict()}
if arguments.weights:
    channels["weights"] = arguments.weights
    hyperparameters |= {"model": "mobilenet_v2", "preset": "fast", "copies": 1}
else:
    hyperparameters |= {"model": "small_cnn", "epochs": arguments.epochs, "batch_size": 16}
estimator = cloud.Estimator(training, hyperparameters=hyperparameters, **options)
estimator.fit(channels)
print(f"job {estimator.training_job_name}: {estimator.metrics}")

# %%
# The endpoint
# ------------
# The test pictures are predicted through it: prepared here, many a request, several requests at a time. The
# last three are sent raw, as other programs would send them. Leaving the ``with`` block removes endpoint,
# configuration and model, also after an error.

with estimator.deploy(instance_type=serving) as endpoint:
    print(f"endpoint {endpoint.name}: model {endpoint.manifest.digest[:12]}")
    evaluation = models.evaluate(endpoint, testing, leaked=audit)
    raw = endpoint.predict_raw(testing[-3:])
print(evaluation.summary())

# %%
# The report
# ----------
# Where it ran, how it went, and what the endpoint said.

rows = estimator.history
history = {name: [row[name] for row in rows] for name in rows[0]}
strengths = [f"{strength:g}" for strength in history.get("strength", [])]
report = Report("Training and serving, on SageMaker or as SageMaker does it")
report.facts(
    {
        "trained on": training,
        "served on": serving,
        "job": estimator.training_job_name,
        "package": str(estimator.model_data),
    }
)
report.heading("Training").facts(hyperparameters)
curves = plots.curves(history, strengths=strengths)
report.figure(curves, "Loss and accuracy, epoch by epoch or penalty by penalty")
report.heading("The test pictures, predicted through the endpoint").verbatim(evaluation.summary())
report.figure(
    plots.confusion(evaluation.all.confusion, evaluation.labels, title=f"{evaluation.all.n} test pictures"),
    "Confusion matrix",
)
report.text("Leaked pictures are copies of training pictures. Phantoms say nothing about patients.")
report.text(f"Sent raw, the last three are {', '.join(one.top for one in raw)}. {raw[0].notice}")
print(f"The report lies at {report.save(out / 'report.html')}")
