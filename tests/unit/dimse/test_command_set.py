"""Command sets on the wire, with pydicom as the independent reader and writer of group 0000."""

from __future__ import annotations

import dataclasses
import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from hilum.dimse.command_set import decode_command_set, encode_command_set
from hilum.dimse.elements import ELEMENTS, NO_DATA_SET
from hilum.dimse.messages import (
    MESSAGES,
    RESPONSES,
    CCancelRequest,
    CEchoRequest,
    CFindResponse,
    CGetResponse,
    CMoveRequest,
    CommandField,
    CStoreRequest,
    CStoreResponse,
    Message,
    NCreateRequest,
    NGetRequest,
    Request,
    Response,
)
from hilum.kernel.errors import HilumError, LocalProtocolError, RemoteProtocolError
from hilum.kernel.limits import MAX_COMMAND_SET_BYTES
from hilum.ul.primitives import Abort

CT = "1.2.840.10008.5.1.4.1.1.2"


def read_by_pydicom(encoded: bytes) -> Dataset:
    return read_dataset(BytesIO(encoded), is_implicit_VR=True, is_little_endian=True)


def write_by_pydicom(elements: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = True
    write_dataset(buffer, elements)
    return buffer.getvalue()


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHI", group, number, len(value)) + value


def us(number: int, value: int) -> bytes:
    return element(number, struct.pack("<H", value))


ECHO = us(0x0100, CommandField.C_ECHO_RQ) + us(0x0110, 7) + us(0x0800, NO_DATA_SET)

_VALUES = {
    "UI": st.from_regex(r"[0-2](\.[1-9][0-9]{0,8}){1,6}", fullmatch=True),
    "US": st.integers(0, 0xFFFF),
    "AE": st.from_regex(r"[A-Z][A-Z0-9_]{0,15}", fullmatch=True),
    "LO": st.from_regex(r"[a-z]([ a-z]{0,62}[a-z])?", fullmatch=True),
    "AT": st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=5).map(tuple),
}


@st.composite
def messages(draw: st.DrawFn) -> Message:
    message_class = MESSAGES[draw(st.sampled_from(sorted(MESSAGES)))]
    values = {
        each.name: draw(_VALUES[ELEMENTS[each.name].form.value])
        for each in dataclasses.fields(message_class)
        if each.name in ELEMENTS
    }
    if issubclass(message_class, Response):
        values["has_data_set"] = draw(st.booleans())
    return message_class(**values)


class TestRoundTrip:
    """PS3.7 §6.3.1, Annex E."""

    @given(messages())
    def test_every_message_comes_back_as_it_was(self, message: Message) -> None:
        assert decode_command_set(encode_command_set(message)) == message

    @given(messages())
    def test_pydicom_reads_every_message_and_its_elements_ascend(self, message: Message) -> None:
        encoded = encode_command_set(message)
        read = read_by_pydicom(encoded)
        assert read.CommandGroupLength == len(encoded) - 12
        assert read.CommandField == message.command_field
        assert (read.CommandDataSetType != NO_DATA_SET) == message.has_data_set
        position, numbers = 0, []
        while position < len(encoded):
            _, number, length = struct.unpack_from("<HHI", encoded, position)
            numbers.append(number)
            position += 8 + length
        assert numbers == sorted(numbers)
        for each in dataclasses.fields(message):
            if each.name in ELEMENTS:
                value = read[0, ELEMENTS[each.name].number].value
                expected = getattr(message, each.name)
                if isinstance(expected, tuple):
                    value = (value,) if isinstance(value, int) else tuple(value)
                assert value == expected

    @given(st.binary(max_size=200))
    def test_arbitrary_bytes_raise_documented_errors_only(self, data: bytes) -> None:
        try:
            decode_command_set(data)
        except RemoteProtocolError as error:
            assert error.answer == Abort()

    @given(messages(), st.data())
    def test_a_damaged_command_set_raises_documented_errors_only(self, message: Message, data: st.DataObject) -> None:
        encoded = bytearray(encode_command_set(message))
        position = data.draw(st.integers(0, len(encoded) - 1))
        encoded[position] ^= data.draw(st.integers(1, 255))
        try:
            decode_command_set(encoded)
        except HilumError as error:
            assert isinstance(error, RemoteProtocolError)


