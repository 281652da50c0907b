"""Command sets on the wire: group 0000 in Implicit VR Little Endian, to messages and back."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from hilum.dimse.elements import (
    COMMAND_DATA_SET_TYPE,
    COMMAND_FIELD,
    ELEMENTS,
    GROUP_LENGTH,
    NO_DATA_SET,
    CommandElement,
    Form,
)
from hilum.dimse.messages import MESSAGES, CCancelRequest, CommandField, Message, Request, Response
from hilum.kernel.errors import LocalProtocolError, RemoteProtocolError
from hilum.kernel.limits import MAX_COMMAND_SET_BYTES
from hilum.ul.primitives import Abort, Buffer

_ELEMENT_HEADER = struct.Struct("<HHI")
_US = struct.Struct("<H")
_US_ELEMENT = struct.Struct("<HHIH")
_GROUP_LENGTH_ELEMENT = struct.Struct("<HHII")
# Any value but NO_DATA_SET says that a data set follows; this one is what most implementations write.
_DATA_SET_PRESENT = 0x0001
_MAX_COMMENT_LENGTH = 64
_MAX_ELEMENTS = 64


@dataclass(frozen=True, slots=True)
class _Field:
    """How one field of one message class stands on the wire."""

    name: str
    element: CommandElement


def _layout(message_class: type[Message]) -> tuple[_Field, ...]:
    named = [_Field(each.name, ELEMENTS[each.name]) for each in fields(message_class) if each.name != "has_data_set"]
    return tuple(sorted(named, key=lambda each: each.element.number))


_LAYOUTS: dict[CommandField, tuple[_Field, ...]] = {code: _layout(MESSAGES[code]) for code in MESSAGES}
_BY_NUMBER: dict[CommandField, dict[int, _Field]] = {
    code: {each.element.number: each for each in layout} for code, layout in _LAYOUTS.items()
}
# Strings a message cannot be without: when the peer leaves them out they are empty, and the service answers.
_EMPTY: dict[CommandField, dict[str, Any]] = {
    code: {
        each.name: "" if ELEMENTS[each.name].form in (Form.UI, Form.AE) else 0
        for each in fields(MESSAGES[code])
        if each.name in ELEMENTS
        and each.name not in ("message_id", "message_id_being_responded_to", "status")
        and each.type in ("str", "int")
    }
    for code in MESSAGES
}


def encode_command_set(message: Message) -> bytes:
    """Return the command set of `message`, its group length first and its elements in ascending order.

    Raises:
        LocalProtocolError: a value does not fit its element.

    Reference: PS3.7 §6.3.1, Annex E
    """
    parts = [
        (COMMAND_FIELD, _US_ELEMENT.pack(0, COMMAND_FIELD, 2, message.command_field)),
        (
            COMMAND_DATA_SET_TYPE,
            _US_ELEMENT.pack(0, COMMAND_DATA_SET_TYPE, 2, _DATA_SET_PRESENT if message.has_data_set else NO_DATA_SET),
        ),
    ]
    for each in _LAYOUTS[message.command_field]:
        value = getattr(message, each.name)
        if value is None or value == ():
            continue
        number = each.element.number
        try:
            encoded = _ENCODERS[each.element.form](value)
        except (struct.error, UnicodeEncodeError) as error:
            raise LocalProtocolError(
                "a value does not fit its command element", code="command-value", field=each.name
            ) from error
        parts.append((number, _ELEMENT_HEADER.pack(0, number, len(encoded)) + encoded))
    parts.sort()
    body = b"".join([part for _, part in parts])
    return _GROUP_LENGTH_ELEMENT.pack(0, GROUP_LENGTH, 4, len(body)) + body


def decode_command_set(data: Buffer) -> Message:
    """Return the message a command set holds; elements that do not belong to it are passed over.

    Elements out of order, retired ones and a missing or wrong group length are borne: they harm nobody and old
    devices send them.

    Raises:
        RemoteProtocolError: the bytes are no command set, or lack what an answer would need (command field,
            message id, status). Its answer is the abort to send.

    Reference: PS3.7 §6.3.1, Annex E
    """
    values = _split(data)
    code = _us(values.pop(COMMAND_FIELD, None), "Command Field")
    try:
        command_field = CommandField(code)
    except ValueError as error:
        raise violation("the command field is unknown", command_field=code) from error
    data_set_type = _us(values.pop(COMMAND_DATA_SET_TYPE, None), "Command Data Set Type")
    found: dict[str, Any] = dict(_EMPTY[command_field])
    known = _BY_NUMBER[command_field]
    for number, raw in values.items():
        field = known.get(number)
        if field is None:
            continue
        value = _DECODERS[field.element.form](raw)
        if value is not None:
            found[field.name] = value
    message_class = MESSAGES[command_field]
    if issubclass(message_class, Request):
        if "message_id" not in found:
            raise violation("the command set has no Message ID")
    elif "message_id_being_responded_to" not in found:
        raise violation("the command set has no Message ID Being Responded To")
    if issubclass(message_class, Response) and "status" not in found:
        raise violation("the response has no Status")
    message = message_class(has_data_set=data_set_type != NO_DATA_SET, **found)
    _check_data_set_type(message)
    return message


def _check_data_set_type(message: Message) -> None:
    """Refuse requests whose data set is missing or does not belong there; responses are taken at their word."""
    if isinstance(message, CCancelRequest):
        if message.has_data_set:
            raise violation("a C-CANCEL announces a data set")
    elif isinstance(message, Request):
        if message.data_set_required and not message.has_data_set:
            raise violation("the request announces no data set", command=message.command_field.name)
        if message.has_data_set and not message.data_set_allowed:
            raise violation("the request announces a data set", command=message.command_field.name)


def violation(message: str, **facts: str | int | float | bool | None) -> RemoteProtocolError:
    """Return the error for a peer that broke PS3.7; its answer is the A-ABORT of the service user."""
    return RemoteProtocolError(message, answer=Abort(), code="dimse-violation", **facts)


def _split(data: Buffer) -> dict[int, bytes]:
    """Return the values of group 0000 by element number, the group length left out."""
    content = bytes(data)
    if len(content) > MAX_COMMAND_SET_BYTES:
        raise violation("the command set is longer than MAX_COMMAND_SET_BYTES", length=len(content))
    values: dict[int, bytes] = {}
    position = 0
    end = len(content)
    while position < end:
        if end - position < _ELEMENT_HEADER.size:
            raise violation("the command set ends inside an element", position=position)
        group, number, length = _ELEMENT_HEADER.unpack_from(content, position)
        position += _ELEMENT_HEADER.size
        if group != 0:
            raise violation("the command set holds an element of another group", group=group)
        if length > end - position:
            raise violation("a command element is longer than the command set", element=number, length=length)
        if number in values or len(values) > _MAX_ELEMENTS:
            raise violation("the command set repeats an element or holds too many", element=number)
        values[number] = content[position : position + length]
        position += length
    values.pop(GROUP_LENGTH, None)
    return values


def _us(raw: bytes | None, name: str) -> int:
    if raw is None or len(raw) != _US.size:
        raise violation(f"the command set has no usable {name}")
    return int(_US.unpack(raw)[0])


def _decode_us(raw: bytes) -> int | None:
    if not raw:
        return None
    if len(raw) != _US.size:
        raise violation("a number of the command set is not two bytes long", length=len(raw))
    return int(_US.unpack(raw)[0])


def _decode_text(raw: bytes) -> str | None:
    # Latin-1 never fails, and keeps what the peer sent visible to the checks that follow.
    return raw.decode("latin-1").strip("\0 ") or None


def _decode_at(raw: bytes) -> tuple[int, ...] | None:
    if len(raw) % 4:
        raise violation("a list of tags in the command set is cut off", length=len(raw))
    return tuple(group << 16 | element for group, element in struct.iter_unpack("<HH", raw)) or None


def _encode_uid(value: str) -> bytes:
    raw = value.encode("ascii")
    return raw + b"\0" if len(raw) & 1 else raw


def _encode_text(value: str) -> bytes:
    raw = value.encode("ascii")
    return raw + b" " if len(raw) & 1 else raw


def _encode_comment(value: str) -> bytes:
    # The command set has no character set of its own; a comment must never be the reason a response is lost.
    printable = "".join(each if " " <= each <= "~" and each != "\\" else "?" for each in value)
    return _encode_text(printable[:_MAX_COMMENT_LENGTH])


def _encode_at(value: tuple[int, ...]) -> bytes:
    return b"".join([struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in value])


_ENCODERS: dict[Form, Callable[[Any], bytes]] = {
    Form.UI: _encode_uid,
    Form.US: _US.pack,
    Form.AE: _encode_text,
    Form.LO: _encode_comment,
    Form.AT: _encode_at,
}
_DECODERS: dict[Form, Callable[[bytes], Any]] = {
    Form.UI: _decode_text,
    Form.US: _decode_us,
    Form.AE: _decode_text,
    Form.LO: _decode_text,
    Form.AT: _decode_at,
}
