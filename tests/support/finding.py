"""C-FIND test material: a source in memory, an archive that answers from any source, and a peer that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hilum.archive.model import DicomJson, Tenant
from hilum.archive.query import Query
from hilum.archive.remotes import RemoteAe
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.uids import STUDY_ROOT_FIND
from hilum.dimse.messages import CCancelRequest, CFindRequest, CFindResponse, Message
from hilum.kernel.errors import HilumError
from hilum.net.acceptor import Acceptor
from hilum.net.association import Association
from hilum.net.requestor import open_association
from hilum.scp.find import FindService, FindSettings, QuerySource
from hilum.scp.service import Admission, ArchiveScp
from hilum.ul.primitives import AssociateRequest, Buffer, ExtendedNegotiation, ProposedContext, UserInformation
from support.database import attributes_of
from support.dimse import APPLICATION_CONTEXT, EXPLICIT
from support.elements import explicit


@dataclass
class MemorySource:
    """Yields the batches it was given, and remembers what it was asked. A gate holds back those behind the first."""

    batches: list[list[DicomJson]] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    error: HilumError | None = None
    queries: list[Query] = field(default_factory=list)
    yielded: int = 0
    is_closed: bool = False

    async def stream(self, tenant_id: int, query: Query) -> AsyncGenerator[list[DicomJson]]:
        self.queries.append(query)
        try:
            for batch in self.batches:
                if self.gate is not None and self.yielded:
                    await self.gate.wait()
                self.yielded += 1
                yield batch
            if self.error is not None:
                raise self.error
        finally:
            self.is_closed = True

    async def unsupported_matches(self, query: Query) -> list[str]:
        return self.unsupported


@asynccontextmanager
async def find_archive(
    source: QuerySource, *, settings: FindSettings | None = None, remote: RemoteAe | None = None, tenant_id: int = 1
) -> AsyncIterator[int]:
    """C-FIND on a free port of 127.0.0.1, which is yielded."""

    async def tenant_of(_called: str) -> Tenant:
        return Tenant(tenant_id, "tenant")

    async def admit(*_: object) -> Admission:
        return Admission(remote)

    scp = ArchiveScp(services=[FindService(source, settings or FindSettings())], tenant_of=tenant_of, admit=admit)
    acceptor = Acceptor(scp, max_associations=20)
    await acceptor.listen("127.0.0.1", 0)
    try:
        yield acceptor.addresses[0][1]
    finally:
        await acceptor.close(0.0)


@dataclass
class Found:
    """What one C-FIND was answered."""

    responses: list[CFindResponse] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    @property
    def final(self) -> CFindResponse:
        return self.responses[-1]

    @property
    def status(self) -> int:
        return self.final.status

    @property
    def pending(self) -> set[int]:
        return {each.status for each in self.responses[:-1]}


class FindingPeer:
    """Asks one query after the other on one association."""

    def __init__(self) -> None:
        self.found = Found()
        self.syntax = EXPLICIT
        self._final = asyncio.Event()
        self.first = asyncio.Event()
        self._content = bytearray()
        self.reading: asyncio.Event | None = None
        self.association: Association

    async def connect(
        self,
        port: int,
        *,
        model: str = STUDY_ROOT_FIND,
        options: bytes = b"",
        syntax: str = EXPLICIT,
        max_pdu_length: int = 32768,
    ) -> None:
        self.syntax = syntax
        information = UserInformation(
            max_pdu_length,
            "1.2.3.4",
            extended_negotiations=(ExtendedNegotiation(model, options),) if options else (),
        )
        contexts = (ProposedContext(1, model, (syntax,)),)
        request = AssociateRequest("HILUM", "PEER", APPLICATION_CONTEXT, contexts, information)
        self.association = await open_association("127.0.0.1", port, request, self)

    @property
    def granted(self) -> bytes | None:
        """What the extended negotiation was answered."""
        accept = self.association.connection.core.accept
        assert accept is not None
        answers = accept.user_information.extended_negotiations
        return answers[0].application_information if answers else None

    async def begin(self, identifier: bytes | None, message_id: int = 1) -> None:
        self.found = Found()
        self._final.clear()
        self.first.clear()
        uid = self.association.contexts[1].abstract_syntax
        request = CFindRequest(message_id=message_id, affected_sop_class_uid=uid)
        await self.association.invoke(1, request, identifier)

    async def final(self) -> Found:
        async with asyncio.timeout(30):
            await self._final.wait()
        return self.found

    async def ask(self, **keys: object) -> Found:
        """Find by keyword and value; LEVEL stands for the query/retrieve level."""
        await self.begin(self.identifier(**keys))
        return await self.final()

    def identifier(self, **keys: object) -> bytes:
        named = {"QueryRetrieveLevel" if key == "LEVEL" else key: value for key, value in keys.items()}
        character_set = str(named.pop("SpecificCharacterSet", ""))
        # Written as it is, whether the other values need it or not.
        head = explicit(0x00080005, "CS", character_set.encode().ljust(len(character_set) + len(character_set) % 2))
        return (head if character_set else b"") + write_data_set(attributes_of(named), self.syntax)

    def answers(self) -> list[DicomJson]:
        return [read_data_set(answer, self.syntax) for answer in self.found.answers]

    def cancel(self, message_id: int = 1) -> None:
        self.association.cancel(1, CCancelRequest(message_id_being_responded_to=message_id))

    # --- the association's handler -----------------------------------------------------------------------------

    def message(self, context_id: int, message: Message) -> None:
        assert isinstance(message, CFindResponse)
        self.found.responses.append(message)
        self._content = bytearray()
        if message.status not in (0xFF00, 0xFF01):
            self._final.set()

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        self._content += data
        if is_last:
            self.found.answers.append(bytes(self._content))
            self.first.set()
        return self._read_later(self.reading) if self.reading is not None else None

    async def _read_later(self, gate: asyncio.Event) -> None:
        await gate.wait()

    def end(self) -> None:
        self._final.set()


async def close(peer: FindingPeer) -> None:
    if not peer.association.is_ended:
        await peer.association.release()
