"""The worklist's API over services with a worklist in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from hilum.archive.model import Principal, Role, Tenant
from hilum.archive.worklist import FIELDS, MULTIPLE_FIELDS, REQUIRED_FIELDS
from hilum.console.api import HTTP_STATUS
from hilum.console.worklist import StepFields, WorklistServices, worklist_routes
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import HilumError
from hilum.services.worklist import WorklistService
from support.worklist import MemoryWorklist

STEP = {
    "patient_name": "Yamada^Tarou=山田^太郎",
    "patient_id": "P1",
    "modality": "CT",
    "scheduled_station_ae_title": ["CT1", "CT2"],
    "scheduled_procedure_step_start_date": "2026-01-05",
    "scheduled_procedure_step_start_time": "10:15:00",
    "scheduled_procedure_step_description": "CT Thorax",
}


class As:
    """Lets every request be a principal's."""

    def __init__(self, app: ASGIApp, tenant_id: int, role: Role) -> None:
        self._app = app
        self._principal = Principal(1, "someone", Tenant(tenant_id, "a"), frozenset({role}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope | {"state": {"principal": self._principal}}, receive, send)


@pytest.fixture
def api() -> FastAPI:
    worklist = WorklistService(MemoryWorklist(), SystemClock())
    # What was performed of items is tested with real modalities.
    application = FastAPI()
    application.include_router(worklist_routes(WorklistServices(worklist, cast(Any, None), cast(Any, None))))

    @application.exception_handler(HilumError)
    async def answer(_request: Request, error: HilumError) -> Response:
        status = next(HTTP_STATUS[family] for family in type(error).__mro__ if family in HTTP_STATUS)
        return JSONResponse({"detail": error.message, "code": error.reason_code}, status_code=status)

    return application


def client_of(api: FastAPI, tenant_id: int = 1, role: Role = Role.CONTRIBUTOR) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=As(api, tenant_id, role)), base_url="http://localhost")


