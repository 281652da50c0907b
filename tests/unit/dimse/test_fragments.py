"""Fragmentation: PS3.8 Annex D.1 and E."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.dimse.command_set import encode_command_set
from hilum.dimse.fragments import fragment_command, fragment_data_set, max_fragment_bytes
from hilum.dimse.messages import CEchoRequest
from hilum.kernel.errors import LocalProtocolError
from hilum.kernel.limits import MAX_PDU_LENGTH_BYTES

ECHO = CEchoRequest(message_id=1, affected_sop_class_uid="1.2.840.10008.1.1")


@given(st.binary(max_size=300), st.integers(1, 40).map(lambda words: 2 * words))
def test_fragments_joined_are_the_data_set_and_only_the_last_is_marked(data: bytes, fragment_bytes: int) -> None:
    pdvs = [pdv for each in fragment_data_set(3, data, fragment_bytes, is_end=True) for pdv in each.pdvs]
    assert b"".join(bytes(pdv.data) for pdv in pdvs) == data
    assert [pdv.is_last for pdv in pdvs] == [False] * (len(pdvs) - 1) + [True]
    assert all(len(pdv.data) <= fragment_bytes and pdv.context_id == 3 and not pdv.is_command for pdv in pdvs)


def test_fragments_are_views_into_the_data_set() -> None:
    data = bytearray(100)
    (first, second) = fragment_data_set(1, data, 64, is_end=True)
    data[:] = b"x" * 100
    assert bytes(first.pdvs[0].data) + bytes(second.pdvs[0].data) == b"x" * 100


def test_pieces_of_a_data_set_carry_no_last_mark_until_the_end() -> None:
    pieces = [*fragment_data_set(1, b"abcd", 2, is_end=False), *fragment_data_set(1, b"", 2, is_end=True)]
    assert [pdv.is_last for each in pieces for pdv in each.pdvs] == [False, False, True]
    assert list(fragment_data_set(1, b"", 2, is_end=False)) == []


def test_a_command_set_is_cut_to_the_peers_bound_too() -> None:
    pdvs = [pdv for each in fragment_command(5, ECHO, 16) for pdv in each.pdvs]
    assert b"".join(bytes(pdv.data) for pdv in pdvs) == encode_command_set(ECHO)
    assert all(pdv.is_command and len(pdv.data) <= 16 for pdv in pdvs)
    assert [pdv.is_last for pdv in pdvs].count(True) == 1
    assert pdvs[-1].is_last


@pytest.mark.parametrize(
    ("announced", "expected"),
    [(0, MAX_PDU_LENGTH_BYTES - 6), (16384, 16378), (16385, 16378), (1 << 31, MAX_PDU_LENGTH_BYTES - 6), (8, 2)],
)
def test_fragments_fit_the_announced_length_with_their_header(announced: int, expected: int) -> None:
    assert max_fragment_bytes(announced) == expected


@pytest.mark.parametrize("announced", [1, 6, 7])
def test_a_bound_without_room_for_a_word_is_refused(announced: int) -> None:
    with pytest.raises(LocalProtocolError):
        max_fragment_bytes(announced)
