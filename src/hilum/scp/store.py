"""C-STORE: from the fragments of one data set to the status of one instance."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from hilum.archive.model import Origin
from hilum.dimse import status
from hilum.dimse.messages import CStoreRequest, CStoreResponse
from hilum.kernel.errors import HilumError, InvalidInput
from hilum.kernel.limits import MAX_UID_LENGTH
from hilum.net.association import Association
from hilum.scp.statuses import Refusal, store_refusal
from hilum.ul.primitives import Buffer

_UID_CHARACTERS = frozenset("0123456789.")


class InstanceIntake(Protocol):
    """The sink of one instance's data set."""

    def write(self, data: Buffer) -> Awaitable[None] | None:
        """Take the next bytes, copying them; an awaitable says that the caller has to wait."""
        ...

    async def commit(self) -> object:
        """Keep the instance; once it returns, it is durable and visible."""
        ...

    async def discard(self) -> None:
        """Leave nothing behind."""
        ...


class InstanceStore(Protocol):
    """What C-STORE needs of the store service."""

    def begin(
        self,
        *,
        tenant_id: int,
        transfer_syntax_uid: str,
        origin: Origin,
        expected_sop_instance_uid: str | None = None,
        expected_sop_class_uid: str | None = None,
    ) -> InstanceIntake:
        """Return the sink of one instance."""
        ...


class StoreOperation:
    """One C-STORE request from its command set to its response.

    Pieces of the data set go to the store's sink as they come. After an error the rest of the data set is passed
    over, since a response in the middle of a message would confuse the peer; then the error is the answer.

    Reference: PS3.7 §9.1.1, §9.3.1; PS3.4 §B.2
    """

    def __init__(
        self,
        association: Association,
        context_id: int,
        request: CStoreRequest,
        store: InstanceStore,
        tenant_id: int,
        origin: Origin,
    ) -> None:
        self._association = association
        self._context_id = context_id
        self._request = request
        self._intake: InstanceIntake | None = None
        self._refusal = _check_uids(request)
        if self._refusal is None:
            try:
                self._intake = store.begin(
                    tenant_id=tenant_id,
                    transfer_syntax_uid=association.contexts[context_id].transfer_syntax,
                    origin=origin,
                    expected_sop_instance_uid=request.affected_sop_instance_uid,
                    expected_sop_class_uid=request.affected_sop_class_uid,
                )
            except HilumError as error:
                self._refusal = store_refusal(error)

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        """Give a piece to the sink; with the last one begin to keep the instance, without making the peer wait."""
        waiting: Awaitable[None] | None = None
        if self._intake is not None:
            try:
                waiting = self._intake.write(data)
            except HilumError as error:
                self._refuse(error)
            if waiting is not None:
                return self._wait(waiting, is_last)
        if is_last:
            self._association.spawn(self._finish())
        return None

    async def _wait(self, waiting: Awaitable[None], is_last: bool) -> None:
        try:
            await waiting
        except HilumError as error:
            self._refuse(error)
        if is_last:
            self._association.spawn(self._finish())

    def _refuse(self, error: HilumError) -> None:
        """Remember the answer, and let go of what was received at once: the rest may be gigabytes away."""
        self._refusal = store_refusal(error)
        self.abandon()

    def abandon(self) -> None:
        """Let what was received vanish."""
        intake, self._intake = self._intake, None
        if intake is not None:
            self._association.spawn(intake.discard())

    async def _finish(self) -> None:
        """Keep the instance and send the response."""
        if self._intake is not None:
            try:
                await self._intake.commit()
            except HilumError as error:
                self._refusal = store_refusal(error)
        refusal = self._refusal or Refusal(status.SUCCESS, "")
        response = CStoreResponse(
            message_id_being_responded_to=self._request.message_id,
            status=refusal.status,
            error_comment=refusal.error_comment or None,
            offending_element=refusal.offending_element,
            affected_sop_class_uid=_sendable(self._request.affected_sop_class_uid),
            affected_sop_instance_uid=_sendable(self._request.affected_sop_instance_uid),
        )
        self._association.respond(self._context_id, response)


def _check_uids(request: CStoreRequest) -> Refusal | None:
    """Refuse UIDs that are none. Their finer rules are the store's, which sees the data set's own."""
    if not _is_plausible(request.affected_sop_class_uid):
        return Refusal(status.SOP_CLASS_NOT_SUPPORTED, "Affected SOP Class UID is missing or no UID")
    if not _is_plausible(request.affected_sop_instance_uid):
        error = InvalidInput("Affected SOP Instance UID is missing or no UID", attribute="AffectedSOPInstanceUID")
        return Refusal(status.INVALID_SOP_INSTANCE, error.message, store_refusal(error).offending_element)
    return None


def _is_plausible(uid: str) -> bool:
    return len(uid) <= MAX_UID_LENGTH and _UID_CHARACTERS.issuperset(uid) and all(uid.split("."))


def _sendable(uid: str) -> str | None:
    """Return the UID as far as it may stand in a response."""
    return uid if _is_plausible(uid) else None
