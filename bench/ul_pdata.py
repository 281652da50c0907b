"""How fast the upper layer reads P-DATA: gigabytes per second of large PDUs, PDUs per second of small ones.

Run: python bench/ul_pdata.py
"""

from __future__ import annotations

import argparse
import time

from hilum.ul.core import AssociationCore, Role
from hilum.ul.primitives import (
    NEED_DATA,
    AssociateAccept,
    AssociateRequest,
    ContextAnswer,
    ContextResult,
    PData,
    PresentationDataValue,
    ProposedContext,
    UserInformation,
)

INFORMATION = UserInformation(max_pdu_length=256 * 1024, implementation_class_uid="2.25.1")


def associate() -> tuple[AssociationCore, AssociationCore]:
    """Return a requestor and an acceptor with an association between them."""
    requestor, acceptor = AssociationCore(Role.REQUESTOR, now=0), AssociationCore(Role.ACCEPTOR, now=0)
    requestor.send(AssociateRequest("B", "A", "2.25.2", (ProposedContext(1, "2.25.3", ("2.25.4",)),), INFORMATION), 0)
    acceptor.receive_data(b"".join(requestor.data_to_send()), 0)
    acceptor.next_event()
    answer = ContextAnswer(1, ContextResult.ACCEPTANCE, "2.25.4")
    acceptor.send(AssociateAccept("B", "A", "2.25.2", (answer,), INFORMATION), 0)
    requestor.receive_data(b"".join(acceptor.data_to_send()), 0)
    requestor.next_event()
    return requestor, acceptor


def measure(data_length: int, chunk_size: int, total_size: int) -> tuple[float, float]:
    """Return bytes per second and PDUs per second of P-DATA with PDVs of `data_length`, read in chunks."""
    requestor, acceptor = associate()
    pdv = PresentationDataValue(1, False, False, bytes(data_length))
    pdu_count = max(1, min(total_size, 64 * 1024 * 1024) // (data_length + 12))
    for _ in range(pdu_count):
        requestor.send(PData((pdv,)), 0)
    stream = b"".join(requestor.data_to_send())
    chunks = [stream[start : start + chunk_size] for start in range(0, len(stream), chunk_size)]
    rounds = max(1, total_size // len(stream))
    received = 0
    start = time.perf_counter()
    for _ in range(rounds):
        for chunk in chunks:
            acceptor.receive_data(chunk, 0)
            while (event := acceptor.next_event()) is not NEED_DATA:
                assert isinstance(event, PData)
                received += len(event.pdvs[0].data)
    elapsed = time.perf_counter() - start
    assert received == rounds * pdu_count * data_length
    return received / elapsed, rounds * pdu_count / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--total-mib", type=int, default=1024)
    total_size = parser.parse_args().total_mib * 1024 * 1024
    for data_length in (128 * 1024 - 6, 16 * 1024 - 6):
        for chunk_size in (256 * 1024, 64 * 1024):
            rate, pdu_rate = measure(data_length, chunk_size, total_size)
            report(data_length, chunk_size, rate, pdu_rate)
    report(100, 256 * 1024, *measure(100, 256 * 1024, total_size // 64))


def report(data_length: int, chunk_size: int, rate: float, pdu_rate: float) -> None:
    """Print one line."""
    print(f"PDVs of {data_length:>6} bytes, reads of {chunk_size:>6}: {rate / 1e9:6.2f} GB/s, {pdu_rate:7.0f} PDUs/s")


if __name__ == "__main__":
    main()
