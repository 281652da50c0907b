"""Any conversation, cut in any way, is read as what was said: PS3.7 §6.3.1, PS3.8 Annex E."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hilum.dimse.exchanges import DataSetFragment, Exchanges, MessageReceived
from hilum.dimse.fragments import fragment_command, fragment_data_set
from hilum.dimse.messages import CEchoRequest, CStoreRequest, Request
from hilum.kernel.errors import RemoteProtocolError
from hilum.ul.primitives import Abort, PresentationDataValue

_UIDS = st.from_regex(r"[12](\.[1-9][0-9]{0,5}){1,5}", fullmatch=True)
_CONTEXTS = (1, 3, 5)


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[int, Request, bytes | None]]:
    said: list[tuple[int, Request, bytes | None]] = []
    for message_id in range(1, draw(st.integers(1, 5)) + 1):
        context_id = draw(st.sampled_from(_CONTEXTS))
        if draw(st.booleans()):
            said.append((context_id, CEchoRequest(message_id=message_id, affected_sop_class_uid=draw(_UIDS)), None))
        else:
            request = CStoreRequest(
                message_id=message_id, affected_sop_class_uid=draw(_UIDS), affected_sop_instance_uid=draw(_UIDS)
            )
            said.append((context_id, request, draw(st.binary(max_size=200))))
    return said


def pdvs_of(said: list[tuple[int, Request, bytes | None]], fragment_bytes: int) -> list[PresentationDataValue]:
    parts = []
    for context_id, request, data_set in said:
        parts += fragment_command(context_id, request, fragment_bytes)
        if data_set is not None:
            parts += fragment_data_set(context_id, data_set, fragment_bytes, is_end=True)
    return [pdv for part in parts for pdv in part.pdvs]


@given(conversations(), st.integers(1, 60).map(lambda words: 2 * words))
def test_messages_and_data_sets_come_back_whole(
    said: list[tuple[int, Request, bytes | None]], fragment_bytes: int
) -> None:
    exchanges = Exchanges(_CONTEXTS, max_performed=0)
    heard: list[tuple[int, Request, bytes | None]] = []
    data_set = b""
    for pdv in pdvs_of(said, fragment_bytes):
        event = exchanges.receive(pdv)
        if isinstance(event, MessageReceived):
            assert isinstance(event.message, Request)
            heard.append((event.context_id, event.message, None))
        elif isinstance(event, DataSetFragment):
            data_set += event.data
            if event.is_last:
                heard[-1] = (*heard[-1][:2], data_set)
                data_set = b""
    assert heard == said
    assert not exchanges.is_receiving


@given(conversations(), st.integers(1, 60).map(lambda words: 2 * words), st.data())
def test_a_fragment_lost_repeated_or_moved_is_read_or_refused_but_never_fails_otherwise(
    said: list[tuple[int, Request, bytes | None]], fragment_bytes: int, data: st.DataObject
) -> None:
    pdvs = pdvs_of(said, fragment_bytes)
    place, other = (data.draw(st.integers(0, len(pdvs) - 1)) for _ in range(2))
    match data.draw(st.sampled_from(["lost", "repeated", "moved"])):
        case "lost":
            del pdvs[place]
        case "repeated":
            pdvs.insert(other, pdvs[place])
        case _:
            pdvs.insert(other, pdvs.pop(place))
    exchanges = Exchanges(_CONTEXTS, max_performed=0)
    try:
        for pdv in pdvs:
            exchanges.receive(pdv)
    except RemoteProtocolError as error:
        assert error.answer == Abort()
