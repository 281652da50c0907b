"""UPS-RS: workitems are created, read, changed, taken, finished, canceled, found and watched (PS3.18 §11)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from hilum.archive.model import DicomJson, Permission
from hilum.archive.query import Level
from hilum.archive.workitems import WorkitemQuery, WorkitemState, WorkitemWarning
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.dictionary import path_of, vr_of
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, is_valid_uid
from hilum.dicomweb.address import base_url
from hilum.dicomweb.answers import document
from hilum.dicomweb.negotiation import DICOM_JSON, choose_document
from hilum.dicomweb.query_parameters import parse_search
from hilum.kernel.errors import InvalidInput, LimitExceeded, Unsupported
from hilum.kernel.limits import MAX_IDENTIFIER_BYTES, MAX_SEQUENCE_DEPTH, MAX_UID_LENGTH
from hilum.multipart import parse_content_type
from hilum.policies.workitems import first_value
from hilum.services.workitems import WorkitemService, Written

Handler = Callable[[Request], Awaitable[Response]]

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)
_UID_CHARACTERS: Final = frozenset("0123456789.")
_MAX_AE_TITLE_LENGTH: Final = 16
# Group 0000 names the instance outside of a command set; it is no attribute of a workitem.
_AFFECTED_UID: Final = "00001000"
_WARNINGS: Final[Mapping[WorkitemWarning, str]] = {
    WorkitemWarning.MODIFIED: "The UPS was created with modifications.",
    WorkitemWarning.ALREADY_CANCELED: "The UPS is already in the requested state of CANCELED.",
    WorkitemWarning.ALREADY_COMPLETED: "The UPS is already in the requested state of COMPLETED.",
}


def workitem_handlers(service: WorkitemService) -> list[tuple[str, str, Permission, Handler]]:
    """Return path, method, needed permission and handler of each transaction.

    Reference: PS3.18 §11.1, §11.3
    """
    door = _Door(service)
    read, write = Permission.READ, Permission.STORE
    item, subscriber = "/workitems/{workitem}", "/workitems/{workitem}/subscribers/{ae_title}"
    return [
        ("/workitems", "POST", write, door.create),
        ("/workitems", "GET", read, door.search),
        (item, "GET", read, door.retrieve),
        (item, "POST", write, door.update),
        (item + "/state", "PUT", write, door.change_state),
        (item + "/state/{requester}", "PUT", write, door.change_state),
        (item + "/cancelrequest", "POST", write, door.request_cancellation),
        (item + "/cancelrequest/{requester}", "POST", write, door.request_cancellation),
        (subscriber, "POST", write, door.subscribe),
        (subscriber, "DELETE", write, door.unsubscribe),
        (subscriber + "/suspend", "POST", write, door.suspend),
    ]


class _Door:
    """The transactions over one service."""

    def __init__(self, service: WorkitemService) -> None:
        self._service = service

    async def create(self, request: Request) -> Response:
        """Keep a new workitem: 201 with its address. PS3.18 §11.4."""
        attributes = await _body(request)
        named = attributes.pop(_AFFECTED_UID, None)
        uid = _query_uid(request, "workitem") or next(iter((named or {}).get("Value", ())), None)
        uid = uid or first_value(attributes, "SOPInstanceUID")
        written = await self._service.create_workitem(_tenant(request), attributes, uid)
        address = f"{base_url(request)}/workitems/{written.workitem.sop_instance_uid}"
        headers = {"Location": address, "Content-Location": address} | _warning(request, written)
        return Response(status_code=201, headers=headers)

    async def retrieve(self, request: Request) -> Response:
        """Answer with the workitem. PS3.18 §11.5."""
        form = choose_document(request)
        workitem = await self._service.read_workitem(_tenant(request), _path_uid(request))
        return document([workitem.attributes], form, {})

    async def update(self, request: Request) -> Response:
        """Change attributes. PS3.18 §11.6."""
        modifications = await _body(request)
        transaction_uid = _query_uid(request, "transaction-uid") or first_value(modifications, "TransactionUID")
        uid = _path_uid(request)
        written = await self._service.change_workitem(_tenant(request), uid, modifications, transaction_uid)
        address = f"{base_url(request)}/workitems/{uid}"
        return Response(status_code=200, headers={"Content-Location": address} | _warning(request, written))

    async def change_state(self, request: Request) -> Response:
        """Bring the workitem to a state. PS3.18 §11.7."""
        information = await _body(request)
        try:
            state = WorkitemState(str(first_value(information, "ProcedureStepState")))
        except ValueError as error:
            raise InvalidInput(
                "ProcedureStepState is missing or no state.", code="invalid-argument", attribute="ProcedureStepState"
            ) from error
        written = await self._service.change_workitem_state(
            _tenant(request),
            _path_uid(request),
            state,
            first_value(information, "TransactionUID"),
            _requester(request),
        )
        return Response(status_code=200, headers=_warning(request, written))

    async def request_cancellation(self, request: Request) -> Response:
        """Cancel the workitem or ask its performer to. PS3.18 §11.8."""
        information = await _body(request, may_be_empty=True)
        written = await self._service.request_cancellation(
            _tenant(request), _path_uid(request), information, _requester(request)
        )
        return Response(status_code=202, headers=_warning(request, written))

    async def search(self, request: Request) -> Response:
        """Answer with the workitems that match: 200, 206 when there are more, 204 when there are none. PS3.18 §11.9."""
        form = choose_document(request)
        parsed = parse_search(Level.STUDY, None, request.query_params.multi_items())
        limit, offset = parsed.query.limit, parsed.query.offset
        # One more than asked for tells whether there are more.
        query = WorkitemQuery(parsed.query.matches, limit + 1, offset)
        found: list[DicomJson] = []
        if limit:
            async with aclosing(self._service.search_workitems(_tenant(request), query)) as matches:
                found = [each async for each in matches]
        if not found:
            return Response(status_code=204)
        has_more = len(found) > limit and parsed.is_limit_ours
        response = document(found[:limit], form, {})
        if has_more:
            response.status_code = 206
            text = "There are additional results that can be requested with offset."
            response.headers["Warning"] = f'299 {request.url.netloc} "{text}"'
        return response

    async def subscribe(self, request: Request) -> Response:
        """Subscribe a registered application entity; events go there by DIMSE. PS3.18 §11.10."""
        parameters = request.query_params
        await self._service.subscribe(
            _tenant(request),
            _path_uid(request),
            _ae_title(request),
            has_deletion_lock=parameters.get("deletionlock", "").lower() == "true",
            keys=_filter(parameters.getlist("filter")),
        )
        return Response(status_code=201)

    async def unsubscribe(self, request: Request) -> Response:
        """End a subscription. PS3.18 §11.11."""
        await self._service.unsubscribe(_tenant(request), _path_uid(request), _ae_title(request))
        return Response(status_code=200)

    async def suspend(self, request: Request) -> Response:
        """End a global subscription for workitems to come. PS3.18 §11.12."""
        await self._service.suspend(_tenant(request), _path_uid(request), _ae_title(request))
        return Response(status_code=200)


def _tenant(request: Request) -> int:
    tenant_id: int = request.state.principal.tenant.tenant_id
    return tenant_id


def _requester(request: Request) -> str:
    """Return who asks: the application entity the path names, else the user."""
    return str(request.path_params.get("requester") or request.state.principal.name)


def _path_uid(request: Request) -> str:
    uid: str = request.path_params["workitem"]
    if not 0 < len(uid) <= MAX_UID_LENGTH or not _UID_CHARACTERS.issuperset(uid):
        raise InvalidInput("The workitem in the path is no UID.", code="invalid-uid", attribute="workitem")
    return uid


def _query_uid(request: Request, name: str) -> str | None:
    """Return a UID of the query: by name, or standing alone as some clients send it."""
    uid = request.query_params.get(name) or request.url.query or None
    return uid if uid is not None and is_valid_uid(uid) else None


def _ae_title(request: Request) -> str:
    title: str = request.path_params["ae_title"].strip()
    if not 0 < len(title) <= _MAX_AE_TITLE_LENGTH or not title.isascii() or not title.isprintable():
        raise InvalidInput("The path names no AE title.", code="ae-title")
    return title


def _warning(request: Request, written: Written) -> dict[str, str]:
    if written.warning is None:
        return {}
    return {"Warning": f'299 {request.url.netloc} "{_WARNINGS[written.warning]}"'}


def _filter(filters: list[str]) -> DicomJson:
    """Return the matching keys of a filtered subscription: `attribute=value` pairs parted by commas."""
    keys: DicomJson = {}
    for pair in (piece for text in filters for piece in text.split(",") if piece):
        name, _, value = pair.partition("=")
        path = path_of(name.strip())
        level = keys
        for tag in path[:-1]:
            element = level.setdefault(tag, {"vr": "SQ", "Value": [{}]})
            level = element["Value"][0]
        level[path[-1]] = {"vr": vr_of(path[-1]), "Value": [value]}
    return keys


async def _body(request: Request, *, may_be_empty: bool = False) -> DicomJson:
    """Return the one data set of the body, as it would have come over DIMSE.

    Raises:
        Unsupported: the body is no DICOM JSON.
        LimitExceeded: it is too long.
        InvalidInput: it is not one data set, or a value does not fit its attribute.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_IDENTIFIER_BYTES:
            raise LimitExceeded(f"A workitem is limited to {MAX_IDENTIFIER_BYTES} bytes.", code="body-too-large")
    if not data and may_be_empty:
        return {}
    media_type = parse_content_type(request.headers.get("content-type", "") or "missing/missing").media_type
    if media_type not in (DICOM_JSON, "application/json"):
        raise Unsupported("Workitems are taken as application/dicom+json.", code="unsupported-media-type")
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidInput("The body is no JSON.", code="invalid-json") from error
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    attributes = _data_set(content, 0)
    command = {tag: attributes.pop(tag) for tag in list(attributes) if tag.startswith("0000")}
    written = write_data_set(dict(sorted(attributes.items())), EXPLICIT_VR_LITTLE_ENDIAN)
    return {tag: command[tag] for tag in command if tag == _AFFECTED_UID} | read_data_set(
        written, EXPLICIT_VR_LITTLE_ENDIAN
    )


def _data_set(content: Any, depth: int) -> DicomJson:
    """Return a data set of the DICOM JSON model whose form is sound; values are checked when they are written."""
    if not isinstance(content, dict) or depth > MAX_SEQUENCE_DEPTH:
        raise _malformed()
    attributes: DicomJson = {}
    for tag, element in content.items():
        if not _TAG.fullmatch(tag) or not isinstance(element, dict):
            raise _malformed()
        vr, values = element.get("vr") or vr_of(tag.upper()), element.get("Value", [])
        if not isinstance(vr, str) or len(vr) != 2 or not isinstance(values, list):
            raise _malformed()
        kept: dict[str, Any] = {"vr": vr}
        if vr == "SQ":
            kept["Value"] = [_data_set({} if item is None else item, depth + 1) for item in values]
        elif any(not isinstance(value, str | int | float | dict | None) for value in values):
            raise _malformed()
        elif values:
            kept["Value"] = values
        elif isinstance(element.get("InlineBinary"), str):
            kept["InlineBinary"] = element["InlineBinary"]
        attributes[tag.upper()] = kept
    return attributes


def _malformed() -> InvalidInput:
    return InvalidInput("The body is not one data set of the DICOM JSON model.", code="invalid-dicom-json")
