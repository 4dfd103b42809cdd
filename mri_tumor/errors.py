"""The errors of this library: each says what was found, what was expected and what to do."""


class MriTumorError(Exception):
    """Base of every error this library raises on purpose.

    Args:
        found: what is wrong, naming the file, the record or the argument.
        expected: what would have been right.
        fix: what to do now.

    >>> print(MriTumorError("size is 0", "a whole number from 1", "pass size=224"))
    size is 0. Expected: a whole number from 1. To do: pass size=224.
    """

    def __init__(self, found: str, expected: str = "", fix: str = "") -> None:
        super().__init__(found, expected, fix)
        self.found = found
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        parts = [("", self.found), ("Expected: ", self.expected), ("To do: ", self.fix)]
        return " ".join(f"{head}{text.rstrip('.')}." for head, text in parts if text)


class ArgumentError(MriTumorError, ValueError):
    """An argument has a value, type or shape that the function cannot take."""


class ReadError(MriTumorError):
    """A picture cannot be read: missing, damaged, too large, or not a picture."""


class CatalogError(MriTumorError):
    """A folder, table or split of pictures is not what it should be."""


class DownloadError(MriTumorError):
    """A file cannot be fetched, cannot be kept, or is not the file that was asked for."""


class ShardError(MriTumorError):
    """A TFRecord shard, or the folder that holds it, is damaged or incomplete."""


class LeakageError(MriTumorError):
    """Training and test share pictures or groups, so the score would not be true."""


class ManifestMismatch(MriTumorError):
    """Two artefacts do not belong together: labels, preprocessing, sizes or digests differ."""


class TrainingError(MriTumorError):
    """A training run cannot start, go on or be resumed."""


class EngineError(MriTumorError):
    """An engine cannot run a network on this machine, or does not say what the network says."""


class PackageError(MriTumorError):
    """A model archive is malformed, unsafe or incomplete."""


class EndpointError(MriTumorError):
    """An endpoint refused a request, failed or cannot be reached.

    Args:
        found: what is wrong.
        expected: what would have been right.
        fix: what to do now.
        code: the error's number, as in HTTP: 400, 409, 413, 415, 429, 500, ...
    """

    def __init__(self, found: str, expected: str = "", fix: str = "", code: int = 500) -> None:
        super().__init__(found, expected, fix)
        self.args = (found, expected, fix, code)
        self.code = code


class CloudError(MriTumorError):
    """AWS refused a call, cannot be reached, or holds something else than was expected.

    Args:
        found: what is wrong.
        expected: what would have been right.
        fix: what to do now.
        code: AWS's own name of the error (`"AccessDenied"`, `"ExpiredToken"`, ...), empty if it has none.
    """

    def __init__(self, found: str, expected: str = "", fix: str = "", code: str = "") -> None:
        super().__init__(found, expected, fix)
        self.args = (found, expected, fix, code)
        self.code = code


class MissingExtra(MriTumorError, ImportError):
    """An optional dependency is used and is not installed."""
