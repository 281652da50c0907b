"""What a destination's answer means for an instance: sent, to be sent again, or given up.

Reference: PS3.4 §B.2.3 (statuses of C-STORE), PS3.7 Annex C
"""

from __future__ import annotations

from typing import Final

from hilum.archive.forwarding import ClaimedInstance, ForwardOutcome, ForwardState
from hilum.archive.sending import InstanceSent, SendState
from hilum.kernel.limits import MAX_FORWARD_ATTEMPTS

# Failures of the moment: refused for lack of resources, processing failure, resource limitation. All others stay.
_PASSING: Final = (range(0xA700, 0xA800), range(0x0110, 0x0111), range(0x0213, 0x0214))


def is_passing(status: int | None) -> bool:
    """Return whether the same instance may be taken another time after this failure status."""
    return status is not None and any(status in statuses for statuses in _PASSING)


def outcome_of(claimed: ClaimedInstance, sent: InstanceSent) -> ForwardOutcome:
    """Return how the instance stands after this try, which counts when it is to be tried again."""
    key = (claimed.instance.instance_key, claimed.version)
    if sent.state is SendState.STORED:
        return ForwardOutcome(*key, ForwardState.SENT, sent.status, sent.reason)
    may_pass = sent.state is SendState.FAILED or is_passing(sent.status)
    if may_pass and claimed.attempt + 1 < MAX_FORWARD_ATTEMPTS:
        return ForwardOutcome(*key, ForwardState.WAITING, sent.status, sent.reason, counts=True)
    return ForwardOutcome(*key, ForwardState.FAILED, sent.status, sent.reason, counts=True)
