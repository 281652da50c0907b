"""What a remote's final status means to whoever asked."""

from __future__ import annotations

from typing import Final

from hilum.dimse import status
from hilum.dimse.messages import Response
from hilum.dimse.status import StatusCategory, StatusRow, describe_status
from hilum.kernel.errors import Forbidden, HilumError, InvalidInput, Unavailable, Unsupported

_FAMILIES: Final[dict[int, type[HilumError]]] = {
    status.NOT_AUTHORIZED: Forbidden,
    status.SOP_CLASS_NOT_SUPPORTED: Unsupported,
    status.UNRECOGNIZED_OPERATION: Unsupported,
    status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS: InvalidInput,
    status.INVALID_ATTRIBUTE_VALUE: InvalidInput,
    status.INVALID_ARGUMENT_VALUE: InvalidInput,
    status.MISSING_ATTRIBUTE: InvalidInput,
    status.MISSING_ATTRIBUTE_VALUE: InvalidInput,
}

# What says of a notice that trying again may help; other failures stay what they are.
_PASSING: Final = frozenset({status.PROCESSING_FAILURE, status.RESOURCE_LIMITATION})

REMOTE_STATUS: Final = "remote-status"
"""The code of errors that are a remote's answer."""


def failure(response: Response, service: tuple[StatusRow, ...]) -> HilumError:
    """Return the error a response with a failure is, by the service's status table.

    The remote's comment is left out: it may say anything of anybody.

    Reference: PS3.7 Annex C
    """
    family = _FAMILIES.get(response.status, Unavailable)
    meaning = describe_status(response.status, service).meaning
    return family(f"the remote answered {response.status:04X}: {meaning}", code=REMOTE_STATUS, status=response.status)


def require_taken(response: Response, code: str) -> None:
    """Make sure that a remote has taken a notice.

    Raises:
        Unavailable: it cannot take it now.
        Unsupported: it will not take this one.

    Reference: PS3.7 Annex C
    """
    row = describe_status(response.status)
    if row.category is StatusCategory.FAILURE:
        family = Unavailable if response.status in _PASSING else Unsupported
        raise family(f"the remote answered {response.status:04X}: {row.meaning}", code=code)
