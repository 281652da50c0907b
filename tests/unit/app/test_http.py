"""The request middleware and what the frameworks would answer by themselves: everything is a problem document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2
import pytest

from hilum.app.http import http_application
from hilum.archive.model import Principal, Role, Tenant
from hilum.console.api import ConsoleServices
from hilum.dicomweb import DicomwebServices
from hilum.kernel.limits import MAX_JSON_BODY_BYTES

NONE = cast(Any, None)
SECRET = "patient's name"


class _Broken:
    """Any service with a defect: what is asked of it fails in a way no family of errors describes."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(SECRET)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    broken = cast(Any, _Broken())

    async def is_ready() -> None:
        return

    application = http_application(
        console=ConsoleServices(identity=broken, ae_title="HILUM", dicom_port=lambda: 11112, session_seconds=60),
        dicomweb=DicomwebServices(broken, broken, broken, broken),
        is_ready=is_ready,
        everyone=Principal(1, "someone", Tenant(1, "a"), frozenset({Role.ADMINISTRATOR})),
        open_metrics=False,
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=application), base_url="http://test") as asking:
        yield asking


@pytest.mark.parametrize(("method", "path"), [("GET", "/dicom-web/studies/1.2/metadata"), ("POST", "/api/session")])
async def test_defect_is_a_problem_document_that_tells_nothing(
    client: httpx2.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, path, json={"username": "a", "password": "b"} if method == "POST" else None)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "internal"
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/dicom-web/nothing", 404),
        ("DELETE", "/dicom-web/studies", 405),
        ("GET", "/api/nothing", 404),
        ("PUT", "/api/session", 405),
    ],
)
async def test_unknown_address_or_method_is_a_problem_document(
    client: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("body", [b"[" * 50_000, b"\xff\xfe", b"[", b"null"])
async def test_unreadable_body_is_a_problem_document(client: httpx2.AsyncClient, body: bytes) -> None:
    answer = await client.post("/api/session", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


async def test_stranger_cannot_fill_the_memory_with_a_body(client: httpx2.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * MAX_JSON_BODY_BYTES:
            sent += 4096
            yield b" " * 4096

    answer = await client.post("/api/session", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["code"] == "body-too-large"
    assert sent <= 2 * MAX_JSON_BODY_BYTES
