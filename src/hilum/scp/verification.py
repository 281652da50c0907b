"""C-ECHO: yes, we are here."""

from __future__ import annotations

from hilum.archive.remotes import DimseUse
from hilum.dicom.uids import VERIFICATION
from hilum.dimse import status
from hilum.dimse.messages import CEchoRequest, CEchoResponse
from hilum.scp.calls import Call, DimseService, Operation, unrecognized
from hilum.scp.negotiation import STORAGE_TRANSFER_SYNTAXES
from hilum.ul.negotiation import TransferSyntaxRule


class VerificationService(DimseService):
    """Verification (PS3.4 Annex A)."""

    use = DimseUse.ECHO

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept any transfer syntax: nothing is ever encoded in it."""
        return TransferSyntaxRule(STORAGE_TRANSFER_SYNTAXES) if abstract_syntax == VERIFICATION else None

    def begin(self, call: Call) -> Operation | None:
        """Answer an echo with success.

        Reference: PS3.7 §9.3.5
        """
        if not isinstance(call.request, CEchoRequest):
            return unrecognized(call)
        call.respond(
            CEchoResponse(
                message_id_being_responded_to=call.request.message_id,
                status=status.SUCCESS,
                affected_sop_class_uid=VERIFICATION,
            )
        )
        return None
