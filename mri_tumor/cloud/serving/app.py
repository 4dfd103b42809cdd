"""The web application around a model: a request's body in, an answer or the one form of error out."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from mri_tumor.cloud.container.bodies import MAX_BODY, RequestError, bad, too_large
from mri_tumor.cloud.container.inference import JSON_TYPE, Infer, respond
from mri_tumor.cloud.serving.gate import Gate

_DRAINED = 8 * MAX_BODY  # so much of a body that is too large is read on, so that its sender gets the answer
_HEADERS = {
    408: {"Connection": "close"},  # the rest of the body may never come
    413: {"Connection": "close"},
    429: {"Retry-After": "1"},
}


def create_app(infer: Infer, manifest: Mapping[str, Any], gate: Gate) -> Starlette:
    """Return the web application around a model.

    Args:
        infer: calls the model, as `container.inference.respond` takes it.
        manifest: the model's manifest as its JSON object.
        gate: which requests are taken.
    """
    # Not the event loop's own threads: there may be more of those than the model should work for.
    threads = ThreadPoolExecutor(gate.limits.at_once, "model")

    async def ping(request: Request) -> Response:
        return Response(status_code=200)

    async def invocations(request: Request) -> Response:
        async with gate.place(_announced(request)):
            async with gate.arriving():
                data = await _read(request)
            async with gate.turn:
                if await request.is_disconnected():
                    raise bad("nobody waits for the answer any more", "a connection that stays open")
                kind = request.headers.get("content-type", "")
                attributes = request.headers.get("x-amzn-sagemaker-custom-attributes", "")
                loop = asyncio.get_running_loop()
                body, kind = await loop.run_in_executor(
                    threads, respond, data, kind, attributes, infer, manifest
                )
        return Response(body, media_type=kind)

    routes = [Route("/ping", ping), Route("/invocations", invocations, methods=["POST"])]
    handlers: dict[Any, Any] = {RequestError: _refused, HTTPException: _unknown, Exception: _failed}
    return Starlette(routes=routes, exception_handlers=handlers)


def _announced(request: Request) -> int:
    """Return how many bytes of the body will be held at most."""
    if "transfer-encoding" in request.headers:
        return MAX_BODY
    length = request.headers.get("content-length", "0")
    return min(int(length), MAX_BODY) if length.isdecimal() else MAX_BODY


async def _read(request: Request) -> bytes:
    """Return the body; memory never holds more of it than the limit."""
    data = bytearray()
    length = 0
    try:
        async for chunk in request.stream():
            length += len(chunk)
            if length <= MAX_BODY:
                data += chunk
            elif length > _DRAINED:
                break
    except ClientDisconnect as error:
        raise bad("the connection ended in the middle of the body", "a whole request") from error
    if length > MAX_BODY:
        raise too_large(MAX_BODY)
    return bytes(data)


async def _refused(request: Request, error: Exception) -> Response:
    code = error.code if isinstance(error, RequestError) else 500
    return Response(str(error), status_code=code, headers=_HEADERS.get(code), media_type=JSON_TYPE)


async def _unknown(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    found = f"{request.method} {request.url.path[:80]} is not answered"
    wanted = "GET /ping or POST /invocations"
    return await _refused(request, RequestError(code, found, wanted, "correct the request"))


async def _failed(request: Request, error: Exception) -> Response:
    found = f"the endpoint failed ({type(error).__name__})"
    fix = "look at the endpoint's log, and deploy again"
    return await _refused(request, RequestError(500, found, "an answer", fix))
