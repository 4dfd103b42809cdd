import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.+?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    lines = [line for line in code.group(1).splitlines() if line.strip()]
    assert len(lines) <= 20
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", code.group(1)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "leaked" in done.stdout
    assert "probabilities" in done.stdout
    assert (tmp_path / "model.tar.gz").is_file()


def test_the_notice_and_the_two_commands_stand_in_it() -> None:
    text = README.read_text(encoding="utf-8")
    assert "Not a medical device" in text
    assert "make demo" in text
    assert "make test" in text
