"""What the service checks of a request and botocore does not: patterns, lengths and enumerations."""

import functools
import re
from collections.abc import Iterator
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

from harness.errors import Refused
from harness.recognise import model_of

# The model calls it required; there are no artifacts before a job has left some.
_UNTIL_LATER = ('Missing required parameter in input: "ModelArtifacts"',)


def check_request(operation: str, given: dict[str, Any]) -> None:
    """Refuse a request as SageMaker does.

    Raises:
        Refused: a value is not of its shape.
    """
    shape = model_of("sagemaker").operation_model(operation).input_shape
    if shape is None:
        return
    found = list(_problems(shape, given, ""))
    if found:
        plural = "error" if len(found) == 1 else "errors"
        raise Refused("ValidationException", f"{len(found)} validation {plural} detected: {'; '.join(found)}")


def reply_problems(operation: str, reply: dict[str, Any]) -> str:
    """Return what is wrong with a reply of ours: unknown or missing members, wrong types."""
    shape = model_of("sagemaker").operation_model(operation).output_shape
    if shape is None:
        return "" if not reply else f"{operation} answers nothing"
    report = ParamValidator().validate(reply, shape)
    lines = report.generate_report().splitlines() if report.has_errors() else []
    return "; ".join(line for line in lines if line not in _UNTIL_LATER)


def _problems(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for name in shape.required_members:
            if name not in value:
                yield _problem("null", _camel(path, name), "Member must not be null")
        for name, member in value.items():
            if name in shape.members:
                yield from _problems(shape.members[name], member, _camel(path, name))
    elif isinstance(shape, ListShape) and isinstance(value, list):
        yield from _length(shape, value, path, len(value))
        for number, member in enumerate(value, 1):
            yield from _problems(shape.member, member, f"{path}.{number}.member")
    elif isinstance(shape, MapShape) and isinstance(value, dict):
        yield from _length(shape, value, path, len(value))
        for key, member in value.items():
            yield from _problems(shape.key, key, path)
            yield from _problems(shape.value, member, f"{path}.{key}.member")
    elif isinstance(shape, StringShape) and isinstance(value, str):
        yield from _length(shape, value, path, len(value))
        pattern = shape.metadata.get("pattern")
        if pattern and not _compiled(pattern).fullmatch(value):
            yield _problem(value, path, f"Member must satisfy regular expression pattern: {pattern}")
        if shape.enum and value not in shape.enum:
            yield _problem(value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    elif shape.type_name in ("integer", "long") and isinstance(value, int):
        least, most = shape.metadata.get("min"), shape.metadata.get("max")
        if least is not None and value < least:
            yield _problem(value, path, f"Member must have value greater than or equal to {least}")
        if most is not None and value > most:
            yield _problem(value, path, f"Member must have value less than or equal to {most}")


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern of Java's as one of Python's; the classes of Unicode are all that differs here."""
    for java, python in ((r"\p{L}", r"\w"), (r"\p{N}", r"\d"), (r"\p{Z}", r"\s"), (r"\p{M}", r"\w")):
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _length(shape: Shape, value: Any, path: str, length: int) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and length < least:
        yield _problem(value, path, f"Member must have length greater than or equal to {least}")
    if most is not None and length > most:
        yield _problem(value, path, f"Member must have length less than or equal to {most}")


def _problem(value: Any, path: str, text: str) -> str:
    return f"Value '{str(value)[:200]}' at '{path}' failed to satisfy constraint: {text}"


def _camel(path: str, name: str) -> str:
    name = name[0].lower() + name[1:]
    return f"{path}.{name}" if path else name
