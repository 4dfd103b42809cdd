"""The entry point of a job that prepares shards: all it does is find the library that travelled with it."""

import os
import sys
from pathlib import Path

# In the place of this folder, whose modules would otherwise be importable under their short names.
sys.path[0] = str(Path(__file__).resolve().parents[3])

from mri_tumor.cloud.container.preparing import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
