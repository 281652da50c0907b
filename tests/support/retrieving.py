"""C-MOVE and C-GET test material: an archive in memory, a sender that fails on demand, a peer that retrieves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hilum.archive.model import BlobRef, DicomJson, StoredInstance
from hilum.archive.query import InstanceSelection
from hilum.archive.remotes import RemoteAe
from hilum.archive.sending import InstanceSent, MoveOriginator, SendState, Transcoder, never
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.dictionary import tag_of, vr_of
from hilum.dicom.uids import PATIENT_ROOT_GET, PATIENT_ROOT_MOVE, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from hilum.dimse.messages import (
    CCancelRequest,
    CGetRequest,
    CMoveRequest,
    CStoreRequest,
    CStoreResponse,
    Message,
    Response,
    RetrieveResponse,
)
from hilum.kernel.errors import HilumError, Unsupported
from hilum.net.acceptor import Acceptor
from hilum.net.association import Association
from hilum.net.requestor import open_association
from hilum.scp.get import GetService, SubOperationContexts
from hilum.scp.move import MoveService
from hilum.scp.negotiation import ScpSettings
from hilum.scp.service import Admission, ArchiveScp
from hilum.scp.store import StorageService
from hilum.ul.primitives import (
    AssociateRequest,
    AsyncOperationsWindow,
    Buffer,
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
    UserInformation,
)
from support.dimse import APPLICATION_CONTEXT, CT_STORAGE, EXPLICIT, MemoryStore, tenant_of

IMPLICIT = "1.2.840.10008.1.2"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"


def identifier(**keys: str | Sequence[str]) -> bytes:
    """An identifier of these keys; "LEVEL" stands for the query/retrieve level."""
    attributes: DicomJson = {}
    for keyword, value in keys.items():
        tag = tag_of("QueryRetrieveLevel" if keyword == "LEVEL" else keyword)
        values = [value] if isinstance(value, str) else list(value)
        attributes[tag] = {"vr": vr_of(tag), **({"Value": values} if values != [""] else {})}
    return write_data_set(dict(sorted(attributes.items())), EXPLICIT)


def stored(
    number: int, *, size: int = 1000, transfer_syntax: str = EXPLICIT, sop_class: str = CT_STORAGE
) -> StoredInstance:
    """Instance `number` of series 1.2.1.1 of study 1.2.1."""
    return StoredInstance(
        instance_key=number,
        study_instance_uid="1.2.1",
        series_instance_uid="1.2.1.1",
        sop_instance_uid=f"1.2.1.1.{number}",
        sop_class_uid=sop_class,
        transfer_syntax_uid=transfer_syntax,
        blob=BlobRef(f"blob/{number}", size, 0),
        frame_count=1,
        has_bulk_data=False,
    )


def counts_of(response: RetrieveResponse) -> tuple[int | None, int | None, int | None, int | None]:
    """Remaining, completed, failed, warning."""
    return (
        response.number_of_remaining_suboperations,
        response.number_of_completed_suboperations,
        response.number_of_failed_suboperations,
        response.number_of_warning_suboperations,
    )


def content_of(instance: StoredInstance) -> bytes:
    """What the data set of an instance in a `MemoryArchive` is: as long as it should be and unlike the others'."""
    word = f"{instance.sop_instance_uid:<64}".encode()
    return (word * (instance.blob.size_bytes // 64 + 1))[: instance.blob.size_bytes]


@dataclass
class MemoryArchive:
    """Instances that can be selected and read. What is in `broken` fails at once, in `fragile` after its beginning."""

    instances: list[StoredInstance]
    broken: Mapping[str, HilumError] = field(default_factory=dict)
    fragile: Mapping[str, HilumError] = field(default_factory=dict)
    select_error: HilumError | None = None
    selections: list[InstanceSelection] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    open_streams: int = 0

    async def select(self, tenant_id: int, selection: InstanceSelection) -> list[StoredInstance]:
        self.selections.append(selection)
        if self.select_error is not None:
            raise self.select_error
        return [
            each
            for each in self.instances
            if tenant_id == 1
            and each.study_instance_uid in (selection.study_instance_uids or (each.study_instance_uid,))
            and each.series_instance_uid in (selection.series_instance_uids or (each.series_instance_uid,))
            and each.sop_instance_uid in (selection.sop_instance_uids or (each.sop_instance_uid,))
        ]

    async def data_set(self, instance: StoredInstance) -> bytes | AsyncGenerator[bytes, None]:
        self.read.append(instance.sop_instance_uid)
        await asyncio.sleep(0)
        if instance.sop_instance_uid in self.broken:
            raise self.broken[instance.sop_instance_uid]
        if instance.blob.size_bytes <= 100_000 and instance.sop_instance_uid not in self.fragile:
            return content_of(instance)
        return self._stream(instance)

    async def _stream(self, instance: StoredInstance) -> AsyncGenerator[bytes, None]:
        self.open_streams += 1
        try:
            content = content_of(instance)
            for start in range(0, len(content), 50_000):
                yield content[start : start + 50_000]
                if instance.sop_instance_uid in self.fragile:
                    raise self.fragile[instance.sop_instance_uid]
        finally:
            self.open_streams -= 1


@dataclass
class NamingTranscoder:
    """Makes of an instance the name of what it should become; some it cannot."""

    possible: set[tuple[str, str]]
    broken: set[str] = field(default_factory=set)

    def can(self, transfer_syntax_uid: str, target_transfer_syntax_uid: str) -> bool:
        return (transfer_syntax_uid, target_transfer_syntax_uid) in self.possible

    async def data_set(self, instance: StoredInstance, transfer_syntax_uid: str) -> bytes:
        if instance.sop_instance_uid in self.broken:
            raise Unsupported("these pixels cannot be had in that transfer syntax")
        return f"{instance.sop_instance_uid} as {transfer_syntax_uid}".encode().ljust(100)


@dataclass
class ScriptedSender:
    """Yields what the script says of each instance, in the script's order; waits at the gate before each."""

    script: Callable[[StoredInstance], InstanceSent] = lambda each: InstanceSent(each, SendState.STORED, 0)
    gate: Callable[[int], asyncio.Event | None] = lambda position: None
    asked: list[tuple[RemoteAe, str, MoveOriginator | None, int]] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    closed: int = 0
    is_stopped: Callable[[], bool] = never

    async def send(
        self,
        remote: RemoteAe,
        instances: Sequence[StoredInstance],
        *,
        calling_ae_title: str,
        originator: MoveOriginator | None = None,
        priority: int = 0,
        transfer_syntax_uid: str | None = None,
        associations: int | None = None,
        max_bytes_per_s: float | None = None,
        is_stopped: Callable[[], bool] = never,
    ) -> AsyncGenerator[InstanceSent, None]:
        self.asked.append((remote, calling_ae_title, originator, priority))
        self.is_stopped = is_stopped
        try:
            for position, instance in enumerate(instances):
                if is_stopped():
                    return
                gate = self.gate(position)
                self.begun.append(instance.sop_instance_uid)
                if gate is not None:
                    await gate.wait()
                yield self.script(instance)
        finally:
            self.closed += 1


@dataclass
class Received:
    """An instance that came by a sub-operation."""

    sop_instance_uid: str
    transfer_syntax: str
    content: bytes


class RetrievingPeer:
    """Asks by C-GET or C-MOVE, takes what comes by C-STORE, and remembers it all."""

    def __init__(self) -> None:
        self.responses: list[RetrieveResponse] = []
        self.identifiers: list[bytes] = []
        self.received: list[Received] = []
        self.requests: list[CStoreRequest] = []
        self.ended = asyncio.Event()
        self.finals: asyncio.Queue[RetrieveResponse] = asyncio.Queue()
        self.answer: Callable[[CStoreRequest], int | None] = lambda request: 0
        self.most_open = 0
        self._open: dict[int, tuple[int, CStoreRequest]] = {}
        self._gathering: tuple[int, Message] | None = None
        self._content = bytearray()

    async def connect(
        self,
        port: int,
        *,
        contexts: Sequence[ProposedContext] | None = None,
        roles: Sequence[RoleSelection] = (RoleSelection(CT_STORAGE, scu_role=False, scp_role=True),),
        relational: str | None = None,
        window: AsyncOperationsWindow | None = None,
        calling: str = "PEER",
    ) -> Association:
        information = UserInformation(
            32768,
            "1.2.3.4",
            async_operations_window=window,
            role_selections=tuple(roles),
            extended_negotiations=(ExtendedNegotiation(relational, b"\1"),) if relational else (),
        )
        request = AssociateRequest(
            "HILUM", calling, APPLICATION_CONTEXT, tuple(contexts or default_contexts()), information
        )
        self.association = await open_association("127.0.0.1", port, request, self)
        return self.association

    async def get(self, keys: bytes, *, context_id: int = 1, message_id: int = 1) -> RetrieveResponse:
        """Return the final response."""
        await self.begin_get(keys, context_id=context_id, message_id=message_id)
        return await self.final()

    async def begin_get(self, keys: bytes, *, context_id: int = 1, message_id: int = 1) -> None:
        uid = self.association.contexts[context_id].abstract_syntax
        request = CGetRequest(message_id=message_id, affected_sop_class_uid=uid, priority=1)
        await self.association.invoke(context_id, request, keys)

    async def begin_move(self, keys: bytes, destination: str, *, context_id: int = 1, message_id: int = 1) -> None:
        uid = self.association.contexts[context_id].abstract_syntax
        request = CMoveRequest(
            message_id=message_id, affected_sop_class_uid=uid, move_destination=destination, priority=2
        )
        await self.association.invoke(context_id, request, keys)

    async def move(self, keys: bytes, destination: str, *, context_id: int = 1) -> RetrieveResponse:
        await self.begin_move(keys, destination, context_id=context_id)
        return await self.final()

    async def final(self) -> RetrieveResponse:
        async with asyncio.timeout(20):
            return await self.finals.get()

    def cancel(self, context_id: int = 1, message_id: int = 1) -> None:
        self.association.cancel(context_id, CCancelRequest(message_id_being_responded_to=message_id))

    @property
    def pending(self) -> list[RetrieveResponse]:
        return [each for each in self.responses if each.status == 0xFF00]

    @property
    def failed_uids(self) -> list[str]:
        """What the only identifier of a response lists, if one came."""
        if not self.identifiers:
            return []
        (content,) = self.identifiers
        (element,) = read_data_set(content, EXPLICIT).values()
        assert element["vr"] == "UI"
        return list(element["Value"])

    def message(self, context_id: int, message: Message) -> None:
        if isinstance(message, CStoreRequest):
            self.requests.append(message)
        if message.has_data_set:
            self._gathering = context_id, message
        else:
            self._note(message)

    def data_set(self, data: Buffer, is_last: bool) -> None:
        assert self._gathering is not None
        self._content += data
        if not is_last:
            return
        context_id, message = self._gathering
        content = bytes(self._content)
        self._content.clear()
        if not isinstance(message, CStoreRequest):
            self.identifiers.append(content)
            self._note(message)
            return
        syntax = self.association.contexts[context_id].transfer_syntax
        self.received.append(Received(message.affected_sop_instance_uid, syntax, content))
        self._open[message.message_id] = context_id, message
        self.most_open = max(self.most_open, len(self._open))
        code = self.answer(message)
        if code is not None:
            self.store_response(message.message_id, code)

    def store_response(self, message_id: int, code: int) -> None:
        context_id, request = self._open.pop(message_id)
        self.association.respond(
            context_id,
            CStoreResponse(
                message_id_being_responded_to=message_id,
                status=code,
                affected_sop_class_uid=request.affected_sop_class_uid,
                affected_sop_instance_uid=request.affected_sop_instance_uid,
            ),
        )

    def _note(self, message: Message) -> None:
        assert isinstance(message, Response)
        assert isinstance(message, RetrieveResponse)
        self.responses.append(message)
        if message.status != 0xFF00:
            self.finals.put_nowait(message)

    def end(self) -> None:
        self.ended.set()


def default_contexts() -> list[ProposedContext]:
    """The models with the most levels, and CT images in the two little endian syntaxes."""
    return [
        ProposedContext(1, STUDY_ROOT_GET, (EXPLICIT,)),
        ProposedContext(3, PATIENT_ROOT_GET, (EXPLICIT,)),
        ProposedContext(5, CT_STORAGE, (EXPLICIT,)),
        ProposedContext(7, CT_STORAGE, (IMPLICIT,)),
        ProposedContext(9, STUDY_ROOT_MOVE, (EXPLICIT,)),
        ProposedContext(11, PATIENT_ROOT_MOVE, (EXPLICIT,)),
    ]


@asynccontextmanager
async def retrieval_archive(
    archive: MemoryArchive,
    *,
    transcoder: Transcoder | None = None,
    sender: ScriptedSender | None = None,
    remotes: Sequence[RemoteAe] = (),
    admission: Admission | None = None,
) -> AsyncIterator[int]:
    """C-GET, C-MOVE and Storage on a free port of 127.0.0.1, which is yielded."""

    async def find(tenant_id: int, ae_title: str) -> RemoteAe | None:
        return next((each for each in remotes if (each.tenant_id, each.ae_title) == (tenant_id, ae_title)), None)

    async def admit(*_: object) -> Admission:
        return admission or Admission()

    scp = ArchiveScp(
        services=[
            GetService(archive, transcoder),
            MoveService(archive, find, sender or ScriptedSender()),
            StorageService(MemoryStore(), ScpSettings()),
            SubOperationContexts(ScpSettings()),
        ],
        tenant_of=tenant_of,
        admit=admit,
    )
    acceptor = Acceptor(scp, max_associations=20)
    await acceptor.listen("127.0.0.1", 0)
    try:
        yield acceptor.addresses[0][1]
    finally:
        await acceptor.close(0.0)
