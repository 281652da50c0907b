"""A peer of unified procedure steps that says exactly what a test wants, over a real socket."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from hilum.app.dimse_server import start_dimse
from hilum.app.settings import Settings
from hilum.app.workitems import start_workitem_events
from hilum.archive.model import DicomJson
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dimse.command_set import decode_command_set
from hilum.dimse.messages import (
    CFindRequest,
    Message,
    NActionRequest,
    NCreateRequest,
    NEventReportRequest,
    NEventReportResponse,
    NGetRequest,
    NSetRequest,
    Request,
    Response,
)
from hilum.dimse.status import is_pending
from hilum.index.embedded import EmbeddedPostgres
from hilum.scp.workitem_subscribers import PresentSubscribers
from hilum.ul.primitives import PData, ProposedContext
from support.database import attributes_of
from support.dimse import EXPLICIT, Peer, association_request
from support.in_process import InProcessArchive, in_process_archive

PUSH, WATCH, PULL, EVENT, QUERY = (f"1.2.840.10008.5.1.4.34.6.{number}" for number in range(1, 6))
CONTEXTS = {sop_class: 2 * number + 1 for number, sop_class in enumerate((PUSH, WATCH, PULL, EVENT, QUERY))}


class WorkitemPeer:
    """Asks one thing at a time; events that come meanwhile are answered with success and kept."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._message_id = 0
        self._pieces: list[tuple[Message, bytes]] = []
        self._command: Message | None = None
        self._data = bytearray()
        self.events: list[tuple[NEventReportRequest, DicomJson]] = []

    async def _message(self) -> tuple[Message, DicomJson]:
        """Return the next message with its data set."""
        while not self._pieces:
            event = await self._peer.event()
            assert isinstance(event, PData), event
            for pdv in event.pdvs:
                if pdv.is_command:
                    assert pdv.is_last
                    self._command = decode_command_set(pdv.data)
                else:
                    self._data += pdv.data
                if pdv.is_last and self._command is not None and not (pdv.is_command and self._command.has_data_set):
                    self._pieces.append((self._command, bytes(self._data)))
                    self._command = None
                    self._data.clear()
        message, data = self._pieces.pop(0)
        return message, read_data_set(data, EXPLICIT) if data else {}

    async def _next(self) -> tuple[Message, DicomJson]:
        message, data = await self._message()
        if isinstance(message, NEventReportRequest):
            self.events.append((message, data))
            answer = NEventReportResponse(message_id_being_responded_to=message.message_id, status=0)
            self._peer.send_message(CONTEXTS[EVENT], answer)
        return message, data

    async def event(self) -> tuple[NEventReportRequest, DicomJson]:
        """Return the next event that comes, or came while something else was waited for."""
        while not self.events:
            await self._next()
        return self.events.pop(0)

    async def ask(
        self, sop_class: str, request: Request, attributes: DicomJson | None = None
    ) -> list[tuple[Response, DicomJson]]:
        """Send a request in the context of a SOP class; return its responses up to the final one."""
        self._message_id += 1
        request = replace(request, message_id=self._message_id, has_data_set=attributes is not None)
        data = None if attributes is None else write_data_set(attributes, EXPLICIT)
        self._peer.send_message(CONTEXTS[sop_class], request, data)
        responses: list[tuple[Response, DicomJson]] = []
        while not responses or is_pending(responses[-1][0].status):
            message, answer = await self._next()
            if isinstance(message, Response):
                responses.append((message, answer))
        return responses

    async def status(self, sop_class: str, request: Request, attributes: DicomJson | None = None) -> int:
        """Ask, and return the status of the one response."""
        ((response, _),) = await self.ask(sop_class, request, attributes)
        return response.status

    async def create(self, attributes: DicomJson, uid: str | None = "1.2.3", sop_class: str = PUSH) -> int:
        request = NCreateRequest(message_id=0, affected_sop_class_uid=PUSH, affected_sop_instance_uid=uid)
        return await self.status(sop_class, request, attributes)

    async def set(self, attributes: DicomJson, uid: str = "1.2.3", sop_class: str = PULL) -> int:
        request = NSetRequest(message_id=0, requested_sop_class_uid=PUSH, requested_sop_instance_uid=uid)
        return await self.status(sop_class, request, attributes)

    async def get(self, *tags: int, uid: str = "1.2.3", sop_class: str = PULL) -> tuple[int, DicomJson]:
        request = NGetRequest(
            message_id=0,
            requested_sop_class_uid=PUSH,
            requested_sop_instance_uid=uid,
            attribute_identifier_list=tags,
        )
        ((response, attributes),) = await self.ask(sop_class, request)
        return response.status, attributes

    async def act(self, action: int, uid: str = "1.2.3", sop_class: str | None = None, **values: Any) -> int:
        """Ask for an action: 1 change state, 2 request cancel, 3 subscribe, 4 unsubscribe, 5 suspend."""
        request = NActionRequest(
            message_id=0, requested_sop_class_uid=PUSH, requested_sop_instance_uid=uid, action_type_id=action
        )
        return await self.status(
            sop_class or (PULL if action == 1 else WATCH), request, attributes_of(values) if values else None
        )

    async def change_state(self, state: str, transaction_uid: str | None, uid: str = "1.2.3") -> int:
        values = {"ProcedureStepState": state} | ({"TransactionUID": transaction_uid} if transaction_uid else {})
        return await self.act(1, uid, **values)

    async def find(self, sop_class: str = PULL, **keys: Any) -> tuple[int, list[DicomJson]]:
        """Return the final status and the matches."""
        request = CFindRequest(message_id=0, affected_sop_class_uid=sop_class)
        responses = await self.ask(sop_class, request, attributes_of(keys))
        return responses[-1][0].status, [answer for response, answer in responses if is_pending(response.status)]

    async def release(self) -> None:
        await self._peer.release()

    async def close(self) -> None:
        await self._peer.close()


class Listening(Protocol):
    """An archive that listens."""

    @property
    def port(self) -> int: ...

    @property
    def ae_title(self) -> str: ...


@dataclass(frozen=True)
class At:
    """Where an archive listens."""

    port: int
    ae_title: str


@asynccontextmanager
async def workitem_peer(
    archive: Listening, calling: str = "WORKSTATION", *, takes_events: bool = False
) -> AsyncIterator[WorkitemPeer]:
    """A peer with contexts for the SOP classes, that for events only if it takes them."""
    contexts = [
        ProposedContext(number, sop_class, (EXPLICIT,))
        for sop_class, number in CONTEXTS.items()
        if takes_events or sop_class != EVENT
    ]
    request = association_request(called=archive.ae_title, calling=calling, contexts=contexts)
    peer = WorkitemPeer(await Peer.associated(archive.port, request))
    try:
        yield peer
    finally:
        await peer.close()


@asynccontextmanager
async def telling_archive(database: EmbeddedPostgres, folder: Path) -> AsyncIterator[InProcessArchive]:
    """An archive that delivers workitem events."""
    settings = Settings(data=str(folder / "archive"))
    async with in_process_archive(database, folder) as opened:
        present = PresentSubscribers()
        listening = socket.create_server(("127.0.0.1", 0))
        acceptor = await start_dimse(settings, opened.archive, listening, None, present)
        delivery = await start_workitem_events(settings, opened.archive, present, is_first=False)
        try:
            yield InProcessArchive(opened.archive, acceptor, opened.tenant_id, opened.ae_title)
        finally:
            await delivery.close()
            await acceptor.close(5)
