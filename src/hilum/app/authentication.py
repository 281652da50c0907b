"""Who is asking: stands before every HTTP door and puts the principal into the request's state.

People bring a session cookie, programs HTTP Basic or a bearer token. A request that a cookie vouches for and that
changes something must come from our own pages (Fetch Metadata or Origin), so that no other site can act for a person.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hilum.archive.model import Principal
from hilum.console.api import SESSION_COOKIE
from hilum.console.pages import is_public_path
from hilum.console.problems import problem_response
from hilum.kernel.errors import Forbidden, LimitExceeded, Unavailable
from hilum.services.identity import IdentityService

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PUBLIC = frozenset({"/healthz", "/readyz"})
_DATA_PREFIXES = ("/dicom-web", "/api", "/metrics")


class Authentication:
    """ASGI middleware. With `everyone` set (authentication switched off) that principal asks every request.

    Nobody signs in then and Hilum listens on this machine alone, but a browser here may visit any page: one whose own
    name is made to resolve to this machine (DNS rebinding) would be of the same origin. So without a proxy in front,
    `has_proxy` False, only requests that call this machine by address or as localhost are answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        identity: IdentityService,
        *,
        everyone: Principal | None = None,
        has_proxy: bool = False,
        open_metrics: bool = False,
    ) -> None:
        self._app = app
        self._has_proxy = has_proxy
        self._identity = identity
        self._everyone = everyone
        self._public = _PUBLIC | {"/metrics"} if open_metrics else _PUBLIC

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, then pass on; refuse otherwise."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._authenticate(scope)
        await (refusal or self._app)(scope, receive, send)

    async def _authenticate(self, scope: Scope) -> Response | None:
        path, method = scope["path"], scope["method"]
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        if self._everyone is not None and not self._has_proxy and not _is_this_machine(headers.get("host", "")):
            return problem_response(403, "forbidden", "call Hilum by its address or as localhost", "host-name")
        if path in self._public or is_public_path(path):
            return None
        if path == "/api/session" and method == "POST":
            return _foreign_site() if _is_foreign(scope, headers) else None
        if self._everyone is not None:
            state["principal"] = self._everyone
            return _foreign_site() if method not in _SAFE_METHODS and _is_foreign(scope, headers) else None
        try:
            by_header = await self._by_authorization(headers, _peer(scope))
            if by_header is not None:
                state["principal"] = by_header
                return None
        except Forbidden as error:
            return _challenge(headers, error.message)
        except LimitExceeded as error:
            return problem_response(429, error.code, error.message, error.reason_code)
        except Unavailable as error:
            return problem_response(503, error.code, error.message, error.reason_code)
        return await self._by_cookie(scope, headers, state)

    async def _by_authorization(self, headers: Headers, peer: str) -> Principal | None:
        authorization = headers.get("authorization")
        if authorization is None:
            return None
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return await self._identity.by_token(credentials.strip())
        if scheme.lower() == "basic":
            try:
                name, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise Forbidden("the Authorization header is no valid Basic credential", code="credentials") from error
            if colon:
                return await self._identity.by_password(name, password, peer)
        raise Forbidden("the Authorization header is neither Basic nor Bearer", code="credentials")

    async def _by_cookie(self, scope: Scope, headers: Headers, state: dict[str, object]) -> Response | None:
        secret = _session_secret(headers)
        try:
            principal = await self._identity.by_session(secret) if secret else None
        except Unavailable as error:
            return problem_response(503, error.code, error.message, error.reason_code)
        if principal is None:
            return _ask_to_sign_in(scope, headers)
        if scope["method"] not in _SAFE_METHODS and _is_foreign(scope, headers):
            return _foreign_site()
        state["principal"] = principal
        return None


def _peer(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "unknown"


def _is_this_machine(host: str) -> bool:
    """Say whether a Host header is an address or localhost, which no foreign site can be called."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _session_secret(headers: Headers) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(SESSION_COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


def _is_foreign(scope: Scope, headers: Headers) -> bool:
    """Say whether a page of another site asks. Browsers tell by one of two headers; programs send neither."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    asked = urlsplit(str(Request(scope).url))
    return origin.lower() != f"{asked.scheme}://{asked.netloc}".lower()


def _foreign_site() -> Response:
    return problem_response(403, "forbidden", "the request did not come from Hilum's own pages", "cross-site")


def _ask_to_sign_in(scope: Scope, headers: Headers) -> Response:
    path = scope["path"]
    wants_page = scope["method"] in ("GET", "HEAD") and "text/html" in headers.get("accept", "")
    if wants_page and not path.startswith(_DATA_PREFIXES):
        query = scope.get("query_string", b"").decode("latin-1")
        return RedirectResponse(f"/login?next={quote(path + ('?' + query if query else ''), safe='')}", status_code=303)
    return _challenge(headers, "sign in first")


def _challenge(headers: Headers, detail: str) -> Response:
    """Answer 401. Scripts of a page get no Basic challenge, for the browser would open its own password window."""
    response = problem_response(401, "forbidden", detail, "credentials")
    is_page = "sec-fetch-mode" in headers
    response.headers["WWW-Authenticate"] = 'Bearer realm="Hilum"' if is_page else 'Basic realm="Hilum", charset="UTF-8"'
    return response
