"""Fuzz DIMSE: any command set, in any fragments; only violations with the abort they deserve may escape.

Run: python fuzz/dimse_command_set.py -runs=50000
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["hilum"]):
    from hilum.dimse.command_set import decode_command_set, encode_command_set
    from hilum.dimse.exchanges import Exchanges
    from hilum.dimse.messages import CStoreRequest, CStoreResponse
    from hilum.kernel.errors import LocalProtocolError, RemoteProtocolError
    from hilum.ul.primitives import Abort, PresentationDataValue

SEEDS = [
    encode_command_set(CStoreRequest(message_id=1, affected_sop_class_uid="1.2", affected_sop_instance_uid="1.3")),
    encode_command_set(
        CStoreResponse(
            message_id_being_responded_to=1, status=0xC000, error_comment="why", offending_element=(0x0020000D,)
        )
    ),
]


def one_input(data: bytes) -> None:
    """Damage a command set, or take the bytes as one, and let it come in pieces."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        command = bytearray(SEEDS[provider.ConsumeIntInRange(0, len(SEEDS) - 1)])
        for _ in range(provider.ConsumeIntInRange(0, 6)):
            command[provider.ConsumeIntInRange(0, len(command) - 1)] = provider.ConsumeIntInRange(0, 255)
    else:
        command = bytearray(provider.ConsumeBytes(512))
    cut = provider.ConsumeIntInRange(0, len(command))
    exchanges = Exchanges({1}, max_performed=2)
    try:
        message = decode_command_set(command)
    except RemoteProtocolError as error:
        assert error.answer == Abort()
    else:
        try:
            # A peer's text may hold what ours may not; numbers and lists always fit.
            encode_command_set(message)
        except LocalProtocolError:
            pass
    try:
        exchanges.receive(PresentationDataValue(1, True, False, command[:cut]))
        exchanges.receive(PresentationDataValue(1, True, True, command[cut:]))
        exchanges.receive(PresentationDataValue(1, provider.ConsumeBool(), provider.ConsumeBool(), b"ab"))
    except RemoteProtocolError as error:
        assert error.answer == Abort()


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
