"""What C-GET brings back on the same association: the contexts it needs, and the handler that takes it in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from hilum.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
    STORAGE_SOP_CLASSES,
    TRANSFER_SYNTAXES,
)
from hilum.dimse.messages import CStoreRequest, Message
from hilum.kernel.limits import MAX_PRESENTATION_CONTEXTS
from hilum.net.association import Association
from hilum.net.invocations import Invocations
from hilum.scu.handler import RequestorHandler
from hilum.ul.primitives import Buffer, ProposedContext, RoleSelection

# Live video, and pixels that lie elsewhere, are no copy of an instance.
_NO_COPIES: Final = ("SMPTE", "JPIP")
_COMMON: Final = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_LOSSLESS_SV1,
    JPEG_2000_LOSSLESS,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_2000,
)
TRANSFER_SYNTAX_ORDER: Final = tuple(
    dict.fromkeys(
        (
            *_COMMON,
            *(
                syntax.uid
                for syntax in TRANSFER_SYNTAXES.values()
                if not (syntax.is_retired or syntax.keyword.startswith(_NO_COPIES))
            ),
            EXPLICIT_VR_BIG_ENDIAN,
        )
    )
)
"""The transfer syntaxes instances are taken in, those proposed on their own first."""

# The first context is that of the C-GET itself.
_STORAGE_CONTEXTS: Final = MAX_PRESENTATION_CONTEXTS - 1
COMMON_SOP_CLASSES: Final = tuple(
    sorted(
        (each.uid for each in STORAGE_SOP_CLASSES.values() if each.is_patient_object and not each.is_retired),
        key=lambda uid: uid.count("."),
    )[:_STORAGE_CONTEXTS]
)
"""The storage SOP classes proposed when it is unknown what will come: the shorter a UID, the older and commoner."""


def plan_storage(sop_class_uids: Sequence[str]) -> tuple[list[ProposedContext], tuple[RoleSelection, ...]]:
    """Return the contexts, from id 3 on, and roles by which instances of these SOP classes can be sent to us.

    As far as the contexts reach, each transfer syntax has one of its own, so that instances come as they are stored;
    the rest of them share one.

    Reference: PS3.4 §C.5.3, PS3.7 §D.3.3.4
    """
    classes = list(dict.fromkeys(sop_class_uids))[:_STORAGE_CONTEXTS]
    contexts: list[ProposedContext] = []
    share = _STORAGE_CONTEXTS // max(1, len(classes))
    for sop_class_uid in classes:
        alone = TRANSFER_SYNTAX_ORDER[: share - 1]
        together = TRANSFER_SYNTAX_ORDER[share - 1 :]
        for syntaxes in (*((each,) for each in alone), together):
            if syntaxes:
                contexts.append(ProposedContext(2 * len(contexts) + 3, sop_class_uid, syntaxes))
    return contexts, tuple(RoleSelection(each, scu_role=False, scp_role=True) for each in classes)


class IncomingInstance(Protocol):
    """Takes the data set of one C-STORE and then answers it."""

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        """Take a piece."""
        ...

    def abandon(self) -> None:
        """Undo: the association ended before the data set did."""
        ...


BeginIncoming = Callable[[Association, int, CStoreRequest, Invocations], IncomingInstance]
"""Begins to take in an instance that comes over a presentation context of an association."""


class RetrievalHandler(RequestorHandler):
    """The `MessageHandler` of an association on which C-GET is asked and C-STORE is served."""

    def __init__(self, begin: BeginIncoming) -> None:
        super().__init__()
        self._begin = begin
        self._association: Association | None = None
        self._operation: IncomingInstance | None = None

    def serve(self, association: Association) -> None:
        """Serve this association; comes before anything is asked."""
        self._association = association

    def message(self, context_id: int, message: Message) -> Awaitable[None] | None:
        """Begin to take in an instance, or give a response to whoever waits for it.

        Raises:
            RemoteProtocolError: the peer asks for something else.
        """
        if isinstance(message, CStoreRequest):
            assert self._association is not None
            self._operation = self._begin(self._association, context_id, message, self)
            return None
        return super().message(context_id, message)

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        """Give a piece of a data set to the instance it belongs to, or to who streams responses."""
        operation = self._operation
        if operation is None:
            return super().data_set(data, is_last)
        if is_last:
            self._operation = None
        return operation.data_set(data, is_last)

    def end(self) -> None:
        """Undo what was half received, and fail what still waits."""
        if self._operation is not None:
            self._operation.abandon()
            self._operation = None
        super().end()