@pytest.fixture
async def client(api: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(api) as client:
        yield client


async def scheduled(client: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/worklist", json=STEP | fields)
    assert answer.status_code == 201, answer.text
    return cast(dict[str, Any], answer.json())


async def listed(client: httpx2.AsyncClient, **query: Any) -> list[str]:
    answer = await client.get("/worklist", params=query)
    assert answer.status_code == 200, answer.text
    return [item["patient_id"] for item in answer.json()["items"]]


def test_every_field_of_the_worklist_is_one_of_the_api() -> None:
    fields = StepFields.model_fields
    assert fields.keys() == FIELDS.keys() | {"attributes"}
    assert {name for name in FIELDS if "list" in str(fields[name].annotation)} == MULTIPLE_FIELDS


class TestScheduling:
    """POST /worklist."""

    async def test_fields_come_back_as_they_were_given_and_as_a_data_set(self, client: httpx2.AsyncClient) -> None:
        item = await scheduled(client, patient_birth_date="1970-02-28", patient_weight=70.5, patient_sex="F")
        assert {name: item[name] for name in STEP} == STEP
        assert (item["patient_birth_date"], item["patient_weight"]) == ("1970-02-28", 70.5)
        assert item["status"] == "SCHEDULED"
        attributes = item["attributes"]
        assert attributes["00100010"]["Value"] == [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]
        (step,) = attributes["00400100"]["Value"]
        assert step["00400001"] == {"vr": "AE", "Value": ["CT1", "CT2"]}
        assert step["00400002"]["Value"] == ["20260105"]
        assert step["00400003"]["Value"] == ["101500"]
        assert step["00400020"]["Value"] == ["SCHEDULED"]

    async def test_what_is_missing_and_can_be_made_is_made(self, client: httpx2.AsyncClient) -> None:
        first, second = await scheduled(client), await scheduled(client)
        for name in ("study_instance_uid", "scheduled_procedure_step_id", "requested_procedure_id"):
            assert first[name]
            assert first[name] != second[name]
        assert first["study_instance_uid"].startswith("2.25.")
        assert len(first["scheduled_procedure_step_id"]) <= 16
        assert first["requested_procedure_description"] == "CT Thorax"

    async def test_what_is_given_is_kept(self, client: httpx2.AsyncClient) -> None:
        given = {"study_instance_uid": "1.2.3", "scheduled_procedure_step_id": "S1", "requested_procedure_id": "R1"}
        item = await scheduled(client, **given, requested_procedure_description="Thorax")
        assert {name: item[name] for name in given} == given
        assert item["requested_procedure_description"] == "Thorax"

    async def test_a_data_set_alone_will_do(self, client: httpx2.AsyncClient) -> None:
        attributes = (await scheduled(client))["attributes"]
        attributes["0020000D"] = {"vr": "UI", "Value": ["1.2.3"]}
        attributes["00080005"] = {"vr": "CS", "Value": ["ISO_IR 100"]}
        attributes["00400100"]["Value"][0]["00400020"]["Value"] = ["ARRIVED"]
        attributes["00321064"] = {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["71250"]}}]}
        answer = await client.post("/worklist", json={"attributes": attributes})
        assert answer.status_code == 201, answer.text
        item = answer.json()
        assert item["status"] == "ARRIVED"
        del attributes["00080005"]
        assert item["attributes"] == attributes

    @pytest.mark.parametrize("name", [*REQUIRED_FIELDS, "scheduled_procedure_step_description"])
    async def test_what_is_missing_and_cannot_be_made_is_named(self, client: httpx2.AsyncClient, name: str) -> None:
        answer = await client.post("/worklist", json={key: value for key, value in STEP.items() if key != name})
        assert answer.status_code == 400
        assert answer.json()["detail"] == f"{name} is missing"
        assert answer.json()["code"] == "missing-value"

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"modality": "ct"}, "modality"),
            ({"patient_id": "x" * 65}, "patient_id"),
            ({"patient_name": "a^b^c^d^e^f"}, "patient_name"),
            ({"patient_name": "Doe\\Jane"}, "patient_name"),
            ({"study_instance_uid": "1.02"}, "study_instance_uid"),
            ({"scheduled_station_ae_title": ["x" * 17]}, "scheduled_station_ae_title"),
            ({"scheduled_station_ae_title": [f"CT{n}" for n in range(40)]}, "scheduled_station_ae_title"),
            ({"scheduled_procedure_step_start_time": "10:15:00+01:00"}, "scheduled_procedure_step_start_time"),
            ({"pregnancy_status": -1}, "pregnancy_status"),
            ({"attributes": {"00100010": {"vr": "LO"}}}, "PatientName"),
            ({"attributes": {"00080050": {"vr": "SH", "Value": ["1", "2"]}}}, "accession_number"),
            ({"attributes": {"00400100": {"vr": "SQ", "Value": [{}, {}]}}}, "ScheduledProcedureStepSequence"),
            (
                {"attributes": {"00400100": {"vr": "SQ", "Value": [{"00400020": {"vr": "CS", "Value": ["X"]}}]}}},
                "status",
            ),
        ],
    )
    async def test_an_unsound_value_is_refused_by_the_name_of_its_field(
        self, client: httpx2.AsyncClient, fields: dict[str, Any], named: str
    ) -> None:
        answer = await client.post("/worklist", json=STEP | fields)
        assert answer.status_code == 400, answer.text
        assert answer.json()["detail"].startswith(named)

    @pytest.mark.parametrize(
        "field", ["patient_birth_date", "scheduled_procedure_step_start_date", "status", "nonsense"]
    )
    async def test_a_field_of_another_form_is_refused_by_its_name(self, client: httpx2.AsyncClient, field: str) -> None:
        answer = await client.post("/worklist", json=STEP | {field: "2026-02-30"})
        assert answer.status_code == 422  # 400 in the console API, which answers the framework's refusals itself
        assert answer.json()["detail"][0]["loc"] == ["body", field]

    async def test_a_study_has_a_step_once(self, client: httpx2.AsyncClient) -> None:
        names = {"study_instance_uid": "1.2.3", "scheduled_procedure_step_id": "S1"}
        await scheduled(client, **names)
        assert (await client.post("/worklist", json=STEP | names)).status_code == 409


class TestChanges:
    """PATCH and DELETE /worklist/{item_id}."""

    async def test_what_is_left_out_stays_and_null_takes_away(self, client: httpx2.AsyncClient) -> None:
        item = await scheduled(client, accession_number="A1", patient_sex="F")
        change = {"accession_number": None, "modality": "MR", "attributes": {"00102180": {"vr": "SH", "Value": ["x"]}}}
        answer = await client.patch(f"/worklist/{item['item_id']}", json=change)
        assert answer.status_code == 200, answer.text
        changed = answer.json()
        assert (changed["accession_number"], changed["modality"], changed["patient_sex"]) == (None, "MR", "F")
        assert changed["attributes"]["00102180"]["Value"] == ["x"]
        assert changed["created_at"] == item["created_at"]
        assert changed["study_instance_uid"] == item["study_instance_uid"]

    async def test_attributes_of_the_step_change_one_by_one(self, client: httpx2.AsyncClient) -> None:
        item = await scheduled(client)
        step = {"00400400": {"vr": "LT", "Value": ["fasting"]}}
        change = {"attributes": {"00400100": {"vr": "SQ", "Value": [step]}}}
        changed = (await client.patch(f"/worklist/{item['item_id']}", json=change)).json()
        assert changed["comments_on_the_scheduled_procedure_step"] == "fasting"
        assert changed["modality"] == "CT"

    @pytest.mark.parametrize("name", [*REQUIRED_FIELDS, "study_instance_uid"])
    async def test_what_is_needed_cannot_be_taken_away(self, client: httpx2.AsyncClient, name: str) -> None:
        item = await scheduled(client)
        value: Any = [] if name in MULTIPLE_FIELDS else None
        answer = await client.patch(f"/worklist/{item['item_id']}", json={name: value})
        assert answer.status_code == 400
        assert answer.json()["detail"] == f"{name} is missing"

    async def test_a_status_leads_to_some_others(self, client: httpx2.AsyncClient) -> None:
        item = await scheduled(client)
        path = f"/worklist/{item['item_id']}"
        for status, code in [
            ("ARRIVED", 200),
            ("ARRIVED", 200),
            ("STARTED", 200),
            ("SCHEDULED", 409),
            ("DISCONTINUED", 200),
            ("SCHEDULED", 200),
            ("COMPLETED", 200),
            ("SCHEDULED", 409),
        ]:
            assert (await client.patch(path, json={"status": status})).status_code == code, status

    async def test_an_item_that_is_not_there_is_not_found(self, client: httpx2.AsyncClient) -> None:
        assert (await client.patch("/worklist/7", json={})).status_code == 404
        assert (await client.get("/worklist/7")).status_code == 404
        assert (await client.delete("/worklist/7")).status_code == 404
        assert (await client.delete(f"/worklist/{2**64}")).status_code == 422

    async def test_a_removed_item_is_gone(self, client: httpx2.AsyncClient) -> None:
        item = await scheduled(client)
        assert (await client.delete(f"/worklist/{item['item_id']}")).status_code == 204
        assert await listed(client) == []


