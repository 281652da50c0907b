"""Serving of the built pages: the web app at `/`, the OHIF viewer below `/ohif/`.

Which files exist is read once, when the routes are made; a request only chooses among them, so no path of a request
ever reaches the file system. Text files and WebAssembly are kept as gzip alone (see `hatch_build.py`) and inflated
for the rare program that does not take that.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Route

WEB_DIRECTORY = Path(__file__).parent / "web"

APP_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Content security policy of our own pages: nothing inline, nothing foreign."""

VIEWER_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval' 'wasm-unsafe-eval'; worker-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "object-src 'self' blob:; frame-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
"""Policy below `/ohif/` only. Its codecs and the loader of segmentations make functions out of text, hence eval."""

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_FOREVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"
# OHIF puts the content's digest into most names: app.bundle.0f6159c501addfe9.js, 0ddf166f7a343eda.wasm.
_NAME_WITH_DIGEST = re.compile(r"(^|[./])[0-9a-f]{16}\.")
_MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_INFLATE_CHUNK_BYTES = 256 * 1024

_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Hilum</title>
<h1>Hilum runs, its web pages were not built</h1>
<p>This installation was made without them (<code>HILUM_SKIP_WEB=1</code>). DICOM and DICOMweb work.</p>
<p>In a checkout, <code>pip install -e .</code> without that variable builds them.</p></html>"""

_PUBLIC_PATHS = frozenset({"/login", "/favicon.svg", "/third-party.txt"})
# The app's own pages; each answers with index.html and the app shows what belongs there.
_APP_PAGES = (
    *("/", "/login", "/about", "/studies/{study_uid}", "/network", "/remote", "/worklist"),
    *("/forwarding", "/forwarding/{tab}", "/jobs", "/jobs/{tab}"),
)


def is_public_path(path: str) -> bool:
    """Say whether `path` may be read without being signed in: the sign-in page and what it is made of."""
    return path in _PUBLIC_PATHS or path.startswith("/assets/")


@dataclass(frozen=True, slots=True)
class _Page:
    """One built file. `is_gzip`: only the gzip form is kept."""

    file: Path
    media_type: str
    is_gzip: bool
    etag: str
    cache_control: str
    policy: str

    def response(self, request: Request) -> Response:
        """Return the file in a form the caller takes, or 304 when it has the same already."""
        headers = {
            **_SECURITY_HEADERS,
            "Cache-Control": self.cache_control,
            "Content-Security-Policy": self.policy,
            "ETag": self.etag,
        }
        if self.is_gzip:
            headers["Vary"] = "Accept-Encoding"
        if self.etag in _entity_tags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        if not self.is_gzip:
            return FileResponse(self.file, headers=headers, media_type=self.media_type)
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
            return FileResponse(self.file, headers=headers, media_type=self.media_type)
        return StreamingResponse(_inflated(self.file), headers=headers, media_type=self.media_type)


def page_routes(directory: Path = WEB_DIRECTORY) -> list[BaseRoute]:
    """Return the routes of all pages, to be put behind the more special ones.

    Without built pages every page says how to build them, with status 503.
    """
    if not (directory / "app").is_dir():
        return [Route("/{path:path}", _not_built)]
    app = _catalogue(directory / "app", APP_POLICY, lambda name: name.startswith("assets/"))
    viewer = _catalogue(directory / "ohif", VIEWER_POLICY, lambda name: bool(_NAME_WITH_DIGEST.search(name)))
    notices = directory / "THIRD_PARTY.md"

    async def app_page(request: Request) -> Response:
        return app["index.html"].response(request)

    async def viewer_file(request: Request) -> Response:
        name = request.path_params["name"]
        # A mode of the viewer (viewer, segmentation, microscopy, ...) is a page; a missing file is not.
        page = viewer.get(name) or (viewer.get("index.html") if "." not in name.rpartition("/")[2] else None)
        return page.response(request) if page else _missing()

    async def app_file(request: Request) -> Response:
        page = app.get(request.path_params["name"])
        return page.response(request) if page else _missing()

    async def third_party(_request: Request) -> Response:
        return FileResponse(notices, media_type="text/plain; charset=utf-8", headers=_SECURITY_HEADERS)

    return [
        *(Route(path, app_page) for path in _APP_PAGES),
        Route("/ohif", _to_study_list),
        Route("/ohif/", _to_study_list),
        Route("/ohif/{name:path}", viewer_file),
        Route("/third-party.txt", third_party),
        Route("/{name:path}", app_file),
    ]


def _catalogue(directory: Path, policy: str, is_immutable: Callable[[str], bool]) -> dict[str, _Page]:
    pages: dict[str, _Page] = {}
    for file in sorted(directory.rglob("*")):
        if not file.is_file():
            continue
        name = file.relative_to(directory).as_posix()
        is_gzip = name.endswith(".gz")
        name = name.removesuffix(".gz")
        suffix = Path(name).suffix
        pages[name] = _Page(
            file=file,
            media_type=_MEDIA_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream",
            is_gzip=is_gzip,
            etag=f'W/"{hashlib.sha256(file.read_bytes()).hexdigest()[:20]}"',
            cache_control=_FOREVER if is_immutable(name) else _ASK_FIRST,
            policy=policy,
        )
    return pages


def _entity_tags(header: str) -> set[str]:
    return {tag.strip() for tag in header.split(",")}


def _takes_gzip(accept_encoding: str) -> bool:
    for item in accept_encoding.lower().split(","):
        coding, _, parameters = item.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            return not re.fullmatch(r"\s*q=0(\.0*)?\s*", parameters)
    return False


def _inflated(file: Path) -> Iterator[bytes]:
    with gzip.open(file) as content:
        while chunk := content.read(_INFLATE_CHUNK_BYTES):
            yield chunk


async def _to_study_list(_request: Request) -> Response:
    """The viewer's own study list is switched off; ours is the one."""
    return RedirectResponse("/", status_code=302)


async def _not_built(_request: Request) -> Response:
    return HTMLResponse(
        _NOT_BUILT, status_code=503, headers={**_SECURITY_HEADERS, "Content-Security-Policy": APP_POLICY}
    )


def _missing() -> Response:
    return PlainTextResponse("There is no such page.\n", status_code=404, headers=_SECURITY_HEADERS)