def test_every_command_of_the_standard_has_a_message_and_every_request_its_response() -> None:
    assert set(MESSAGES) == set(CommandField)
    requests = {field for field, message in MESSAGES.items() if issubclass(message, Request)}
    assert set(RESPONSES) == requests
    assert all(response.command_field == field | 0x8000 for field, response in RESPONSES.items())


def test_pydicom_and_hilum_write_the_same_bytes() -> None:
    expected = Dataset()
    expected.CommandGroupLength = 0
    expected.AffectedSOPClassUID = CT
    expected.CommandField = 1
    expected.MessageID = 11
    expected.Priority = 0
    expected.CommandDataSetType = 1
    expected.AffectedSOPInstanceUID = "1.2.3"
    expected.MoveOriginatorApplicationEntityTitle = "ORIGINATOR"
    expected.MoveOriginatorMessageID = 3
    body = write_by_pydicom(expected)
    message = CStoreRequest(
        message_id=11,
        affected_sop_class_uid=CT,
        affected_sop_instance_uid="1.2.3",
        move_originator_application_entity_title="ORIGINATOR",
        move_originator_message_id=3,
    )
    assert encode_command_set(message)[12:] == body[12:]


class TestTolerance:
    """What old devices send and nobody is harmed by."""

    def test_a_missing_group_length_is_borne(self) -> None:
        assert decode_command_set(ECHO) == CEchoRequest(message_id=7, affected_sop_class_uid="")

    def test_a_wrong_group_length_is_borne(self) -> None:
        assert decode_command_set(element(0, b"\xff\xff\xff\xff") + ECHO).message_id == 7

    def test_elements_out_of_order_are_borne(self) -> None:
        assert decode_command_set(us(0x0800, NO_DATA_SET) + us(0x0110, 7) + us(0x0100, 0x30)).message_id == 7

    def test_retired_and_unknown_elements_are_passed_over(self) -> None:
        assert decode_command_set(ECHO + us(0x0850, 3) + element(0x0300, b"OLD ")).message_id == 7

    def test_uids_padded_by_spaces_and_titles_padded_on_both_sides_are_stripped(self) -> None:
        data = (
            element(0x0002, b"1.2.3 ")
            + us(0x0100, CommandField.C_MOVE_RQ)
            + us(0x0110, 1)
            + element(0x0600, b"  DEST  ")
            + us(0x0800, 0)
        )
        message = decode_command_set(data)
        assert message == CMoveRequest(message_id=1, affected_sop_class_uid="1.2.3", move_destination="DEST")

    def test_a_missing_uid_is_empty_so_that_the_service_can_answer(self) -> None:
        message = decode_command_set(us(0x0100, CommandField.C_STORE_RQ) + us(0x0110, 1) + us(0x0800, 1))
        assert message == CStoreRequest(message_id=1, affected_sop_class_uid="", affected_sop_instance_uid="")

    def test_a_uid_keeps_nul_and_path_characters_for_the_service_to_refuse(self) -> None:
        data = us(0x0100, CommandField.C_STORE_RQ) + us(0x0110, 1) + us(0x0800, 1) + element(0x1000, b"1/../\0\xff2")
        message = decode_command_set(data)
        assert isinstance(message, CStoreRequest)
        assert message.affected_sop_instance_uid == "1/../\0\xff2"

    def test_an_empty_optional_number_is_absent(self) -> None:
        data = us(0x0100, 0x8010) + us(0x0120, 1) + us(0x0800, NO_DATA_SET) + us(0x0900, 0) + element(0x1020, b"")
        message = decode_command_set(data)
        assert isinstance(message, CGetResponse)
        assert message.number_of_remaining_suboperations is None

    def test_a_response_may_announce_a_data_set_or_not(self) -> None:
        for has_data_set in (True, False):
            response = CFindResponse(message_id_being_responded_to=1, status=0xFF00, has_data_set=has_data_set)
            assert decode_command_set(encode_command_set(response)) == response