class TestSearch:
    """GET /worklist."""

    async def test_each_parameter_narrows(self, client: httpx2.AsyncClient) -> None:
        await scheduled(client, patient_id="A", patient_name="Müller^Jörg", accession_number="N1")
        await scheduled(client, patient_id="B", modality="MR", scheduled_station_ae_title=["MR1"])
        await scheduled(client, patient_id="C", scheduled_procedure_step_start_date="2026-01-07", status="ARRIVED")
        await scheduled(client, patient_id="D", status="CANCELED", study_instance_uid="1.2.3")
        for query, expected in [
            ({}, "ABC"),
            ({"all": True}, "ABCD"),
            ({"status": "CANCELED"}, "D"),
            ({"status": ["CANCELED", "ARRIVED"]}, "CD"),
            ({"modality": "MR"}, "B"),
            ({"station": "CT2"}, "AC"),
            ({"station": "CT*"}, "AC"),
            ({"patient_name": "jorg mul"}, "A"),
            ({"patient_name": "tar"}, "BC"),
            ({"patient_id": "C"}, "C"),
            ({"patient_id": "?"}, "ABC"),
            ({"accession_number": "N*"}, "A"),
            ({"study_instance_uid": "1.2.3", "all": True}, "D"),
            ({"date_from": "2026-01-06"}, "C"),
            ({"date_to": "2026-01-06"}, "AB"),
            ({"date_from": "2026-01-05", "date_to": "2026-01-05"}, "AB"),
        ]:
            assert "".join(sorted(await listed(client, **query))) == expected, query

    async def test_pages_tell_how_many_there_are_in_all(self, client: httpx2.AsyncClient) -> None:
        for number in range(5):
            await scheduled(client, patient_id=str(number))
        answer = (await client.get("/worklist", params={"limit": 2, "offset": 4})).json()
        assert (len(answer["items"]), answer["total"]) == (1, 5)

    @pytest.mark.parametrize(
        "query",
        [
            {"date_from": "2026-01-06", "date_to": "2026-01-05"},
            {"study_instance_uid": "x"},
            {"patient_id": "\0"},
        ],
    )
    async def test_a_query_that_makes_no_sense_is_refused_by_its_parameter(
        self, client: httpx2.AsyncClient, query: dict[str, str]
    ) -> None:
        answer = await client.get("/worklist", params=query)
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(next(iter(query)))

    @pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 100_000}, {"offset": -1}, {"nonsense": 1}])
    async def test_parameters_have_bounds(self, client: httpx2.AsyncClient, query: dict[str, int]) -> None:
        assert (await client.get("/worklist", params=query)).status_code == 422


async def test_a_reader_looks_and_does_not_change(api: FastAPI) -> None:
    async with client_of(api) as contributor, client_of(api, role=Role.READER) as reader:
        item = await scheduled(contributor)
        assert await listed(reader) == ["P1"]
        path = f"/worklist/{item['item_id']}"
        assert (await reader.post("/worklist", json=STEP)).status_code == 403
        assert (await reader.patch(path, json={"modality": "MR"})).status_code == 403
        assert (await reader.delete(path)).status_code == 403
        assert len(await listed(contributor)) == 1


async def test_nobody_sees_another_tenants_items(api: FastAPI) -> None:
    async with client_of(api, 1) as mine, client_of(api, 2, Role.ADMINISTRATOR) as theirs:
        item = await scheduled(mine)
        path = f"/worklist/{item['item_id']}"
        assert await listed(theirs, all=True) == []
        assert (await theirs.get(path)).status_code == 404
        assert (await theirs.patch(path, json={"modality": "MR"})).status_code == 404
        assert (await theirs.delete(path)).status_code == 404
        assert await listed(mine) == ["P1"]
