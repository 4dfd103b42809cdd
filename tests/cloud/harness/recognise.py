"""Which operation of which service a request asks for."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import botocore.session
from botocore.model import OperationModel, ServiceModel

PLATFORM_KEY = "AKIAPLATFORM00000000"
"""The access key of the platform itself, which acts in the execution role's name."""

HARNESS_KEY = "AKIAHARNESS000000000"
"""The access key for what the harness asks for its own sake and SageMaker would not ask."""

ROLE_KEY = "ASIAEXECUTIONROLE000"
"""The access key that code inside a job or a container has."""

_BY_SIGNATURE = {"monitoring": "cloudwatch"}
_PRINCIPALS = {PLATFORM_KEY: "platform", HARNESS_KEY: "harness", ROLE_KEY: "role"}


@dataclass(frozen=True)
class Request:
    """What is known of a request before it is answered.

    Args:
        service: botocore's name of the service, or "" for what nobody signed.
        operation: the operation's name, or "".
        principal: "caller", "platform" or "role".
        protocol: how the service writes its answers.
    """

    service: str
    operation: str
    principal: str
    protocol: str


@functools.cache
def model_of(service: str) -> ServiceModel:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


def recognise(environ: Mapping[str, Any], body: bytes) -> Request:
    """Find service, operation and caller.

    Args:
        environ: the WSGI environment.
        body: the request's body; only services of the query protocol name the operation there.
    """
    key, service = _credential(environ)
    path = environ.get("PATH_INFO", "")
    service = _BY_SIGNATURE.get(service, service)
    if service == "sagemaker" and re.match(r"/endpoints/[^/]+/(async-)?invocations", path):
        service = "sagemaker-runtime"
    principal = _PRINCIPALS.get(key, "caller")
    try:
        model = model_of(service)
    except Exception:  # botocore has several errors for a service that it does not know
        return Request(service, "", principal, "json")
    return Request(service, _operation(model, environ, body), principal, _protocol(model, environ))


def _credential(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return access key and service of the signature: in the header, or in a presigned address."""
    found = re.search(r"Credential=([^/,]+)/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    if found is None:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        # S3's presigned addresses are signed in one of two ways.
        if "AWSAccessKeyId" in query:
            return query["AWSAccessKeyId"][0], "s3"
        found = re.search(r"^([^/]+)/\d+/[^/]+/([^/]+)/", query.get("X-Amz-Credential", [""])[0])
    return (found[1], found[2]) if found else ("", "")


def _protocol(model: ServiceModel, environ: Mapping[str, Any]) -> str:
    """Return the protocol of a request; some services take several."""
    if "HTTP_X_AMZ_TARGET" in environ:
        return "json"
    return "smithy-rpc-v2-cbor" if "HTTP_SMITHY_PROTOCOL" in environ else str(model.protocol)


def _operation(model: ServiceModel, environ: Mapping[str, Any], body: bytes) -> str:
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return str(target.rpartition(".")[2])
    path = environ.get("PATH_INFO", "")
    if "/operation/" in path:
        return str(path.rpartition("/operation/")[2])
    if model.protocol == "query":
        return dict(parse_qsl(body.decode("utf-8", "replace"))).get("Action", "")
    return _rest_operation(model, environ)


def _rest_operation(model: ServiceModel, environ: Mapping[str, Any]) -> str:
    """Return the operation whose address fits and asks for most of the request's query and headers."""
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    best, most = "", -1
    for name, method, pattern, wanted, headers in _rest_table(model.service_name):
        if method != environ["REQUEST_METHOD"] or not pattern.fullmatch(environ["PATH_INFO"]):
            continue
        named = all(key in query and value in ("", query[key]) for key, value in wanted.items())
        headed = all(f"HTTP_{header.upper().replace('-', '_')}" in environ for header in headers)
        weight = 2 * len(wanted) + len(headers)
        if named and headed and weight > most:
            best, most = name, weight
    return best


@functools.cache
def _rest_table(service: str) -> list[tuple[str, str, re.Pattern[str], dict[str, str], list[str]]]:
    model = model_of(service)
    return [_rest_row(model.operation_model(name)) for name in model.operation_names]


def _rest_row(operation: OperationModel) -> tuple[str, str, re.Pattern[str], dict[str, str], list[str]]:
    address, _, query = operation.http["requestUri"].partition("?")
    parts = [
        ("/.+" if part.endswith("+}") else "/[^/]+") if part.startswith("{") else "/" + re.escape(part)
        for part in address.strip("/").split("/")
        if part
    ]
    wanted = dict(parse_qsl(query, keep_blank_values=True))
    headers = []
    shape = operation.input_shape
    for name in shape.required_members if shape else ():
        place = shape.members[name].serialization
        if place.get("location") == "querystring":
            wanted[place["name"]] = ""
        elif place.get("location") == "header":
            headers.append(place["name"])
    return operation.name, operation.http["method"], re.compile("".join(parts) + "/?"), wanted, headers
