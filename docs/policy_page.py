"""What `cloud_policy.md` shows of the library's own table of permissions, made when the pages are built."""

import json
import re

from mri_tumor import cloud
from mri_tumor.cloud.aws.policy import STEPS

BUCKET, ROLE = "my-bucket", "arn:aws:iam::123456789012:role/sagemaker-study"


def fill(page: str) -> str:
    """Return the page with the table of steps and the whole policy in their places."""
    document = json.dumps(cloud.policy(BUCKET, ROLE), indent=2)
    made = {"steps": steps(), "policy": f"```json\n{document}\n```"}
    filled, count = re.subn(r"<!-- (steps|policy): .*? -->", lambda place: made[place[1]], page)
    if count != len(made):
        raise ValueError(f"the page has {count} places to fill. Expected: {len(made)}")
    return filled


def steps() -> str:
    """Return a table: what each step calls."""
    rows = [f"| `{step}` | {', '.join(f'`{one}`' for one in needed)} |" for step, needed in STEPS.items()]
    return "\n".join(["| step | actions |", "|---|---|", *rows])
