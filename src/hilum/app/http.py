"""The HTTP application: doors mounted side by side, authentication and the request middleware in front of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from time import perf_counter
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum import __version__
from hilum.app.authentication import Authentication
from hilum.archive.model import Principal
from hilum.console.api import ConsoleServices, answer_http_exception, answer_unexpected, console_api
from hilum.console.pages import page_routes
from hilum.console.problems import problem_response
from hilum.dicomweb import DicomwebServices
from hilum.dicomweb import routes as dicomweb_routes
from hilum.kernel.errors import HilumError
from hilum.kernel.limits import HTTP_BODY_PROGRESS_TIMEOUT_S
from hilum.observe.logs import get_logger
from hilum.observe.metrics import HTTP_REQUESTS, HTTP_SECONDS, render_metrics

_log = get_logger("http")

_WORDS = frozenset(
    (
        "studies",
        "series",
        "instances",
        "frames",
        "bulkdata",
        "metadata",
        "rendered",
        "thumbnail",
        "workitems",
        "session",
        "worklist",
        "procedure-steps",
        "openapi.json",
    )
)
# Of answers that say nothing else: they are what they say they are, and no cache between keeps patients' data.
_DEFAULT_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache"}
_DOORS = frozenset(("dicom-web", "api", "ohif", "assets", "healthz", "readyz", "metrics", "login"))


def route_label(path: str) -> str:
    """Return a label for metrics and logs: the door and the last known word of the path, never a UID or an id."""
    segments = [segment for segment in path.split("/") if segment]
    door = segments[0] if segments and segments[0] in _DOORS else "pages"
    word = next((segment for segment in reversed(segments[1:]) if segment in _WORDS), None)
    return f"{door}/{word}" if word else door


class RequestMiddleware:
    """Counts and times requests, bounds how slowly a body may come, and answers what no door expected with 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and account for it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = perf_counter()
        label, status, has_started, is_complete = route_label(scope["path"]), 0, False, False
        is_body_complete = False

        async def receive_in_time() -> Message:
            nonlocal is_body_complete
            if is_body_complete:
                return await receive()
            async with asyncio.timeout(HTTP_BODY_PROGRESS_TIMEOUT_S):
                message = await receive()
            is_body_complete = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def send_and_note(message: Message) -> None:
            nonlocal status, has_started, is_complete
            if message["type"] == "http.response.start":
                status, has_started = message["status"], True
                headers = MutableHeaders(scope=message)
                for name, value in _DEFAULT_HEADERS.items():
                    headers.setdefault(name, value)
            else:  # a piece of the body, as bytes or as a file
                is_complete = not message.get("more_body", False)
            await send(message)

        try:
            if _has_sound_host(scope):
                await self._app(scope, receive_in_time, send_and_note)
            else:
                refusal = problem_response(400, "invalid-input", "the Host header names no host", "host")
                await refusal(scope, receive, send_and_note)
        except ClientDisconnect:
            status = status or 499
        except TimeoutError:
            _log.warning("request body stalled", route=label, method=scope["method"])
            status = 408
            if not has_started:
                await problem_response(408, "limit-exceeded", "the request body stalled", "body-timeout")(
                    scope, receive, send_and_note
                )
        except Exception as error:
            _log.error("request failed", exc=error, route=label, method=scope["method"])
            if has_started and not is_complete:
                raise
            if not has_started:
                await (await answer_unexpected(Request(scope), error))(scope, receive, send_and_note)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            HTTP_REQUESTS.labels(label, method, str(status)).inc()
            HTTP_SECONDS.labels(label).observe(perf_counter() - begun)


def _has_sound_host(scope: Scope) -> bool:
    """Say whether the request's one Host header, if there is any, is a name or address: URLs are made of it."""
    hosts = Headers(scope=scope).getlist("host")
    if not hosts:
        return True  # HTTP/1.0
    if len(hosts) > 1 or not _HOST.fullmatch(hosts[0]):
        return False
    try:
        urlsplit(f"//{hosts[0]}").port  # noqa: B018 - raises what is no address or port
    except ValueError:
        return False
    return True


_HOST = re.compile(r"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?", re.ASCII)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def http_application(
    *,
    console: ConsoleServices,
    dicomweb: DicomwebServices,
    is_ready: Callable[[], Awaitable[None]],
    everyone: Principal | None,
    has_proxy: bool,
    open_metrics: bool,
) -> ASGIApp:
    """Return the whole HTTP side of one worker.

    Args:
        is_ready: raises a HilumError when the worker cannot serve (the database is away).
        everyone: who asks every request when authentication is switched off, otherwise None.
        has_proxy: whether a reverse proxy stands in front, so that we are called by its name.
    """

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        try:
            await is_ready()
        except HilumError as error:
            return JSONResponse({"status": "unavailable", "reason": error.message}, status_code=503)
        return JSONResponse({"status": "ready", "version": __version__})

    async def metrics(_request: Request) -> Response:
        text, media_type = await asyncio.to_thread(render_metrics)
        return Response(text, headers={"Content-Type": media_type})

    routes: list[BaseRoute] = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Mount("/dicom-web", routes=dicomweb_routes(dicomweb)),
        Mount("/api", app=console_api(console)),
        *page_routes(),
    ]
    inner = Starlette(
        routes=routes, exception_handlers={HTTPException: answer_http_exception, Exception: answer_unexpected}
    )
    return RequestMiddleware(
        Authentication(inner, console.identity, everyone=everyone, has_proxy=has_proxy, open_metrics=open_metrics)
    )
