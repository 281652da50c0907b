"""Who may say what when: PS3.7 §6.3, §D.3.3.3; PS3.8 Annex E."""

from __future__ import annotations

import pytest

from hilum.dimse.command_set import encode_command_set
from hilum.dimse.exchanges import DataSetFragment, Exchanges, MessageReceived
from hilum.dimse.messages import (
    CCancelRequest,
    CEchoRequest,
    CEchoResponse,
    CFindRequest,
    CFindResponse,
    CStoreRequest,
    CStoreResponse,
    Message,
)
from hilum.dimse.status import PENDING, SUCCESS
from hilum.kernel.errors import LocalProtocolError, RemoteProtocolError
from hilum.kernel.limits import MAX_COMMAND_SET_BYTES
from hilum.ul.primitives import Abort, PresentationDataValue

VERIFICATION = "1.2.840.10008.1.1"


def command(message: Message, context_id: int = 1) -> PresentationDataValue:
    return PresentationDataValue(context_id, True, True, encode_command_set(message))


def data(content: bytes, *, is_last: bool = False, context_id: int = 1) -> PresentationDataValue:
    return PresentationDataValue(context_id, False, is_last, content)


def echo(message_id: int = 1) -> CEchoRequest:
    return CEchoRequest(message_id=message_id, affected_sop_class_uid=VERIFICATION)


def store(message_id: int = 1) -> CStoreRequest:
    return CStoreRequest(message_id=message_id, affected_sop_class_uid="1.2", affected_sop_instance_uid="1.3")


def find(message_id: int = 1) -> CFindRequest:
    return CFindRequest(message_id=message_id, affected_sop_class_uid="1.2")


def assert_aborts(exchanges: Exchanges, pdv: PresentationDataValue, match: str) -> None:
    with pytest.raises(RemoteProtocolError, match=match) as caught:
        exchanges.receive(pdv)
    assert caught.value.answer == Abort()


