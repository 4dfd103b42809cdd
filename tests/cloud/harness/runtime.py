"""Invocations: the request's body goes to the container as it is, and its answer comes back as it is."""

import json
import logging
import threading
import uuid
from dataclasses import dataclass

from botocore.exceptions import ClientError

from harness.base import REGION, Platform
from harness.containers.container import Container, Said
from harness.endpoints import Endpoints
from harness.errors import Answer, Refused
from harness.s3 import parts_of, send
from harness.store import ACCOUNT, Resource

logger = logging.getLogger(__name__)

REAL_TIME_LIMIT = 6 * 2**20
SERVERLESS_LIMIT = 4 * 2**20
_PASSED_ON = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")


@dataclass(frozen=True)
class _Places:
    """Where the answer to an asynchronous request goes.

    Args:
        output: if it is one.
        failure: if it is an error; None: nowhere.
        kms_key: the key that it is encrypted with, or None.
    """

    output: str
    failure: str | None
    kms_key: str | None

    @classmethod
    def of(cls, config: dict[str, str], own: str) -> "_Places":
        """Return the places that an endpoint's `OutputConfig` names, for a request."""
        failure = config.get("S3FailurePath")
        return cls(
            f"{config['S3OutputPath'].rstrip('/')}/{own}.out",
            f"{failure.rstrip('/')}/{own}-error.out" if failure else None,
            config.get("KmsKeyId"),
        )


class Runtime:
    """The operations of the runtime."""

    def __init__(self, platform: Platform, endpoints: Endpoints) -> None:
        self._platform, self._endpoints = platform, endpoints

    def invoke_endpoint(self, name: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Answer at once.

        Raises:
            Refused: no such endpoint in service, the body is too large, or the container answered an error.
        """
        endpoint, container = self._in_service(name)
        if endpoint.facts.get("AsyncInferenceConfig"):
            raise Refused("ValidationError", f"Endpoint {name} of account {ACCOUNT} is asynchronous.")
        variant = endpoint.facts["ProductionVariants"][0]
        limit = SERVERLESS_LIMIT if "CurrentServerlessConfig" in variant else REAL_TIME_LIMIT
        if len(body) > limit:
            raise Refused("413", f"Request body of {len(body)} bytes exceeds {limit} bytes", 413)
        said = _asked(container, body, headers)
        if said.status >= 400:
            raise _model_error(name, said)
        answer = {"Content-Type": said.kind, "x-Amzn-Invoked-Production-Variant": variant["VariantName"]}
        return Answer(200, answer, said.body)

    def invoke_endpoint_async(self, name: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Take a request whose body lies in S3, and say where its answer will lie.

        Raises:
            Refused: no such endpoint in service, it answers at once, or there is no such input.
        """
        endpoint, container = self._in_service(name)
        config = endpoint.facts.get("AsyncInferenceConfig")
        if not config:
            raise Refused("ValidationError", f"Endpoint {name} of account {ACCOUNT} is not asynchronous.")
        own = uuid.uuid4()
        places = _Places.of(config["OutputConfig"], str(own))
        source = headers["X-Amzn-SageMaker-InputLocation"]
        threading.Thread(
            target=self._answer_later, args=(container, source, headers, places), daemon=True
        ).start()
        answer = {"Content-Type": "application/json", "X-Amzn-SageMaker-OutputLocation": places.output}
        if places.failure:
            answer["X-Amzn-SageMaker-FailureLocation"] = places.failure
        card = {"InferenceId": headers.get("X-Amzn-SageMaker-Inference-Id", str(own))}
        return Answer(202, answer, json.dumps(card).encode())

    def _answer_later(
        self, container: Container, source: str, headers: dict[str, str], places: "_Places"
    ) -> None:
        client = self._platform.client("s3")
        bucket, key = parts_of(source)
        try:
            said = _asked(container, client.get_object(Bucket=bucket, Key=key)["Body"].read(), headers)
        except (ClientError, Refused) as error:
            said = Said(400, "text/plain", str(error).encode())
        place = places.output if said.status < 400 else places.failure
        if place is not None:
            send(client, said.body, place, kms_key=places.kms_key, kind=said.kind)

    def _in_service(self, name: str) -> tuple[Resource, Container]:
        missing = Refused("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        try:
            endpoint = self._platform.store.get("Endpoint", name)
        except Refused:
            raise missing from None
        container = self._endpoints.container(endpoint)
        # While it is updated the old container goes on answering.
        if endpoint.status not in ("InService", "Updating") or container is None:
            raise missing
        return endpoint, container


def _asked(container: Container, body: bytes, headers: dict[str, str]) -> Said:
    passed = {name: headers[name] for name in _PASSED_ON if name in headers}
    try:
        return container.ask(body, passed)
    except TimeoutError:
        text = "Your invocation timed out while waiting for a response from container primary."
        raise Refused("ModelError", text, 424, OriginalStatusCode=0, OriginalMessage=text) from None
    except OSError as error:
        raise Refused("ServiceUnavailable", str(error), 503) from error


def _model_error(name: str, said: Said) -> Refused:
    text = said.body.decode("utf-8", "replace")
    address = (
        f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}#logEventViewer:"
        f"group=/aws/sagemaker/Endpoints/{name}"
    )
    side = "client" if said.status < 500 else "server"
    return Refused(
        "ModelError",
        f'Received {side} error ({said.status}) from primary with message "{text}". See {address} in account '
        f"{ACCOUNT} for more information.",
        424,
        OriginalStatusCode=said.status,
        OriginalMessage=text,
        LogStreamArn=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{name}",
    )
