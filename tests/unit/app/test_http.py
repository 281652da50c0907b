"""The request middleware and what the frameworks would answer by themselves: everything is a problem document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields
from typing import Any, cast

import httpx2
import pytest
from starlette.types import ASGIApp

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


def application(*, has_proxy: bool = False) -> ASGIApp:
    """Return the application with authentication switched off and every service broken."""
    broken = cast(Any, _Broken())

    async def is_ready() -> None:
        return

    return http_application(
        console=ConsoleServices(
            **{each.name: broken for each in fields(ConsoleServices)}
            | {"ae_title": "HILUM", "dicom_port": 11112, "session_seconds": 60}
        ),
        dicomweb=DicomwebServices(broken, broken, broken, broken, broken, broken),
        is_ready=is_ready,
        everyone=Principal(1, "someone", Tenant(1, "a"), frozenset({Role.ADMINISTRATOR})),
        has_proxy=has_proxy,
        open_metrics=False,
    )


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=application()), base_url="http://localhost"
    ) as asking:
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


@pytest.mark.parametrize("path", ["/dicom-web/studies/1.2", "/dicom-web/studies?limit=x", "/healthz", "/login"])
async def test_no_answer_is_sniffed_or_kept_by_caches_between(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] in ("private, no-cache", "no-cache")


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


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "10.0.0.7"])
async def test_this_machine_is_answered_without_signing_in(client: httpx2.AsyncClient, host: str) -> None:
    assert (await client.get("/dicom-web/studies?limit=x", headers={"Host": host})).status_code == 400


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil"])
async def test_page_whose_name_was_made_to_resolve_here_gets_nothing(client: httpx2.AsyncClient, host: str) -> None:
    answer = await client.get("/dicom-web/studies?limit=x", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["code"] == "host-name"


async def test_behind_a_proxy_any_name_will_do() -> None:
    transport = httpx2.ASGITransport(app=application(has_proxy=True))
    async with httpx2.AsyncClient(transport=transport, base_url="http://pacs.example") as asking:
        assert (await asking.get("/dicom-web/studies?limit=x")).status_code == 400


@pytest.mark.parametrize(
    "host", ["", "[", "[::1", "[:::::]", "a b", "a/b", "a@b", "a?b", "a#b", "a:b", "a:99999", "a\\b", "x" * 300, "a,b"]
)
async def test_host_that_is_none_is_refused_before_addresses_are_made_of_it(
    client: httpx2.AsyncClient, host: str
) -> None:
    answer = await client.get("/dicom-web/studies?limit=x", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json()["code"] == "host"