class TestReceiving:
    """PS3.8 Annex E.2: a message is one run of fragments, the command set first."""

    def test_a_message_without_data_set_is_complete_with_its_command_set(self) -> None:
        exchanges = Exchanges({1})
        assert exchanges.receive(command(echo())) == MessageReceived(1, echo())
        assert not exchanges.is_receiving

    def test_a_command_set_may_come_byte_by_byte(self) -> None:
        exchanges = Exchanges({1})
        encoded = encode_command_set(echo())
        for position in range(len(encoded) - 1):
            assert exchanges.receive(PresentationDataValue(1, True, False, encoded[position : position + 1])) is None
            assert exchanges.is_receiving
        last = exchanges.receive(PresentationDataValue(1, True, True, encoded[-1:]))
        assert last == MessageReceived(1, echo())

    def test_a_command_set_may_end_with_an_empty_fragment(self) -> None:
        exchanges = Exchanges({1})
        assert exchanges.receive(PresentationDataValue(1, True, False, encode_command_set(echo()))) is None
        assert exchanges.receive(PresentationDataValue(1, True, True, b"")) == MessageReceived(1, echo())

    def test_fragments_of_a_data_set_are_handed_on_uncopied(self) -> None:
        exchanges = Exchanges({1})
        exchanges.receive(command(store()))
        content = memoryview(b"abcd")
        event = exchanges.receive(PresentationDataValue(1, False, False, content))
        assert isinstance(event, DataSetFragment)
        assert event.data is content
        assert exchanges.is_receiving
        assert exchanges.receive(data(b"", is_last=True)) == DataSetFragment(b"", True)
        assert not exchanges.is_receiving

    def test_a_data_set_without_command_set_is_a_violation(self) -> None:
        assert_aborts(Exchanges({1}), data(b"abcd"), "without a command set")

    def test_a_message_on_a_context_that_was_not_accepted_is_a_violation(self) -> None:
        assert_aborts(Exchanges({1}), command(echo(), context_id=3), "not accepted")

    def test_a_command_set_inside_a_data_set_is_a_violation(self) -> None:
        exchanges = Exchanges({1}, max_performed=0)
        exchanges.receive(command(store()))
        assert_aborts(exchanges, command(echo(2)), "interrupted")

    def test_a_data_set_on_another_context_than_its_command_set_is_a_violation(self) -> None:
        exchanges = Exchanges({1, 3})
        exchanges.receive(command(store()))
        assert_aborts(exchanges, data(b"abcd", context_id=3), "interrupted")

    def test_a_command_set_that_changes_its_context_is_a_violation(self) -> None:
        exchanges = Exchanges({1, 3})
        encoded = encode_command_set(echo())
        exchanges.receive(PresentationDataValue(1, True, False, encoded[:4]))
        assert_aborts(exchanges, PresentationDataValue(3, True, True, encoded[4:]), "interrupted")

    def test_an_endless_command_set_is_refused_at_the_bound(self) -> None:
        exchanges = Exchanges({1})
        part = PresentationDataValue(1, True, False, bytes(MAX_COMMAND_SET_BYTES // 4))
        for _ in range(4):
            exchanges.receive(part)
        assert_aborts(exchanges, part, "MAX_COMMAND_SET_BYTES")


class TestPerforming:
    """PS3.7 §D.3.3.3: the window of what the peer may invoke."""

    def test_a_second_request_before_the_response_is_a_violation_without_negotiation(self) -> None:
        exchanges = Exchanges({1})
        exchanges.receive(command(echo(1)))
        assert_aborts(exchanges, command(echo(2)), "more operations")

    def test_a_final_response_makes_room_for_the_next_request(self) -> None:
        exchanges = Exchanges({1})
        for message_id in (1, 2, 2):
            exchanges.receive(command(echo(message_id)))
            exchanges.respond(CEchoResponse(message_id_being_responded_to=message_id, status=SUCCESS))
        assert list(exchanges.performing) == []

    def test_a_negotiated_window_lets_several_requests_be_open_and_answered_in_any_order(self) -> None:
        exchanges = Exchanges({1}, max_performed=3)
        for message_id in (1, 2, 3):
            exchanges.receive(command(echo(message_id)))
        for message_id in (3, 1, 2):
            exchanges.respond(CEchoResponse(message_id_being_responded_to=message_id, status=SUCCESS))
        assert list(exchanges.performing) == []

    def test_a_message_id_may_not_be_used_twice_at_a_time(self) -> None:
        exchanges = Exchanges({1}, max_performed=0)
        exchanges.receive(command(echo(1)))
        assert_aborts(exchanges, command(echo(1)), "in use")

    def test_pending_responses_keep_the_request_open(self) -> None:
        exchanges = Exchanges({1})
        exchanges.receive(command(find()))
        exchanges.receive(data(b"", is_last=True))
        exchanges.respond(CFindResponse(message_id_being_responded_to=1, status=PENDING, has_data_set=True))
        assert list(exchanges.performing) == [find()]
        exchanges.respond(CFindResponse(message_id_being_responded_to=1, status=SUCCESS))
        assert list(exchanges.performing) == []

    def test_a_cancel_is_no_operation_and_may_come_at_any_time(self) -> None:
        exchanges = Exchanges({1})
        exchanges.receive(command(find()))
        exchanges.receive(data(b"", is_last=True))
        cancel = CCancelRequest(message_id_being_responded_to=1)
        assert exchanges.receive(command(cancel)) == MessageReceived(1, cancel)
        late = CCancelRequest(message_id_being_responded_to=77)
        assert exchanges.receive(command(late)) == MessageReceived(1, late)

    def test_a_response_to_no_request_is_our_own_error(self) -> None:
        with pytest.raises(LocalProtocolError):
            Exchanges({1}).respond(CEchoResponse(message_id_being_responded_to=1, status=SUCCESS))

    def test_a_response_of_another_kind_is_our_own_error(self) -> None:
        exchanges = Exchanges({1})
        exchanges.receive(command(echo()))
        with pytest.raises(LocalProtocolError):
            exchanges.respond(CStoreResponse(message_id_being_responded_to=1, status=SUCCESS))


class TestInvoking:
    """PS3.7 §D.3.3.3: the window of what this side may invoke."""

    def test_a_response_closes_its_request(self) -> None:
        exchanges = Exchanges({1})
        exchanges.invoke(echo(5))
        assert not exchanges.may_invoke()
        response = CEchoResponse(message_id_being_responded_to=5, status=SUCCESS)
        assert exchanges.receive(command(response)) == MessageReceived(1, response)
        assert exchanges.may_invoke()

    def test_invoking_beyond_the_window_is_our_own_error(self) -> None:
        exchanges = Exchanges({1}, max_invoked=2)
        exchanges.invoke(echo(1))
        exchanges.invoke(echo(2))
        with pytest.raises(LocalProtocolError):
            exchanges.invoke(echo(3))

    def test_a_window_of_zero_is_no_bound(self) -> None:
        exchanges = Exchanges({1}, max_invoked=0)
        for _ in range(100):
            exchanges.invoke(echo(exchanges.next_message_id()))
        assert exchanges.may_invoke()
        assert len(exchanges.invoked) == 100

    def test_message_ids_wrap_and_pass_over_open_ones(self) -> None:
        exchanges = Exchanges({1}, max_invoked=0)
        exchanges.invoke(echo(exchanges.next_message_id()))
        seen = {exchanges.next_message_id() for _ in range(0xFFFF)}
        assert seen == set(range(2, 0x10000))

    def test_one_message_id_twice_is_our_own_error(self) -> None:
        exchanges = Exchanges({1}, max_invoked=0)
        exchanges.invoke(echo(1))
        with pytest.raises(LocalProtocolError):
            exchanges.invoke(echo(1))

    def test_a_response_to_no_open_request_is_a_violation(self) -> None:
        response = CEchoResponse(message_id_being_responded_to=9, status=SUCCESS)
        assert_aborts(Exchanges({1}), command(response), "no open request")

    def test_a_response_of_another_kind_is_a_violation(self) -> None:
        exchanges = Exchanges({1})
        exchanges.invoke(echo(1))
        response = CStoreResponse(message_id_being_responded_to=1, status=SUCCESS)
        assert_aborts(exchanges, command(response), "does not belong")

    def test_pending_responses_with_data_sets_come_until_the_final_one(self) -> None:
        exchanges = Exchanges({1})
        exchanges.invoke(find())
        for _ in range(3):
            exchanges.receive(
                command(CFindResponse(message_id_being_responded_to=1, status=PENDING, has_data_set=True))
            )
            exchanges.receive(data(b"ab", is_last=True))
        exchanges.cancel(CCancelRequest(message_id_being_responded_to=1))
        exchanges.receive(command(CFindResponse(message_id_being_responded_to=1, status=SUCCESS)))
        with pytest.raises(LocalProtocolError):
            exchanges.cancel(CCancelRequest(message_id_being_responded_to=1))
