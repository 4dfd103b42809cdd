"""Endpoints: created in a thread, served by a container, gone when deleted."""

import contextlib
import logging
import threading
import time
import uuid
from typing import Any

from harness.base import Platform
from harness.containers.children import Serving
from harness.containers.container import Container, NotServing
from harness.errors import Refused
from harness.logs import LogStream
from harness.models import model_of_config, variant_summary
from harness.store import Resource, now

logger = logging.getLogger(__name__)

FAIL_ORDER = "fail_endpoints"
"""The order that the next endpoints do not start: so many of them."""

_GOING = 0.3  # seconds that an endpoint is still seen as being deleted
_UNHEALTHY = (
    "The primary container for production variant {} did not pass the ping health check. Please check "
    "CloudWatch logs for this endpoint."
)


class Endpoints:
    """The operations on endpoints.

    Args:
        platform: whose they are.
        serving: loads their models.
    """

    def __init__(self, platform: Platform, serving: Serving) -> None:
        self._platform, self._serving = platform, serving
        self._containers: dict[str, Container] = {}
        self._lock = threading.Lock()

    def create_endpoint(self, given: dict[str, Any]) -> dict[str, Any]:
        store = self._platform.store
        config = store.get("EndpointConfig", given["EndpointConfigName"])
        endpoint = store.create("Endpoint", given, EndpointStatus="Creating")
        self._in_thread(self._bring_up, endpoint, config, "Failed")
        return {"EndpointArn": endpoint.arn}

    def update_endpoint(self, given: dict[str, Any]) -> dict[str, Any]:
        store = self._platform.store
        endpoint = store.get("Endpoint", given["EndpointName"])
        config = store.get("EndpointConfig", given["EndpointConfigName"])
        _check_at_rest(endpoint)
        endpoint.set(EndpointStatus="Updating")
        # An update that fails leaves the endpoint as it was.
        self._in_thread(
            self._bring_up, endpoint, config, "InService" if self.container(endpoint) else "Failed"
        )
        return {"EndpointArn": endpoint.arn}

    def delete_endpoint(self, given: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._platform.store.get("Endpoint", given["EndpointName"])
        _check_at_rest(endpoint)
        endpoint.set(EndpointStatus="Deleting")
        self._in_thread(self._take_down, endpoint)
        return {}

    def container(self, endpoint: Resource) -> Container | None:
        """Return what answers for an endpoint, or None."""
        with self._lock:
            return self._containers.get(endpoint.name)

    def _bring_up(self, endpoint: Resource, config: Resource, otherwise: str) -> None:
        try:
            variant, model = model_of_config(self._platform, config)
            if self._told_to_fail():
                raise NotServing("the test wants it so")
            log = LogStream(
                self._platform,
                f"/aws/sagemaker/Endpoints/{endpoint.name}",
                f"{variant['VariantName']}/i-{uuid.uuid4().hex[:17]}",
            )
            container = Container(self._platform, self._serving, model, log)
        except (Refused, NotServing) as error:
            logger.info("endpoint %s: %s", endpoint.name, error)
            name = config.request["ProductionVariants"][0]["VariantName"]
            archive = str(error).startswith("Failed to extract")
            reason = str(error) if archive or isinstance(error, Refused) else _UNHEALTHY.format(name)
            endpoint.set(EndpointStatus=otherwise, FailureReason=reason)
            return
        with self._lock:
            old = self._containers.get(endpoint.name)
            self._containers[endpoint.name] = container
        endpoint.request = {**endpoint.request, "EndpointConfigName": config.name}
        endpoint.set(
            EndpointStatus="InService",
            FailureReason=None,
            ProductionVariants=[variant_summary(variant, model, now())],
            AsyncInferenceConfig=config.request.get("AsyncInferenceConfig"),
            DataCaptureConfig=_capture(config.request.get("DataCaptureConfig")),
        )
        if old is not None:
            old.close()

    def _take_down(self, endpoint: Resource) -> None:
        with self._lock:
            container = self._containers.pop(endpoint.name, None)
        if container is not None:
            container.close()
        time.sleep(_GOING)
        self._platform.store.delete(endpoint)

    def _told_to_fail(self) -> bool:
        with self._lock:
            left = int(self._platform.orders.get(FAIL_ORDER, 0))
            self._platform.orders[FAIL_ORDER] = max(left - 1, 0)
        return left > 0

    def _in_thread(self, act: Any, endpoint: Resource, *arguments: Any) -> None:
        def run() -> None:
            try:
                act(endpoint, *arguments)
            except Exception:
                # A test that waits for the endpoint is told, whatever broke here.
                logger.exception("endpoint %s", endpoint.name)
                with contextlib.suppress(KeyError):
                    endpoint.set(EndpointStatus="Failed", FailureReason="the harness failed; see its log")

        threading.Thread(target=run, daemon=True).start()


def _check_at_rest(endpoint: Resource) -> None:
    if endpoint.status not in ("InService", "Failed", "OutOfService"):
        raise Refused("ValidationException", f'Cannot update in-progress endpoint "{endpoint.arn}".')


def _capture(config: dict[str, Any] | None) -> dict[str, Any] | None:
    if config is None:
        return None
    return {
        "EnableCapture": config.get("EnableCapture", False),
        "CaptureStatus": "Started" if config.get("EnableCapture") else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
