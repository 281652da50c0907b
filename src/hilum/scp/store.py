"""C-STORE: from the fragments of one data set to the status of one instance."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from hilum.archive.model import Origin
from hilum.archive.remotes import DimseUse
from hilum.dicom.uids import STORAGE_SOP_CLASSES
from hilum.dimse import status
from hilum.dimse.messages import CStoreRequest, CStoreResponse
from hilum.kernel.errors import HilumError, InvalidInput
from hilum.kernel.limits import MAX_UID_LENGTH
from hilum.scp.calls import Call, DimseService, Operation, unrecognized
from hilum.scp.negotiation import STORAGE_TRANSFER_SYNTAXES, ScpSettings, is_storage
from hilum.scp.statuses import STORE_STATUSES, Refusal, refusal
from hilum.ul.negotiation import TransferSyntaxRule
from hilum.ul.primitives import AssociateRequest, Buffer, ExtendedNegotiation, RoleSelection

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


# Level 2 (full) storage, bit preserving digital signatures, no coercion (PS3.4 §B.3.1, Table B.3-2).
_STORAGE_LEVELS = bytes((2, 0, 3, 0, 0, 0))


class StorageService(DimseService):
    """Storage (PS3.4 Annex B): every storage SOP class, and unless told otherwise unknown ones."""

    use = DimseUse.STORE

    def __init__(self, store: InstanceStore, settings: ScpSettings) -> None:
        self._store = store
        self._settings = settings

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept the first transfer syntax proposed, or the setting's favourite."""
        if is_storage(abstract_syntax, accept_unknown=self._settings.accept_unknown_sop_classes):
            return TransferSyntaxRule(STORAGE_TRANSFER_SYNTAXES, self._settings.transfer_syntax_order)
        return None

    def role_selection(self, request: AssociateRequest, proposed: RoleSelection) -> RoleSelection | None:
        """Let the requestor be SCP too: the sub-operations of C-GET come to it."""
        return RoleSelection(proposed.sop_class_uid, scu_role=True, scp_role=True)

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Tell how instances are kept: whole, and byte for byte."""
        if proposed.sop_class_uid not in STORAGE_SOP_CLASSES:
            return None
        return ExtendedNegotiation(proposed.sop_class_uid, _STORAGE_LEVELS)

    def begin(self, call: Call) -> Operation | None:
        """Take in an instance."""
        if not isinstance(call.request, CStoreRequest):
            return unrecognized(call)
        return StoreOperation(call, call.request, self._store)


class StoreOperation:
    """One C-STORE request from its command set to its response.

    Pieces of the data set go to the store's sink as they come. After an error the rest of the data set is passed
    over, since a response in the middle of a message would confuse the peer; then the error is the answer.

    Reference: PS3.7 §9.1.1, §9.3.1; PS3.4 §B.2
    """

    def __init__(self, call: Call, request: CStoreRequest, store: InstanceStore) -> None:
        self._call = call
        self._request = request
        self._intake: InstanceIntake | None = None
        self._refusal = _check_uids(request)
        if self._refusal is None:
            try:
                self._intake = store.begin(
                    tenant_id=call.caller.tenant_id,
                    transfer_syntax_uid=call.transfer_syntax,
                    origin=call.caller.origin,
                    expected_sop_instance_uid=request.affected_sop_instance_uid,
                    expected_sop_class_uid=request.affected_sop_class_uid,
                )
            except HilumError as error:
                self._refusal = refusal(error, STORE_STATUSES)

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
            self._call.spawn(self._finish())
        return None

    async def _wait(self, waiting: Awaitable[None], is_last: bool) -> None:
        try:
            await waiting
        except HilumError as error:
            self._refuse(error)
        if is_last:
            self._call.spawn(self._finish())

    def _refuse(self, error: HilumError) -> None:
        """Remember the answer, and let go of what was received at once: the rest may be gigabytes away."""
        self._refusal = refusal(error, STORE_STATUSES)
        self.abandon()

    def abandon(self) -> None:
        """Let what was received vanish."""
        intake, self._intake = self._intake, None
        if intake is not None:
            self._call.spawn(intake.discard())

    async def _finish(self) -> None:
        """Keep the instance and send the response."""
        if self._intake is not None:
            try:
                await self._intake.commit()
            except HilumError as error:
                self._refusal = refusal(error, STORE_STATUSES)
        answer = self._refusal or Refusal(status.SUCCESS, "")
        response = CStoreResponse(
            message_id_being_responded_to=self._request.message_id,
            status=answer.status,
            error_comment=answer.error_comment or None,
            offending_element=answer.offending_element,
            affected_sop_class_uid=_sendable(self._request.affected_sop_class_uid),
            affected_sop_instance_uid=_sendable(self._request.affected_sop_instance_uid),
        )
        self._call.respond(response)


def _check_uids(request: CStoreRequest) -> Refusal | None:
    """Refuse UIDs that are none. Their finer rules are the store's, which sees the data set's own."""
    if not _is_plausible(request.affected_sop_class_uid):
        return Refusal(status.SOP_CLASS_NOT_SUPPORTED, "Affected SOP Class UID is missing or no UID")
    if not _is_plausible(request.affected_sop_instance_uid):
        error = InvalidInput("Affected SOP Instance UID is missing or no UID", attribute="AffectedSOPInstanceUID")
        return Refusal(status.INVALID_SOP_INSTANCE, error.message, refusal(error, STORE_STATUSES).offending_element)
    return None


def _is_plausible(uid: str) -> bool:
    return len(uid) <= MAX_UID_LENGTH and _UID_CHARACTERS.issuperset(uid) and all(uid.split("."))


def _sendable(uid: str) -> str | None:
    """Return the UID as far as it may stand in a response."""
    return uid if _is_plausible(uid) else None
