"""Requests to endpoints on SageMaker: those that answer at once, and those that answer through S3."""

import logging
import random
import time
import uuid
from typing import Any

from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.endpoints.hosting import RemoteEndpoint
from mri_tumor.cloud.aws.refusals import code_of, refusal
from mri_tumor.cloud.connection import refusal as refusal_of_endpoint
from mri_tumor.cloud.transport import json_of
from mri_tumor.errors import CloudError, EndpointError

logger = logging.getLogger(__name__)

_ATTEMPTS = 5  # a model that hangs should not be asked for many minutes
_STARTED = (1, 2, 4, 8, 16)  # seconds between requests to what is just being started
_STARTING = ("ModelNotReadyException", "InternalDependencyException")
_CODES = {
    "413": 413,
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "InvalidAccessKeyId": 403,
    "InvalidToken": 403,
    "ResourceNotFound": 404,
    "SignatureDoesNotMatch": 403,
    "Throttling": 429,
}
_PAUSES = (0.2, 0.4, 0.8, 1.6, 3.2)  # seconds between two looks for an answer in S3; the last one stays


class Runtime:
    """The way to an endpoint that answers at once.

    Throttled calls, failures of the service and broken connections are tried again by botocore with growing
    pauses; a serverless endpoint that is just being started is asked again here.

    Args:
        endpoint: on SageMaker.
        timeout: seconds that one answer may take.
    """

    def __init__(self, endpoint: RemoteEndpoint, timeout: float) -> None:
        self.endpoint = endpoint
        self._client = endpoint.account.client("sagemaker-runtime", seconds=timeout, attempts=_ATTEMPTS)

    @property
    def max_body(self) -> int:
        """The largest request in bytes."""
        return self.endpoint.max_body

    def post(self, body: bytes, content_type: str, attributes: str = "") -> Any:
        """Send a request and return the JSON of its answer.

        Raises:
            EndpointError: the endpoint or AWS refused, or cannot be reached.
        """
        given = {"CustomAttributes": attributes} if attributes else {}
        request = {"Body": body, "ContentType": content_type, "Accept": "application/json", **given}
        for pause in _STARTED:
            try:
                reply = self._client.invoke_endpoint(EndpointName=self.endpoint.name, **request)
                answer = reply["Body"].read()
            except Exception as error:
                if code_of(error) not in _STARTING:
                    raise refused(self.endpoint.name, error) from error
            else:
                return json_of(answer, self.endpoint.name)
            # Not all clients at the same moment.
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
        raise EndpointError(
            f"{self.endpoint.name} is still being started",
            "an endpoint that is ready",
            "call it again in a minute; more memory_mb starts a serverless endpoint faster",
            code=503,
        )

    def close(self) -> None:
        """Let the endpoint go."""


class AsyncRuntime:
    """The way to an endpoint that takes its requests from S3 and puts its answers there.

    Both are removed as soon as the answer is read: requests are pictures of patients.

    Args:
        endpoint: on SageMaker, asynchronous.
        timeout: seconds until an answer must be there.
    """

    def __init__(self, endpoint: RemoteEndpoint, timeout: float) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self._runtime = endpoint.account.client("sagemaker-runtime")
        self._s3 = endpoint.account.client("s3")

    @property
    def max_body(self) -> int:
        """The largest request in bytes."""
        return self.endpoint.max_body

    def post(self, body: bytes, content_type: str, attributes: str = "") -> Any:
        """Put a request into S3, wait for its answer, and return that.

        Raises:
            EndpointError: the endpoint or AWS refused, or there is no answer in time.
        """
        place = S3Address.parse(f"{self.endpoint.answers}/requests/{uuid.uuid4().hex}")
        given = {"CustomAttributes": attributes} if attributes else {}
        used = [place]
        try:
            self._put(place, body, content_type)
            reply = self._runtime.invoke_endpoint_async(
                EndpointName=self.endpoint.name,
                InputLocation=str(place),
                ContentType=content_type,
                Accept="application/json",
                **given,
            )
            locations = [reply["OutputLocation"], *filter(None, [reply.get("FailureLocation")])]
            used += map(S3Address.parse, locations)
            return self._answer(used[1:])
        except EndpointError:
            raise
        except Exception as error:
            raise refused(self.endpoint.name, error) from error
        finally:
            self._remove(used)

    def close(self) -> None:
        """Let the endpoint go."""

    def _put(self, place: S3Address, body: bytes, content_type: str) -> None:
        key = self.endpoint.kms_key
        encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        self._s3.put_object(
            Bucket=place.bucket, Key=place.key, Body=body, ContentType=content_type, **encrypted
        )

    def _answer(self, places: list[S3Address]) -> Any:
        """Wait for the answer, or for the failure's reason, which SageMaker puts at another place."""
        start = time.monotonic()
        for pause in _growing():
            for kind, place in zip(("answer", "failure"), places, strict=False):
                data = self._get(place)
                if data is not None and kind == "answer":
                    return json_of(data, self.endpoint.name)
                if data is not None:
                    raise refusal_of_endpoint(500, data)
            if time.monotonic() - start > self.timeout:
                break
            time.sleep(pause)
        raise EndpointError(
            f"{self.endpoint.name} has not answered after {self.timeout:g} s",
            f"an answer at {places[0]}",
            "pass a longer timeout, or look at the endpoint's log",
            code=504,
        )

    def _get(self, place: S3Address) -> bytes | None:
        try:
            return bytes(self._s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read())
        except self._s3.exceptions.ClientError as error:
            # Without the permission to list, S3 says of what is not there that it is forbidden.
            if code_of(error) in ("NoSuchKey", "AccessDenied"):
                return None
            raise

    def _remove(self, places: list[S3Address]) -> None:
        for place in places:
            try:
                self._s3.delete_object(Bucket=place.bucket, Key=place.key)
            except Exception as error:
                logger.warning("%s could not be removed: %s", place, error)


def refused(name: str, error: Exception) -> EndpointError:
    """Return the error for a request that AWS, or the endpoint behind it, did not answer.

    Args:
        name: of the endpoint.
        error: what boto3 raised.
    """
    response = getattr(error, "response", None) or {}
    if "OriginalStatusCode" in response:
        message = str(response.get("OriginalMessage", ""))
        return refusal_of_endpoint(int(response["OriginalStatusCode"]), message.encode())
    found: CloudError = refusal(f"asking the endpoint {name}", error)
    return EndpointError(found.found, found.expected, found.fix, code=_CODES.get(found.code, 503))


def _growing() -> Any:
    yield from _PAUSES
    while True:
        yield _PAUSES[-1]
