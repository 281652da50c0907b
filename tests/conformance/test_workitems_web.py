"""PS3.18 §11: the same workitems over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from hilum.archive.model import Principal, Role, Tenant
from hilum.dicomweb import DicomwebServices, routes
from hilum.index.embedded import EmbeddedPostgres
from support.database import attributes_of, new_tenant
from support.in_process import InProcessArchive
from support.workitem_peer import telling_archive, workitem_peer
from support.workitems import STATION, discontinued, performed, workitem_attributes

DICOM_JSON = "application/dicom+json"
GLOBAL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
UNUSED: Any = object()


@pytest.fixture
async def archive(database: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[InProcessArchive]:
    async with telling_archive(database, tmp_path) as opened:
        yield opened


def client(archive: InProcessArchive, *, role: Role = Role.CONTRIBUTOR, tenant_id: int | None = None) -> Client:
    services = DicomwebServices(UNUSED, UNUSED, UNUSED, UNUSED, UNUSED, archive.archive.workitems)
    inner = Starlette(routes=routes(services))
    principal = Principal(1, "someone", Tenant(tenant_id or archive.tenant_id, "a"), frozenset({role}))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["principal"] = principal
        await inner(scope, receive, send)

    asgi: ASGIApp = app
    return Client(httpx2.AsyncClient(transport=httpx2.ASGITransport(app=asgi), base_url="http://test"))


class Client:
    """Sends data sets as DICOM JSON."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def send(self, method: str, path: str, content: Mapping[str, Any] | list[Any]) -> httpx2.Response:
        body = content if isinstance(content, list) else [content]
        return await self.http.request(method, path, json=body, headers={"Content-Type": DICOM_JSON})

    async def state(self, state: str, transaction_uid: str | None, uid: str = "1.2.3") -> httpx2.Response:
        values = {"ProcedureStepState": state} | ({"TransactionUID": transaction_uid} if transaction_uid else {})
        return await self.send("PUT", f"/workitems/{uid}/state", attributes_of(values))

    async def get(self, path: str) -> httpx2.Response:
        return await self.http.get(path)


async def test_a_workitem_goes_from_its_creation_to_its_end(archive: InProcessArchive) -> None:
    async with client(archive) as web:
        created = await web.send("POST", "/workitems?workitem=1.2.3", workitem_attributes(PatientName="Ö^山=田^太郎"))
        assert created.status_code == 201
        assert created.headers["location"] == "http://test/workitems/1.2.3"
        again = await web.send("POST", "/workitems?1.2.3", workitem_attributes())
        assert (again.status_code, again.json()["code"]) == (409, "workitem-exists")

        (workitem,) = (await web.get("/workitems/1.2.3")).json()
        assert workitem["00100010"]["Value"] == [{"Alphabetic": "Ö^山", "Ideographic": "田^太郎"}]
        assert workitem["00741000"]["Value"] == ["SCHEDULED"]
        assert workitem["00080018"]["Value"] == ["1.2.3"]

        assert (await web.state("COMPLETED", "1.7")).json()["code"] == "workitem-not-in-progress"
        assert (await web.state("IN PROGRESS", "1.7")).status_code == 200
        assert (await web.send("POST", "/workitems/1.2.3", performed())).status_code == 409
        assert (await web.send("POST", "/workitems/1.2.3?transaction-uid=1.8", performed())).status_code == 409
        assert (await web.state("COMPLETED", "1.7")).json()["code"] == "workitem-requirements"
        assert (await web.send("POST", "/workitems/1.2.3?1.7", performed())).status_code == 200
        assert (await web.state("COMPLETED", "1.7")).status_code == 200
        told = await web.state("COMPLETED", "1.7")
        assert (told.status_code, "already" in told.headers["warning"]) == (200, True)
        assert (await web.send("POST", "/workitems/1.2.3?1.7", performed())).json()["code"] == "workitem-final"
        (workitem,) = (await web.get("/workitems/1.2.3")).json()
        assert "00081195" not in workitem


async def test_what_is_created_over_http_is_there_over_dimse(archive: InProcessArchive) -> None:
    async with client(archive) as web, workitem_peer(archive, takes_events=True) as peer:
        await web.send("POST", "/workitems", workitem_attributes() | attributes_of({"SOPInstanceUID": "1.2.3"}))
        code, attributes = await peer.get()
        assert (code, attributes["00741202"]["Value"]) == (0, ["CAD"])
        assert await peer.change_state("IN PROGRESS", "1.7") == 0
        assert await peer.act(3, ReceivingAE="WORKSTATION", DeletionLock="FALSE") == 0
        await peer.event()
        answer = await web.send(
            "POST", "/workitems/1.2.3/cancelrequest/DESK", attributes_of({"ReasonForCancellation": "moved"})
        )
        assert answer.status_code == 202
        request, information = await peer.event()
        assert request.event_type_id == 2
        assert information["00741236"]["Value"] == ["DESK"]
        assert (await web.state("CANCELED", "1.7")).json()["code"] == "workitem-requirements"
        assert (await web.send("POST", "/workitems/1.2.3?1.7", discontinued())).status_code == 200
        assert (await web.state("CANCELED", "1.7")).status_code == 200


async def test_a_scheduled_workitem_is_canceled_on_request(archive: InProcessArchive) -> None:
    async with client(archive) as web:
        await web.send("POST", "/workitems?workitem=1.2.3", workitem_attributes())
        assert (await web.http.post("/workitems/1.2.3/cancelrequest")).status_code == 202
        again = await web.http.post("/workitems/1.2.3/cancelrequest")
        assert (again.status_code, "CANCELED" in again.headers["warning"]) == (202, True)
        assert (await web.http.post("/workitems/1.2.4/cancelrequest")).status_code == 404