class TestViolations:
    """What ends the association."""

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(ECHO[:-1], id="cut inside a value"),
            pytest.param(ECHO + b"\0\0", id="cut inside a header"),
            pytest.param(us(0x0110, 7) + us(0x0800, NO_DATA_SET), id="no command field"),
            pytest.param(us(0x0100, 0x0999) + us(0x0110, 7) + us(0x0800, NO_DATA_SET), id="unknown command"),
            pytest.param(us(0x0100, 0x0030) + us(0x0800, NO_DATA_SET), id="no message id"),
            pytest.param(us(0x0100, 0x8030) + us(0x0900, 0) + us(0x0800, NO_DATA_SET), id="response to nothing"),
            pytest.param(us(0x0100, 0x8030) + us(0x0120, 1) + us(0x0800, NO_DATA_SET), id="no status"),
            pytest.param(us(0x0100, 0x0030) + us(0x0110, 7), id="no data set type"),
            pytest.param(us(0x0100, 0x0030) + us(0x0110, 7) + us(0x0800, 0), id="echo with a data set"),
            pytest.param(us(0x0100, 0x0001) + us(0x0110, 7) + us(0x0800, NO_DATA_SET), id="store without one"),
            pytest.param(us(0x0100, 0x0FFF) + us(0x0120, 7) + us(0x0800, 0), id="cancel with a data set"),
            pytest.param(ECHO + us(0x0110, 8), id="element twice"),
            pytest.param(ECHO + element(0x0010, b"NAME", group=0x0010), id="another group"),
            pytest.param(
                us(0x0100, 0x0020) + us(0x0110, 7) + us(0x0800, 1) + element(0x0700, b"abc"), id="number of three bytes"
            ),
            pytest.param(ECHO + struct.pack("<HHI", 0, 0x0901, 0xFFFFFFFF), id="huge length"),
            pytest.param(
                us(0x0100, 0x8030) + us(0x0120, 1) + us(0x0900, 0) + us(0x0800, NO_DATA_SET) + element(0x0901, b"abc"),
                id="half a tag",
            ),
            pytest.param(b"".join(us(0x2000 + index, 0) for index in range(100)), id="too many elements"),
        ],
    )
    def test_unusable_command_sets_end_the_association(self, data: bytes) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            decode_command_set(data)
        assert caught.value.answer == Abort()

    def test_a_command_set_above_the_bound_is_refused_unread(self) -> None:
        with pytest.raises(RemoteProtocolError, match="MAX_COMMAND_SET_BYTES"):
            decode_command_set(bytes(MAX_COMMAND_SET_BYTES + 1))


class TestEncoding:
    """Values that need care."""

    def test_a_comment_is_cut_to_64_characters_and_made_printable(self) -> None:
        response = CStoreResponse(
            message_id_being_responded_to=1, status=0xC000, error_comment="Größe\\ \n" + "x" * 100
        )
        decoded = decode_command_set(encode_command_set(response))
        assert isinstance(decoded, CStoreResponse)
        assert decoded.error_comment == ("Gr??e? ?" + "x" * 100)[:64]

    def test_a_number_too_large_is_our_own_error(self) -> None:
        with pytest.raises(LocalProtocolError):
            encode_command_set(CCancelRequest(message_id_being_responded_to=70000))

    def test_a_title_outside_ascii_is_our_own_error(self) -> None:
        with pytest.raises(LocalProtocolError):
            encode_command_set(CMoveRequest(message_id=1, affected_sop_class_uid="1.2", move_destination="ÄÖ"))

    def test_absent_optional_values_are_left_out(self) -> None:
        read = read_by_pydicom(encode_command_set(NCreateRequest(message_id=1, affected_sop_class_uid="1.2")))
        assert "AffectedSOPInstanceUID" not in read

    def test_a_list_of_tags_is_written_as_pairs(self) -> None:
        message = NGetRequest(
            message_id=1,
            requested_sop_class_uid="1.2",
            requested_sop_instance_uid="1.3",
            attribute_identifier_list=(0x00100010, 0x00100020),
        )
        assert list(read_by_pydicom(encode_command_set(message)).AttributeIdentifierList) == [0x00100010, 0x00100020]
