"""What a transfer says of itself."""

from pathlib import Path

import pytest

from mri_tumor.cloud.aws.s3.report import Transfer


@pytest.mark.parametrize(
    ("direction", "files", "there", "dry_run", "text"),
    [
        ("up", ("a",), (), False, "sent 1 file (2.0 MB) to s3://b/x in 4.0 s, 500.0 kB/s"),
        ("up", ("a", "b"), ("c",), True, "would send 2 files (2.0 MB) to s3://b/x; 1 was there already"),
        (
            "down",
            ("a",),
            ("b", "c"),
            False,
            "fetched 1 file (2.0 MB) to x in 4.0 s, 500.0 kB/s; 2 were there already",
        ),
        ("down", (), (), True, "would fetch 0 files (2.0 MB) to x"),
    ],
)
def test_one_line_says_it(
    direction: str, files: tuple[str, ...], there: tuple[str, ...], dry_run: bool, text: str
) -> None:
    moved = Transfer(direction, "s3://b/x", Path("x"), files, there, 2_000_000, 4.0, dry_run)  # type: ignore[arg-type]
    assert moved.summary() == text