async def test_searches_match_and_page(archive: InProcessArchive) -> None:
    async with client(archive) as web:
        assert (await web.get("/workitems")).status_code == 204
        for number in range(3):
            await web.send("POST", f"/workitems?workitem=1.2.{number}", workitem_attributes(PatientID=f"P{number}"))
        await web.send(
            "POST", "/workitems?workitem=1.2.9", workitem_attributes(ScheduledStationNameCodeSequence=STATION)
        )

        async def found(query: str) -> list[str]:
            response = await web.get(f"/workitems?{query}")
            return [each["00080018"]["Value"][0] for each in response.json()] if response.content else []

        assert await found("PatientID=P1&ProcedureStepState=SCHEDULED") == ["1.2.1", "1.2.9"]
        assert await found("ScheduledStationNameCodeSequence.CodeValue=CADSRV1") == ["1.2.9"]
        assert await found("0040A370.00080050=A1&limit=2&offset=1") == ["1.2.1", "1.2.2"]
        assert await found("ScheduledProcedureStepStartDateTime=20270101-") == []
        assert (await web.get("/workitems?ScheduledProcedureStepStartDateTime=soon")).status_code == 400


async def test_subscribers_are_registered_application_entities(archive: InProcessArchive) -> None:
    async with client(archive) as web, workitem_peer(archive, takes_events=True) as peer:
        path = f"/workitems/{FILTERED}/subscribers/WORKSTATION"
        assert (await web.http.post(path)).status_code == 404
        await archive.register("WORKSTATION", None, host=None)
        assert (await web.http.post(path)).status_code == 400
        filters = "filter=WorklistLabel=3D,ReferencedRequestSequence.AccessionNumber=A*"
        assert (await web.http.post(f"{path}?deletionlock=true&{filters}")).status_code == 201
        await web.send("POST", "/workitems?workitem=1.2.1", workitem_attributes())
        await web.send("POST", "/workitems?workitem=1.2.2", workitem_attributes(WorklistLabel="3D"))
        request, _ = await peer.event()
        assert request.affected_sop_instance_uid == "1.2.2"
        assert (await web.http.post(f"{path}/suspend")).status_code == 200
        assert (await web.http.delete("/workitems/1.2.2/subscribers/WORKSTATION")).status_code == 200
        assert (await web.http.post("/workitems/1.2.2/subscribers/WORKSTATION/suspend")).status_code == 409
        assert (await web.http.delete("/workitems/1.2.7/subscribers/WORKSTATION")).status_code == 404


async def test_created_with_less_than_was_sent_is_said(archive: InProcessArchive) -> None:
    async with client(archive) as web:
        answer = await web.send("POST", "/workitems?workitem=1.2.3", workitem_attributes() | performed())
        assert (answer.status_code, "with modifications" in answer.headers["warning"]) == (201, True)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        ([], 400, "invalid-dicom-json"),
        ([{}, {}], 400, "invalid-dicom-json"),
        ([{"PatientID": {"vr": "LO", "Value": ["P"]}}], 400, "invalid-dicom-json"),
        ([{"00100020": "P"}], 400, "invalid-dicom-json"),
        ([{"00100020": {"vr": "LO", "Value": "P"}}], 400, "invalid-dicom-json"),
        ([{"00100020": {"vr": 7, "Value": ["P"]}}], 400, "invalid-dicom-json"),
        ([{"00100020": {"vr": "LO", "Value": [["P"]]}}], 400, "invalid-dicom-json"),
        ([{"00404025": {"vr": "SQ", "Value": ["P"]}}], 400, "invalid-dicom-json"),
        ([{}], 400, "missing-attribute"),
        ([workitem_attributes(ProcedureStepState="COMPLETED")], 400, "workitem-not-scheduled"),
        ([workitem_attributes(ScheduledProcedureStepPriority="STAT")], 400, "invalid-attribute"),
    ],
)
async def test_a_body_that_is_no_workitem_is_refused(
    archive: InProcessArchive, content: list[Any], status: int, code: str
) -> None:
    async with client(archive) as web:
        answer = await web.send("POST", "/workitems?workitem=1.2.3", content)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_bodies_of_other_kinds_are_refused(archive: InProcessArchive) -> None:
    async with client(archive) as web:
        answer = await web.http.post("/workitems", content=b"<xml/>", headers={"Content-Type": "application/dicom+xml"})
        assert answer.status_code == 415
        answer = await web.http.post("/workitems", content=b"{", headers={"Content-Type": DICOM_JSON})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-json")
        assert (await web.get("/workitems/x")).status_code == 400
        assert (await web.get("/workitems/1.2.3")).status_code == 404


async def test_readers_read_and_other_tenants_do_not(database: EmbeddedPostgres, archive: InProcessArchive) -> None:
    other = await new_tenant(database.app_address())
    async with (
        client(archive) as web,
        client(archive, role=Role.READER) as reader,
        client(archive, tenant_id=other) as stranger,
    ):
        await web.send("POST", "/workitems?workitem=1.2.3", workitem_attributes())
        assert (await reader.get("/workitems/1.2.3")).status_code == 200
        assert (await reader.state("IN PROGRESS", "1.7")).status_code == 403
        assert (await stranger.get("/workitems/1.2.3")).status_code == 404
        assert (await stranger.get("/workitems")).status_code == 204
        assert (await stranger.state("IN PROGRESS", "1.7")).status_code == 404
