"""The console API under /api: FastAPI, so that the web app's types are generated from its OpenAPI description."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum import __version__
from hilum.archive.jobs import JobQueue
from hilum.archive.model import Permission, Principal
from hilum.console.commitments import CommitmentServices, commitment_routes
from hilum.console.forwarding import forwarding_routes
from hilum.console.jobs import job_routes
from hilum.console.prefetch import prefetch_routes
from hilum.console.problems import problem_response, problems
from hilum.console.remote_archives import RemoteArchiveServices, remote_archive_routes
from hilum.console.remotes import RemoteServices, remote_routes
from hilum.console.worklist import WorklistServices, worklist_routes
from hilum.kernel.errors import (
    Conflict,
    CorruptData,
    Forbidden,
    HilumError,
    InvalidInput,
    LimitExceeded,
    LocalProtocolError,
    NotFound,
    RemoteProtocolError,
    Unavailable,
    Unsupported,
)
from hilum.kernel.limits import MAX_JSON_BODY_BYTES, MAX_PASSWORD_LENGTH, MAX_USER_NAME_LENGTH
from hilum.policies.authorization import permissions_of
from hilum.services.forwarding import ForwardService
from hilum.services.identity import IdentityService
from hilum.services.prefetch import PrefetchService

SESSION_COOKIE = "hilum_session"

HTTP_STATUS: dict[type[HilumError], int] = {
    LocalProtocolError: 500,
    RemoteProtocolError: 400,
    InvalidInput: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Unsupported: 501,
    LimitExceeded: 429,
    Unavailable: 503,
    CorruptData: 500,
}
"""How this door projects the families of errors."""


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """What the console API needs; AE title and port are told to people who want to send."""

    identity: IdentityService
    remotes: RemoteServices
    remote_archives: RemoteArchiveServices
    worklist: WorklistServices
    jobs: JobQueue
    forwarding: ForwardService
    prefetch: PrefetchService
    commitments: CommitmentServices
    ae_title: str
    dicom_port: int
    session_seconds: int


class Credentials(BaseModel):
    """What the sign-in page sends."""

    username: str = Field(min_length=1, max_length=MAX_USER_NAME_LENGTH)
    password: str = Field(min_length=1, max_length=MAX_PASSWORD_LENGTH)


class Named(BaseModel):
    """Something with a name."""

    name: str


class Session(BaseModel):
    """Who is signed in, and where pictures may be sent."""

    user: Named
    tenant: Named
    roles: list[str]
    permissions: list[Permission] = Field(description="What the roles allow; pages show no more than that.")
    version: str
    ae_title: str
    dicom_port: int


_UNREADABLE = ("invalid-input", "the request cannot be read")
_FRAMEWORK_REFUSALS = {
    404: ("not-found", "there is nothing at this address"),
    405: ("unsupported", "this method is not served at this address"),
}


async def answer_http_exception(_request: Request, error: Exception) -> Response:
    """Answer what the framework refuses (no such path, no such method, an unreadable body) as problem details."""
    if not isinstance(error, HTTPException):
        raise error
    title, detail = _FRAMEWORK_REFUSALS.get(error.status_code, _UNREADABLE)
    response = problem_response(error.status_code, title, detail, title)
    response.headers.update(error.headers or {})
    return response


async def answer_unexpected(_request: Request, _error: Exception) -> Response:
    """Answer a defect; the request middleware hears of it too and logs it."""
    return problem_response(500, "internal", "an unexpected error occurred; it has been logged", "internal")


class _SmallBodies:
    """ASGI middleware: reads a request's body whole, refusing one that is larger than any this API takes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body at hand."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        has_more = True
        while has_more:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client has left
            body += message.get("body", b"")
            has_more = message.get("more_body", False)
            if len(body) > MAX_JSON_BODY_BYTES:
                detail = f"a request body is limited to {MAX_JSON_BODY_BYTES} bytes here"
                await problem_response(413, LimitExceeded.code, detail, "body-too-large")(scope, receive, send)
                return
        pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


def console_api(services: ConsoleServices) -> FastAPI:
    """Return the application to be mounted at /api."""
    api = FastAPI(
        title="Hilum console API", version=__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json"
    )

    @api.exception_handler(HilumError)
    async def answer_error(_request: Request, error: HilumError) -> Response:
        status = next(HTTP_STATUS[family] for family in type(error).__mro__ if family in HTTP_STATUS)
        return problem_response(status, type(error).code, error.message, error.reason_code)

    @api.exception_handler(RequestValidationError)
    async def answer_invalid(_request: Request, error: RequestValidationError) -> Response:
        where = "; ".join(
            ".".join(str(part) for part in item["loc"][1:]) + ": " + item["msg"] for item in error.errors()
        )
        return problem_response(400, "invalid-input", where, "invalid-input")

    api.add_exception_handler(HTTPException, answer_http_exception)
    api.add_exception_handler(Exception, answer_unexpected)
    api.add_middleware(_SmallBodies)

    @api.post("/session", status_code=204, responses=problems(403, 429))
    async def sign_in(credentials: Credentials, request: Request) -> Response:
        """Sign in by name and password; the answer sets the session cookie."""
        peer = request.client.host if request.client else "unknown"
        try:
            signed_in = await services.identity.sign_in(credentials.username, credentials.password, peer)
        except Forbidden as error:
            return problem_response(401, error.code, error.message, error.reason_code)
        response = Response(status_code=204)
        response.set_cookie(
            SESSION_COOKIE,
            signed_in.secret,
            max_age=services.session_seconds,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
            path="/",
        )
        return response

    @api.get("/session", responses=problems(401))
    async def read_session(request: Request) -> Session:
        """Tell who is signed in."""
        principal: Principal = request.state.principal
        return Session(
            user=Named(name=principal.name),
            tenant=Named(name=principal.tenant.name),
            roles=sorted(role.value for role in principal.roles),
            permissions=sorted(permissions_of(principal)),
            version=__version__,
            ae_title=services.ae_title,
            dicom_port=services.dicom_port,
        )

    @api.delete("/session", status_code=204)
    async def sign_out(request: Request) -> Response:
        """Sign out and forget the session."""
        secret = request.cookies.get(SESSION_COOKIE)
        if secret:
            await services.identity.sign_out(secret)
        response = Response(status_code=204)
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")
        return response

    api.include_router(remote_archive_routes(services.remote_archives))
    api.include_router(remote_routes(services.remotes))
    api.include_router(worklist_routes(services.worklist))
    api.include_router(forwarding_routes(services.forwarding))
    api.include_router(prefetch_routes(services.prefetch))
    api.include_router(job_routes(services.jobs))
    api.include_router(commitment_routes(services.commitments))
    return api
