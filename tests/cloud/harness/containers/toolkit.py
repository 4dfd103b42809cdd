"""The start of a training container that was given no command of its own, as tuning jobs' are.

In AWS's images that is sagemaker-training, which cannot be installed beside this library: it wants other
versions of what both use. This does what its documentation says: the source comes from
`sagemaker_submit_directory`, the hyperparameters go to `sagemaker_program` on the command line, written as
Python writes them, and the `SM_` variables say the rest. The TensorFlow image adds `--model_dir`.

Run by path: `toolkit.py <folder that stands for /opt/ml>`.
"""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import boto3

_OWN = "sagemaker_"


def read(base: Path, name: str) -> dict:
    return json.loads((base / "input" / "config" / f"{name}.json").read_text(encoding="utf-8"))


def decoded(text: str):
    """Return what a hyperparameter stands for: JSON, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def fetch_source(base: Path, address: str) -> Path:
    """Unpack the job's source, from S3 or from a channel."""
    archive = base / "sourcedir.tar.gz"
    if address.startswith("s3://"):
        bucket, _, key = address.removeprefix("s3://").partition("/")
        boto3.client("s3").download_file(bucket, key, str(archive))
    else:
        archive = base / Path(address).relative_to("/opt/ml")
    folder = base / "code"
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def variables(base: Path, given: dict, arguments: list[str]) -> dict[str, str]:
    """Return the `SM_` variables."""
    resources, channels = read(base, "resourceconfig"), sorted(read(base, "inputdataconfig"))
    own = {
        "SM_MODEL_DIR": str(base / "model"),
        "SM_INPUT_DIR": str(base / "input"),
        "SM_INPUT_CONFIG_DIR": str(base / "input" / "config"),
        "SM_OUTPUT_DIR": str(base / "output"),
        "SM_OUTPUT_DATA_DIR": str(base / "output" / "data"),
        "SM_CHANNELS": json.dumps(channels),
        "SM_HPS": json.dumps(given),
        "SM_USER_ARGS": json.dumps(arguments),
        "SM_HOSTS": json.dumps(resources["hosts"]),
        "SM_CURRENT_HOST": resources["current_host"],
        "SM_NETWORK_INTERFACE_NAME": resources["network_interface_name"],
        "SM_NUM_CPUS": str(os.cpu_count()),
        "SM_NUM_GPUS": "0",
        "SM_LOG_LEVEL": "20",
    }
    own |= {f"SM_CHANNEL_{name.upper()}": str(base / "input" / "data" / name) for name in channels}
    return own | {f"SM_HP_{name.upper()}": str(value) for name, value in given.items()}


def main(folder: str) -> int:
    base = Path(folder)
    everything = {name: decoded(text) for name, text in read(base, "hyperparameters").items()}
    given = {name: value for name, value in everything.items() if not name.startswith(_OWN)}
    if "_tuning_objective_metric" in given:
        given["model_dir"] = f"{given.get('model_dir')}/{os.environ['TRAINING_JOB_NAME']}/model"
    source = fetch_source(base, everything["sagemaker_submit_directory"])
    arguments = [word for name in sorted(given) for word in (f"--{name}", str(given[name]))]
    command = [sys.executable, everything["sagemaker_program"], *arguments]
    status = subprocess.run(
        command, cwd=source, env={**os.environ, **variables(base, given, arguments)}
    ).returncode
    if status:
        # The toolkit's own words take the place of what the script wrote there.
        text = f'ExecuteUserScriptError:\nExitCode {status}\nErrorMessage ""\nCommand "{" ".join(command)}"'
        (base / "output" / "failure").write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
