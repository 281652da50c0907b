"""The sub-operations of one C-MOVE or C-GET: their counts, the responses that tell them, the status they come to.

Reference: PS3.4 §C.4.2.1.6 to §C.4.2.3, §C.4.3.1.4 to §C.4.3.3
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from hilum.dicom.data_sets import write_data_set
from hilum.dicom.dictionary import tag_of
from hilum.dimse import status
from hilum.dimse.messages import RESPONSES, CGetResponse, CMoveResponse
from hilum.dimse.status import STORAGE, StatusCategory, describe_status
from hilum.kernel.limits import PENDING_EACH_SUBOPERATIONS, PENDING_INTERVAL_S, PENDING_LATEST_S
from hilum.observe.logs import get_logger
from hilum.scp.calls import Call

_FAILED_SOP_INSTANCE_UID_LIST: Final = tag_of("FailedSOPInstanceUIDList")


class Outcome(Enum):
    """What became of one sub-operation."""

    COMPLETED = "completed"
    WARNING = "warning"
    FAILED = "failed"


def outcome_of(store_status: int) -> Outcome:
    """Return what a sub-operation comes to whose C-STORE was answered with this status.

    Reference: PS3.4 §C.4.2.1.7 to §C.4.2.1.9, Table B.2-1
    """
    match describe_status(store_status, STORAGE).category:
        case StatusCategory.SUCCESS:
            return Outcome.COMPLETED
        case StatusCategory.WARNING:
            return Outcome.WARNING
    return Outcome.FAILED


@dataclass(slots=True)
class SubOperations:
    """Counts that always add up to `total`; `reason` is why the first one failed."""

    total: int
    completed: int = 0
    warning: int = 0
    failed_sop_instance_uids: list[str] = field(default_factory=list)
    reason: str = ""

    @property
    def failed(self) -> int:
        """How many have failed."""
        return len(self.failed_sop_instance_uids)

    @property
    def remaining(self) -> int:
        """How many have no outcome."""
        return self.total - self.completed - self.warning - self.failed

    def note(self, outcome: Outcome, sop_instance_uid: str, reason: str = "") -> None:
        """Count one more."""
        match outcome:
            case Outcome.COMPLETED:
                self.completed += 1
            case Outcome.WARNING:
                self.warning += 1
            case Outcome.FAILED:
                self.failed_sop_instance_uids.append(sop_instance_uid)
                self.reason = self.reason or reason

    @property
    def final_status(self) -> int:
        """The status of the final response; what remains was cancelled.

        Reference: PS3.4 §C.4.2.3.1, Tables C.4-2 and C.4-3
        """
        if self.remaining:
            return status.CANCEL
        if self.failed and self.failed == self.total:
            return status.CANNOT_PERFORM_SUBOPERATIONS
        if self.failed or self.warning:
            return status.SUBOPERATIONS_WITH_FAILURES
        return status.SUCCESS


class Progress:
    """Tells the peer how its retrieval goes on.

    A pending response follows each of a few sub-operations; of many, each that comes some time after the last response.
    """

    def __init__(self, call: Call, total: int, destination: str | None = None) -> None:
        self.counts = SubOperations(total)
        self._call = call
        self._destination = destination
        self._loop = asyncio.get_running_loop()
        self._began = self._responded_at = self._loop.time()

    def note(self, outcome: Outcome, sop_instance_uid: str, reason: str = "") -> None:
        """Count a sub-operation that has ended, and tell of it unless that would be too often."""
        counts = self.counts
        counts.note(outcome, sop_instance_uid, reason)
        if counts.remaining and (
            counts.total <= PENDING_EACH_SUBOPERATIONS or self._loop.time() - self._responded_at >= PENDING_INTERVAL_S
        ):
            self._pend()

    def keep_alive(self) -> None:
        """Tell that work goes on, when the peer has heard nothing for long."""
        if self._loop.time() - self._responded_at >= PENDING_LATEST_S:
            self._pend()

    def _pend(self) -> None:
        self._responded_at = self._loop.time()
        self._call.respond(self._response(status.PENDING))

    async def finish(self) -> None:
        """Send the final response, with the UIDs of what failed.

        Raises:
            Unavailable: the association has ended.
        """
        counts = self.counts
        final = counts.final_status
        self._log(final)
        if not counts.failed:
            self._call.respond(self._response(final))
            return
        # Longer than an explicit VR's length can say, the list becomes one of unknown VR (PS3.5 §6.2.2).
        identifier = {_FAILED_SOP_INSTANCE_UID_LIST: {"vr": "UI", "Value": counts.failed_sop_instance_uids}}
        await self._call.respond_with(
            self._response(final, has_data_set=True), write_data_set(identifier, self._call.transfer_syntax)
        )

    def _response(self, code: int, *, has_data_set: bool = False) -> CGetResponse | CMoveResponse:
        counts = self.counts
        response = RESPONSES[self._call.request.command_field]
        assert issubclass(response, CGetResponse | CMoveResponse)
        return response(
            message_id_being_responded_to=self._call.request.message_id,
            status=code,
            affected_sop_class_uid=self._call.abstract_syntax,
            # What has come to an end by itself has no remaining ones to tell of (PS3.4 §C.4.2.1.6).
            number_of_remaining_suboperations=counts.remaining if code in (status.PENDING, status.CANCEL) else None,
            number_of_completed_suboperations=counts.completed,
            number_of_failed_suboperations=counts.failed,
            number_of_warning_suboperations=counts.warning,
            error_comment=counts.reason or None if has_data_set else None,
            has_data_set=has_data_set,
        )

    def _log(self, final: int) -> None:
        counts, origin = self.counts, self._call.caller.origin
        get_logger("scp").info(
            "retrieval ended",
            tenant=self._call.caller.tenant_id,
            association=self._call.association.number,
            calling_ae_title=origin.calling_ae_title,
            ae_title=self._destination,
            status=f"{final:04X}",
            count=counts.total,
            result=f"{counts.completed} completed, {counts.warning} warning, {counts.failed} failed, "
            f"{counts.remaining} remaining",
            reason=counts.reason or None,
            duration_s=round(self._loop.time() - self._began, 3),
        )
