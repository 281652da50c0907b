"""Who may do what at this door, and which resources there are."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from hilum.archive.model import Principal, Role, Tenant
from hilum.dicomweb import DicomwebServices, routes

UNUSED: Any = object()
STUDY = "/studies/1.2"
SERIES = STUDY + "/series/1.3"
INSTANCE = SERIES + "/instances/1.4"
READING = [
    "/studies", "/series", "/instances", STUDY, SERIES, INSTANCE, STUDY + "/series", STUDY + "/instances",
    SERIES + "/instances", INSTANCE + "/frames/1", INSTANCE + "/bulkdata/00420011",
    *(level + what for level in (STUDY, SERIES, INSTANCE) for what in ("/metadata", "/rendered", "/thumbnail")),
    INSTANCE + "/frames/1/rendered", INSTANCE + "/frames/1/thumbnail",
]  # fmt: skip


def client(*roles: Role) -> httpx2.AsyncClient:
    """Return a client of the routes as someone with these roles; the services are not to be reached."""
    inner = Starlette(routes=routes(DicomwebServices(UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, UNUSED)))
    principal = Principal(1, "someone", Tenant(1, "a"), frozenset(roles))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["principal"] = principal
        await inner(scope, receive, send)

    asgi: ASGIApp = app
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=asgi), base_url="http://test")


class TestPermissions:
    """Reading and storing are asked for before a service is."""

    @pytest.mark.parametrize("path", READING)
    async def test_nothing_is_read_without_a_role(self, path: str) -> None:
        async with client() as asking:
            response = await asking.get(path)
        assert response.status_code == 403
        assert response.json()["code"] == "permission"

    @pytest.mark.parametrize("path", ["/studies", STUDY])
    async def test_reader_may_not_store(self, path: str) -> None:
        async with client(Role.READER) as asking:
            response = await asking.post(path, content=b"x", headers={"Content-Type": "application/dicom"})
        assert response.status_code == 403

    @pytest.mark.parametrize(("method", "path"), [("DELETE", STUDY), ("PUT", "/studies"), ("POST", SERIES)])
    async def test_other_methods_are_not_there(self, method: str, path: str) -> None:
        async with client(Role.ADMINISTRATOR) as asking:
            assert (await asking.request(method, path)).status_code == 405

    async def test_bad_requests_are_refused_before_a_service_is_asked(self) -> None:
        async with client(Role.ADMINISTRATOR) as asking:
            assert (await asking.get("/studies?limit=x")).status_code == 400
            assert (await asking.get("/studies", headers={"Accept": "text/csv"})).status_code == 406
            assert (await asking.get("/studies/x/metadata")).status_code == 400
            assert (await asking.get(INSTANCE + "/frames/0")).status_code == 400
            answer = await asking.post("/studies", content=b"x", headers={"Content-Type": "text/plain"})
            assert answer.status_code == 415
