"""DIMSE test material: an archive in memory behind the real acceptor, and a peer that can misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hilum.archive.model import Origin, Tenant
from hilum.dimse.command_set import decode_command_set
from hilum.dimse.fragments import fragment_command, fragment_data_set
from hilum.dimse.messages import CStoreRequest, Message
from hilum.kernel.errors import HilumError
from hilum.net.acceptor import Acceptor
from hilum.net.association import Answering, Association
from hilum.net.connection import Timeouts
from hilum.net.reports import Outcome, Report
from hilum.scp.negotiation import ScpSettings
from hilum.scp.service import Admission, Admit, ArchiveScp
from hilum.scp.store import InstanceStore, StorageService
from hilum.scp.verification import VerificationService
from hilum.ul.core import AssociationCore, Role
from hilum.ul.primitives import (
    NEED_DATA,
    AssociateAccept,
    AssociateRequest,
    AsyncOperationsWindow,
    Buffer,
    ConnectionClosed,
    Event,
    PData,
    Primitive,
    ProposedContext,
    RejectReason,
    ReleaseRequest,
    ReleaseResponse,
    UserInformation,
)

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
TIMEOUT_S = 20


@dataclass
class MemoryIntake:
    """One instance on its way into a `MemoryStore`."""

    store: MemoryStore
    transfer_syntax_uid: str
    origin: Origin
    tenant_id: int
    sop_class_uid: str | None
    sop_instance_uid: str | None
    content: bytearray = field(default_factory=bytearray)
    is_discarded: bool = False

    def write(self, data: Buffer) -> Awaitable[None] | None:
        self.store.writes += 1
        if self.store.write_error is not None:
            raise self.store.write_error
        if self.store.gate is None:
            self.content += data
            return None
        return self._write_late(data, self.store.gate)

    async def _write_late(self, data: Buffer, gate: asyncio.Event) -> None:
        await gate.wait()
        self.content += data

    async def commit(self) -> None:
        if self.store.commit_gate is not None:
            await self.store.commit_gate.wait()
        if self.store.commit_error is not None:
            raise self.store.commit_error
        self.store.instances.append(self)

    async def discard(self) -> None:
        self.is_discarded = True
        self.store.discarded.append(self)


@dataclass
class MemoryStore:
    """A store of instances in memory. Gates make it slow, errors make it refuse."""

    instances: list[MemoryIntake] = field(default_factory=list)
    discarded: list[MemoryIntake] = field(default_factory=list)
    begun: list[MemoryIntake] = field(default_factory=list)
    writes: int = 0
    gate: asyncio.Event | None = None
    commit_gate: asyncio.Event | None = None
    begin_error: HilumError | None = None
    write_error: HilumError | None = None
    commit_error: BaseException | None = None

    def begin(
        self,
        *,
        tenant_id: int,
        transfer_syntax_uid: str,
        origin: Origin,
        expected_sop_instance_uid: str | None = None,
        expected_sop_class_uid: str | None = None,
    ) -> MemoryIntake:
        if self.begin_error is not None:
            raise self.begin_error
        intake = MemoryIntake(
            self, transfer_syntax_uid, origin, tenant_id, expected_sop_class_uid, expected_sop_instance_uid
        )
        self.begun.append(intake)
        return intake


@dataclass
class RunningArchive:
    """An acceptor with its store and what it reported."""

    acceptor: Acceptor
    store: MemoryStore
    reports: list[Report]

    @property
    def port(self) -> int:
        return self.acceptor.addresses[0][1]

    @property
    def outcomes(self) -> list[Outcome]:
        return [report.outcome for report in self.reports]


async def tenant_of(called_ae_title: str) -> Tenant | None:
    return {"HILUM": Tenant(1, "first"), "SECOND": Tenant(2, "second")}.get(called_ae_title)


async def admit(_tenant: Tenant, request: AssociateRequest, _association: Association) -> Admission | RejectReason:
    if request.calling_ae_title == "STRANGER":
        return RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED
    return Admission()


def archive_scp(
    store: InstanceStore,
    settings: ScpSettings | None = None,
    *,
    kind: type[ArchiveScp] = ArchiveScp,
    tenant_of: Callable[[str], Awaitable[Tenant | None]] = tenant_of,
    admit: Admit = admit,
) -> ArchiveScp:
    """Verification and Storage with the given store behind them."""
    services = [VerificationService(), StorageService(store, settings or ScpSettings())]
    return kind(services=services, tenant_of=tenant_of, admit=admit)


@asynccontextmanager
async def running_archive(
    *,
    settings: ScpSettings | None = None,
    timeouts: Timeouts | None = None,
    max_associations: int = 50,
    answering: Answering | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RunningArchive]:
    """An archive in memory on a free port of 127.0.0.1; callers named STRANGER are unknown to it."""
    store = MemoryStore()
    scp = archive_scp(store, settings)
    reports: list[Report] = []
    acceptor = Acceptor(answering or scp, max_associations=max_associations, timeouts=timeouts, observer=reports.append)
    await acceptor.listen("127.0.0.1", 0, tls=tls)
    try:
        yield RunningArchive(acceptor, store, reports)
    finally:
        await acceptor.close(0.0)


def association_request(
    *,
    called: str = "HILUM",
    calling: str = "MODALITY",
    contexts: Sequence[ProposedContext] = (
        ProposedContext(1, VERIFICATION, (EXPLICIT,)),
        ProposedContext(3, CT_STORAGE, (EXPLICIT,)),
    ),
    window: AsyncOperationsWindow | None = None,
    max_pdu_length: int = 32768,
    application_context: str = APPLICATION_CONTEXT,
) -> AssociateRequest:
    return AssociateRequest(
        called,
        calling,
        application_context,
        tuple(contexts),
        UserInformation(max_pdu_length, "1.2.3.4", async_operations_window=window),
    )


def store_request(message_id: int = 1, uid: str = "1.2.3", sop_class_uid: str = CT_STORAGE) -> CStoreRequest:
    return CStoreRequest(message_id=message_id, affected_sop_class_uid=sop_class_uid, affected_sop_instance_uid=uid)


class Peer:
    """A requestor that says exactly what the test wants, over a real socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.core = AssociationCore(Role.REQUESTOR, now=0.0)

    @classmethod
    async def connected(cls, port: int, tls: ssl.SSLContext | None = None) -> Peer:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))

    @classmethod
    async def associated(cls, port: int, request: AssociateRequest | None = None) -> Peer:
        peer = await cls.connected(port)
        peer.send(request or association_request())
        event = await peer.event()
        assert isinstance(event, AssociateAccept), event
        return peer

    def send(self, *primitives: Primitive) -> None:
        for primitive in primitives:
            self.core.send(primitive, 0.0)
        self.writer.write(b"".join(self.core.data_to_send()))

    def send_message(self, context_id: int, message: Message, data_set: bytes | None = None, size: int = 16000) -> None:
        self.send(*fragment_command(context_id, message, size))
        if data_set is not None:
            self.send(*fragment_data_set(context_id, data_set, size, is_end=True))

    async def event(self) -> Event:
        """Return the next event, in reasonable time."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                event = self.core.next_event()
                if not isinstance(event, type(NEED_DATA)):
                    return event
                data = await self.reader.read(65536)
                if data:
                    self.core.receive_data(data, 0.0)
                else:
                    self.core.receive_eof(0.0)

    async def response(self) -> Message:
        """Return the next message, which has no data set."""
        event = await self.event()
        assert isinstance(event, PData), event
        (pdv,) = event.pdvs
        return decode_command_set(pdv.data)

    async def release(self) -> None:
        self.send(ReleaseRequest())
        assert isinstance(await self.event(), ReleaseResponse)
        assert isinstance(await self.event(), ConnectionClosed)
        await self.close()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition to become true, in reasonable time."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for happens behind a socket
            await asyncio.sleep(0.005)
