"""What the jobs of a tuning came to."""

import pytest

from mri_tumor.cloud.aws.jobs.tuner import _value


@pytest.mark.parametrize(("status", "value"), [("Completed", 0.2), ("Stopped", None), ("Failed", None)])
def test_only_a_finished_job_has_a_value(status: str, value: float | None) -> None:
    metric = {"MetricName": "val_loss", "Value": 0.2}
    job = {"TrainingJobStatus": status, "FinalHyperParameterTuningJobObjectiveMetric": metric}
    assert _value(job) == value
    assert _value({"TrainingJobStatus": "Completed"}) is None
