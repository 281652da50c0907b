"""C-MOVE and C-GET as SCU: a remote sends what it has, to somebody else or to us."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

from hilum.archive.model import DicomJson
from hilum.archive.pulling import RetrieveProgress
from hilum.archive.query import Level
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.dictionary import tag_of
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.dimse.messages import CGetRequest, CMoveRequest, Priority, Request, RetrieveResponse
from hilum.dimse.status import RETRIEVE, StatusCategory, describe_status
from hilum.kernel.errors import CorruptData, HilumError, Unsupported
from hilum.kernel.limits import MAX_OPERATIONS_PERFORMED, RETRIEVE_SILENCE_S
from hilum.net.association import Association
from hilum.scu.answers import failure
from hilum.scu.handler import RequestorHandler
from hilum.scu.incoming import COMMON_SOP_CLASSES, BeginIncoming, RetrievalHandler, plan_storage
from hilum.scu.models import GET, LEVEL_NAMES, MOVE, InformationModel, extensions
from hilum.scu.remote import Remote, call, ended
from hilum.ul.primitives import AsyncOperationsWindow, ProposedContext

_CONTEXT_ID = 1
_LEVEL = tag_of("QueryRetrieveLevel")
_FAILED_UIDS = tag_of("FailedSOPInstanceUIDList")


def _after(
    before: RetrieveProgress, response: RetrieveResponse, *, is_final: bool, failed_instances: tuple[str, ...]
) -> RetrieveProgress:
    """Return the progress a response tells of; what it leaves out is as before."""
    remaining = response.number_of_remaining_suboperations
    if remaining is None:
        remaining = 0 if is_final else before.remaining
    return RetrieveProgress(
        _known(response.number_of_completed_suboperations, before.completed),
        _known(response.number_of_failed_suboperations, before.failed),
        _known(response.number_of_warning_suboperations, before.warning),
        remaining,
        response.status if is_final else None,
        failed_instances,
    )


def _known(count: int | None, before: int) -> int:
    return before if count is None else count


async def move(
    remote: Remote,
    keys: DicomJson,
    *,
    destination: str,
    calling_ae_title: str,
    level: Level = Level.STUDY,
    model: InformationModel = InformationModel.STUDY,
    is_relational: bool = False,
    priority: int = Priority.MEDIUM,
    silence_s: float = RETRIEVE_SILENCE_S,
) -> AsyncGenerator[RetrieveProgress, None]:
    """Yield how a remote gets on with sending what the keys name to an AE title it knows; the last one has a status.

    Args:
        remote: who sends.
        keys: the unique keys, without the level; several UIDs are allowed at the level asked for.
        destination: the AE title to send to.
        calling_ae_title: who we say we are.
        level: what the keys name.
        model: in which hierarchy.
        is_relational: ask for leave to do without the keys of the levels above.
        priority: what the remote is told of the urgency.
        silence_s: how long the remote may send nothing.

    Raises:
        Unavailable, Forbidden, RemoteProtocolError: there is no association to be had, or it ended.
        Unsupported: the remote does not serve C-MOVE.
        InvalidInput, Unavailable: the remote answered with a failure; the last progress has been yielded before.

    Reference: PS3.4 §C.4.2
    """
    sop_class_uid = _sop_class(MOVE, model)
    handler = RequestorHandler()
    association = await call(
        remote,
        calling_ae_title,
        [_context(sop_class_uid)],
        handler,
        extended_negotiations=(extensions(sop_class_uid, is_relational=True),) if is_relational else (),
    )
    request = CMoveRequest(
        message_id=1, affected_sop_class_uid=sop_class_uid, move_destination=destination, priority=priority
    )
    async with contextlib.aclosing(_retrieve(association, handler, request, keys, level, silence_s)) as progress:
        async for each in progress:
            yield each


async def get(
    remote: Remote,
    keys: DicomJson,
    *,
    begin: BeginIncoming,
    calling_ae_title: str,
    sop_class_uids: Sequence[str] = COMMON_SOP_CLASSES,
    level: Level = Level.STUDY,
    model: InformationModel = InformationModel.STUDY,
    is_relational: bool = False,
    priority: int = Priority.MEDIUM,
    silence_s: float = RETRIEVE_SILENCE_S,
) -> AsyncGenerator[RetrieveProgress, None]:
    """Yield how a remote gets on with sending us what the keys name; the last one has a status.

    Args:
        begin: takes in what comes.
        sop_class_uids: what may come. The fewer, the more likely each instance comes as it is stored.

    The other arguments and the errors are those of `move`.

    Reference: PS3.4 §C.4.3
    """
    sop_class_uid = _sop_class(GET, model)
    handler = RetrievalHandler(begin)
    contexts, roles = plan_storage(sop_class_uids)
    association = await call(
        remote,
        calling_ae_title,
        [_context(sop_class_uid), *contexts],
        handler,
        async_operations_window=AsyncOperationsWindow(1, MAX_OPERATIONS_PERFORMED),
        role_selections=roles,
        extended_negotiations=(extensions(sop_class_uid, is_relational=True),) if is_relational else (),
    )
    handler.serve(association)
    request = CGetRequest(message_id=1, affected_sop_class_uid=sop_class_uid, priority=priority)
    async with contextlib.aclosing(_retrieve(association, handler, request, keys, level, silence_s)) as progress:
        async for each in progress:
            yield each


def _context(sop_class_uid: str) -> ProposedContext:
    return ProposedContext(_CONTEXT_ID, sop_class_uid, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))


def _sop_class(service: dict[InformationModel, str], model: InformationModel) -> str:
    if model not in service:
        raise Unsupported(f"nothing can be retrieved from the {model} model", code="model")
    return service[model]


async def _retrieve(
    association: Association,
    handler: RequestorHandler,
    request: Request,
    keys: DicomJson,
    level: Level,
    silence_s: float,
) -> AsyncGenerator[RetrieveProgress, None]:
    error: HilumError | None = None
    async with ended(association):
        context = association.contexts.get(_CONTEXT_ID)
        if context is None:
            raise Unsupported("the remote does not serve this kind of retrieval", code="context-refused")
        identifier = {**keys, _LEVEL: {"vr": "CS", "Value": [LEVEL_NAMES[level]]}}
        answers = handler.responses.stream(
            association,
            _CONTEXT_ID,
            request,
            write_data_set(identifier, context.transfer_syntax),
            silence_s=silence_s,
        )
        progress = RetrieveProgress()
        async with contextlib.aclosing(answers):
            async for response, data_set in answers:
                assert isinstance(response, RetrieveResponse)
                row = describe_status(response.status, RETRIEVE)
                failed = _failed_instances(data_set, context.transfer_syntax)
                is_final = row.category is not StatusCategory.PENDING
                progress = _after(progress, response, is_final=is_final, failed_instances=failed)
                yield progress
                if row.category is StatusCategory.FAILURE:
                    error = failure(response, RETRIEVE)
    if error is not None:
        raise error


def _failed_instances(data_set: bytes | None, transfer_syntax_uid: str) -> tuple[str, ...]:
    """Return the UIDs a response names as failed; a list that cannot be read names none."""
    if not data_set:
        return ()
    try:
        attributes = read_data_set(data_set, transfer_syntax_uid)
    except CorruptData:
        return ()
    return tuple(attributes.get(_FAILED_UIDS, {}).get("Value", ()))
