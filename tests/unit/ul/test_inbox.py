from __future__ import annotations

import pytest

from hilum.ul.inbox import Inbox
from support.ul import P_DATA_TF, RELEASE_RQ, raw_pdu


def drain(inbox: Inbox) -> list[tuple[int, bytes]]:
    pdus = []
    while (header := inbox.header()) is not None and (body := inbox.body()) is not None:
        pdus.append((header[0], bytes(body)))
    return pdus


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 6, 7, 13, 1000])
def test_pdus_come_out_whole_however_they_are_cut(chunk_size: int) -> None:
    stream = P_DATA_TF + RELEASE_RQ + raw_pdu(4, bytes(range(200)))
    inbox = Inbox()
    pdus = []
    for start in range(0, len(stream), chunk_size):
        inbox.feed(stream[start : start + chunk_size])
        pdus += drain(inbox)
    assert pdus == [(4, P_DATA_TF[6:]), (5, bytes(4)), (4, bytes(range(200)))]


def test_pdus_come_out_whole_when_many_chunks_wait() -> None:
    inbox = Inbox()
    for byte in P_DATA_TF + RELEASE_RQ:
        inbox.feed(bytes((byte,)))
        inbox.feed(b"")
    assert drain(inbox) == [(4, P_DATA_TF[6:]), (5, bytes(4))]


def test_pdu_that_lies_whole_in_a_chunk_is_a_view_of_it() -> None:
    inbox = Inbox()
    chunk = RELEASE_RQ + P_DATA_TF
    inbox.feed(chunk)
    inbox.header()
    inbox.body()
    inbox.header()
    body = inbox.body()
    assert body is not None
    assert body.obj is chunk


def test_what_was_handed_out_does_not_change_with_what_comes_later() -> None:
    inbox = Inbox()
    first, second = raw_pdu(4, b"a" * 50), raw_pdu(4, b"b" * 50)
    inbox.feed(first[:30])
    assert drain(inbox) == []
    inbox.feed(first[30:] + second[:10])
    inbox.header()
    body = inbox.body()
    inbox.feed(second[10:])
    assert drain(inbox) == [(4, b"b" * 50)]
    assert body == b"a" * 50


@pytest.mark.parametrize("cut", [6, 7, 20, 105, 106])
def test_skipped_body_is_passed_over_wherever_it_is_cut(cut: int) -> None:
    inbox = Inbox()
    stream = raw_pdu(1, bytes(100)) + RELEASE_RQ
    inbox.feed(stream[:cut])
    assert inbox.header() == (1, 100)
    inbox.skip_body()
    assert inbox.header() is None or cut == len(stream)
    inbox.feed(stream[cut:])
    assert drain(inbox) == [(5, bytes(4))]


def test_body_can_be_skipped_after_part_of_it_was_gathered() -> None:
    inbox = Inbox()
    stream = raw_pdu(1, bytes(100)) + RELEASE_RQ
    inbox.feed(stream[:50])
    assert inbox.header() == (1, 100)
    assert inbox.body() is None
    inbox.skip_body()
    inbox.feed(stream[50:])
    assert drain(inbox) == [(5, bytes(4))]


def test_closed_inbox_takes_nothing() -> None:
    inbox = Inbox()
    inbox.feed(RELEASE_RQ)
    inbox.close()
    inbox.feed(RELEASE_RQ)
    assert inbox.header() is None
