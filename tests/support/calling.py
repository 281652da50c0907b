"""Associations by pynetdicom, and the rejections they meet."""

from __future__ import annotations

import time
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ

Rejection = tuple[int, int, int]
"""Result, source and reason (PS3.8 Table 9-21)."""


def call(entity: AE, port: int, called_ae_title: str, **options: Any) -> Association | Rejection:
    """Return the association with an acceptor on this machine, or how it was rejected.

    A rejection is read from the PDU: pynetdicom takes one for an abort when the connection ends before it looks.
    """
    received: list[Rejection] = []

    def note(event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            received.append((event.pdu.result, event.pdu.source, event.pdu.reason_diagnostic))

    association = entity.associate(
        "127.0.0.1", port, ae_title=called_ae_title, evt_handlers=[(evt.EVT_PDU_RECV, note)], **options
    )
    if association.is_established:
        return association
    deadline = time.monotonic() + 5  # what notes it runs on a thread of its own
    while not received:
        assert time.monotonic() < deadline, "neither accepted nor rejected"
        time.sleep(0.01)
    return received[0]
