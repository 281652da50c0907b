"""Messages cut into P-DATA primitives that fit the peer's largest PDU, without copying the data set."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.dimse.command_set import encode_command_set
from hilum.dimse.messages import Message
from hilum.kernel.errors import LocalProtocolError
from hilum.kernel.limits import MAX_PDU_LENGTH_BYTES
from hilum.ul.primitives import Buffer, PData, PresentationDataValue

# Length, context id and message control header that precede each fragment inside the PDU (PS3.8 §9.3.5.1).
PDV_OVERHEAD_BYTES = 6


def max_fragment_bytes(peer_max_pdu_length: int) -> int:
    """Return how long a fragment may be so that a PDU with it alone fits the peer's bound (0: no bound).

    Fragments are kept even, as many readers want whole 16-bit words in each.

    Raises:
        LocalProtocolError: the peer's bound leaves no room for a single word.

    Reference: PS3.8 Annex D.1
    """
    bound = MAX_PDU_LENGTH_BYTES if peer_max_pdu_length == 0 else min(peer_max_pdu_length, MAX_PDU_LENGTH_BYTES)
    room = (bound - PDV_OVERHEAD_BYTES) & ~1
    if room < 2:
        raise LocalProtocolError("the peer's largest PDU has no room for data", max_pdu_length=peer_max_pdu_length)
    return room


def fragment_command(context_id: int, message: Message, fragment_bytes: int) -> Iterator[PData]:
    """Yield the P-DATA primitives of the command set of `message`, one fragment each.

    Reference: PS3.7 §6.3.1, PS3.8 Annex E
    """
    command = memoryview(encode_command_set(message))
    yield from _fragment(context_id, command, fragment_bytes, is_command=True, is_end=True)


def fragment_data_set(context_id: int, data: Buffer, fragment_bytes: int, *, is_end: bool) -> Iterator[PData]:
    """Yield the P-DATA primitives of a piece of a data set, each a view into `data`.

    A data set may be sent in any number of pieces; `is_end` says that this is the last one, which may be empty.

    Reference: PS3.8 Annex E
    """
    yield from _fragment(context_id, memoryview(data), fragment_bytes, is_command=False, is_end=is_end)


def _fragment(
    context_id: int, data: memoryview, fragment_bytes: int, *, is_command: bool, is_end: bool
) -> Iterator[PData]:
    length = len(data)
    if length == 0 and is_end:
        yield PData((PresentationDataValue(context_id, is_command, True, data),))
    for start in range(0, length, fragment_bytes):
        end = min(start + fragment_bytes, length)
        is_last = is_end and end == length
        yield PData((PresentationDataValue(context_id, is_command, is_last, data[start:end]),))
