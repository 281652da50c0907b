"""C-FIND as SCU: what a remote has, or has planned, as DICOM JSON."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable

from hilum.archive.model import DicomJson
from hilum.archive.query import Level
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.dictionary import tag_of
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.dimse.messages import CFindRequest, Priority
from hilum.dimse.status import QUERY, StatusCategory, describe_status
from hilum.kernel.errors import CorruptData, HilumError, Unsupported
from hilum.kernel.limits import RESPONSE_TIMEOUT_S
from hilum.scu.answers import failure
from hilum.scu.handler import RequestorHandler
from hilum.scu.models import FIND, LEVEL_NAMES, InformationModel, extensions
from hilum.scu.remote import Remote, call, ended
from hilum.ul.primitives import ProposedContext

_CONTEXT_ID = 1
_LEVEL = tag_of("QueryRetrieveLevel")


async def find(
    remote: Remote,
    keys: DicomJson,
    *,
    calling_ae_title: str,
    level: Level = Level.STUDY,
    model: InformationModel = InformationModel.STUDY,
    is_relational: bool = False,
    is_fuzzy: bool = False,
    priority: int = Priority.MEDIUM,
    silence_s: float = RESPONSE_TIMEOUT_S,
    on_warning: Callable[[str], object] = lambda meaning: None,
) -> AsyncGenerator[DicomJson, None]:
    """Yield the matches as the remote finds them; closed early, the query is cancelled.

    Args:
        remote: whom to ask.
        keys: the identifier without its level: values to match, and empty ones for what else is to be returned.
        calling_ae_title: who we say we are.
        level: what a match is; the worklist has none.
        model: in which hierarchy. Plain queries need the unique keys of the levels above.
        is_relational: ask for leave to do without those.
        is_fuzzy: ask for names to be matched by sound.
        priority: what the remote is told of the urgency.
        silence_s: how long the remote may send nothing.
        on_warning: told of a final status that is a warning, as when there are more matches than it returns.

    Raises:
        Unavailable, Forbidden, RemoteProtocolError: there is no association to be had, or it ended.
        Unsupported: the remote does not answer such queries.
        InvalidInput: a value does not fit its VR, or the remote has no use for the keys.
        CorruptData: after all others were yielded: some matches cannot be read.

    Reference: PS3.4 §C.4.1, Annex K.4.1
    """
    sop_class_uid = FIND[model]
    handler = RequestorHandler()
    asked = (extensions(sop_class_uid, is_relational=is_relational, is_fuzzy=is_fuzzy),)
    association = await call(
        remote,
        calling_ae_title,
        [ProposedContext(_CONTEXT_ID, sop_class_uid, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))],
        handler,
        extended_negotiations=asked if is_relational or is_fuzzy else (),
    )
    error: HilumError | None = None
    async with ended(association):
        context = association.contexts.get(_CONTEXT_ID)
        if context is None:
            raise Unsupported(f"the remote does not answer queries of the {model} model", code="context-refused")
        identifier = dict(keys)
        if model is not InformationModel.WORKLIST:
            identifier[_LEVEL] = {"vr": "CS", "Value": [LEVEL_NAMES[level]]}
        answers = handler.responses.stream(
            association,
            _CONTEXT_ID,
            CFindRequest(message_id=1, affected_sop_class_uid=sop_class_uid, priority=priority),
            write_data_set(identifier, context.transfer_syntax, character_set=remote.character_set),
            silence_s=silence_s,
        )
        async with contextlib.aclosing(answers):
            async for response, data_set in answers:
                row = describe_status(response.status, QUERY)
                if row.category is StatusCategory.PENDING and data_set is not None:
                    try:
                        match = read_data_set(data_set, context.transfer_syntax)
                    except CorruptData as damage:
                        error = damage
                        continue
                    yield match
                elif row.category is StatusCategory.WARNING:
                    on_warning(row.meaning)
                elif row.category is StatusCategory.FAILURE:
                    error = failure(response, QUERY)
    if error is not None:
        raise error
