"""Items of A-ASSOCIATE PDUs: bytes to values and back, every length bounded by what encloses it.

Unknown items and sub-items are skipped, reserved bytes are not looked at. What is read here comes from a peer nobody
knows yet.

Reference: PS3.8 §9.3.2 and §9.3.3
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hilum.kernel import limits
from hilum.kernel.errors import InvalidInput
from hilum.ul.pdu import AE_TITLE_LENGTH, ITEM_HEADER, ItemType, violation
from hilum.ul.primitives import AbortReason, ContextAnswer, ContextResult, ProposedContext

_INVALID = AbortReason.INVALID_PDU_PARAMETER_VALUE
_U16 = struct.Struct(">H")


# --- text ------------------------------------------------------------------------------------------------------


def normalize_ae_title(title: str) -> str:
    """Return an AE title without the spaces around it.

    Raises:
        InvalidInput: nothing remains, it is longer than 16 characters, or it holds a backslash, a control character
            or one outside ASCII.

    Reference: PS3.5 Table 6.2-1 (AE), PS3.8 Table 9-11
    """
    stripped = title.strip(" ")
    if not stripped or len(stripped) > AE_TITLE_LENGTH or not _is_title(stripped):
        raise InvalidInput(
            "an AE title has 1 to 16 printable ASCII characters and no backslash", code="invalid-ae-title"
        )
    return stripped


def _is_title(text: str) -> bool:
    return text.isascii() and text.isprintable() and "\\" not in text


def read_ae_title(field: memoryview) -> str:
    """Return the AE title in the 16 bytes of a request; padding with NUL is taken for spaces, blank gives "".

    Raises:
        RemoteProtocolError: it holds characters an AE title may not have.
    """
    title = bytes(field).rstrip(b"\0 ").lstrip(b" ").decode("latin-1")
    if not _is_title(title):
        raise violation(_INVALID, "AE title with characters that are not allowed")
    return title


def read_echoed_ae_title(field: memoryview) -> str:
    """Return what an accept repeats of an AE title; it may not be tested, so other characters are dropped."""
    return "".join(c for c in bytes(field).decode("latin-1") if _is_title(c)).strip(" ")


def write_ae_title(title: str) -> bytes:
    """Return the title padded to 16 bytes.

    Raises:
        InvalidInput: see `normalize_ae_title`.
    """
    return normalize_ae_title(title).encode("ascii").ljust(AE_TITLE_LENGTH)


def write_echoed_ae_title(title: str) -> bytes:
    """Return a title for an accept, which repeats what the request held, be it blank."""
    return title.encode("ascii", "replace")[:AE_TITLE_LENGTH].ljust(AE_TITLE_LENGTH)


def read_uid(field: memoryview, what: str) -> str:
    """Return a UID without padding, "" if there is none; `what` names it in the error.

    Raises:
        RemoteProtocolError: it is longer than a UID or holds what no text without spaces holds.
    """
    # Some senders pad to an even length as in data sets; PS3.8 Annex F knows no padding.
    raw = bytes(field).rstrip(b"\0 ")
    text = raw.decode("latin-1")
    if len(raw) > limits.MAX_UID_LENGTH or not text.isascii() or not text.isprintable() or " " in text:
        raise violation(_INVALID, f"{what} is no UID", length=len(raw))
    return text


def uid_bytes(uid: str, what: str) -> bytes:
    """Return the bytes of a UID.

    Raises:
        InvalidInput: it is empty, too long or holds other characters.
    """
    if not uid or len(uid) > limits.MAX_UID_LENGTH or not uid.isascii() or not uid.isprintable() or " " in uid:
        raise InvalidInput(f"{what} is no UID", code="invalid-uid", length=len(uid))
    return uid.encode("ascii")


# --- framing ---------------------------------------------------------------------------------------------------


def read_items(field: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of the items that fill `field`.

    Raises:
        RemoteProtocolError: an item reaches beyond the field, or there are more than the bound allows.
    """
    offset, end, count = 0, len(field), 0
    while offset < end:
        count += 1
        if count > limits.MAX_ITEMS_PER_FIELD:
            raise violation(_INVALID, f"more than {limits.MAX_ITEMS_PER_FIELD} items", limit=limits.MAX_ITEMS_PER_FIELD)
        if end - offset < ITEM_HEADER.size:
            raise violation(_INVALID, "item header cut short", remaining=end - offset)
        item_type, length = ITEM_HEADER.unpack_from(field, offset)
        offset += ITEM_HEADER.size
        if length > end - offset:
            raise violation(
                _INVALID, f"item 0x{item_type:02x} reaches beyond what holds it", length=length, remaining=end - offset
            )
        yield item_type, field[offset : offset + length]
        offset += length


def write_item(item_type: ItemType, content: bytes) -> bytes:
    """Return an item with its header.

    Raises:
        InvalidInput: the content is longer than an item can be.
    """
    if len(content) > 0xFFFF:
        raise InvalidInput(f"item 0x{item_type:02x} is longer than 65,535 bytes", length=len(content))
    return ITEM_HEADER.pack(item_type, len(content)) + content


class Fields:
    """Reads the fields of one sub-item in order; one that reaches beyond its end is a `RemoteProtocolError`."""

    def __init__(self, content: memoryview, what: str) -> None:
        self._content = content
        self._offset = 0
        self._what = what

    def take(self, size: int) -> memoryview:
        """Return the next `size` bytes."""
        end = self._offset + size
        if end > len(self._content):
            raise violation(_INVALID, f"{self._what} cut short", length=len(self._content))
        taken = self._content[self._offset : end]
        self._offset = end
        return taken

    def counted(self) -> memoryview:
        """Return the next field, which begins with its length in two bytes."""
        (size,) = _U16.unpack(self.take(2))
        return self.take(size)

    def uid(self) -> str:
        """Return the next field, a UID that begins with its length in two bytes."""
        return read_uid(self.counted(), self._what)

    def rest(self) -> memoryview:
        """Return what has not been taken."""
        return self._content[self._offset :]


def counted(content: bytes, what: str) -> bytes:
    """Return a field that begins with its length in two bytes.

    Raises:
        InvalidInput: it is longer than that.
    """
    if len(content) > 0xFFFF:
        raise InvalidInput(f"{what} is longer than 65,535 bytes", length=len(content))
    return _U16.pack(len(content)) + content


# --- presentation contexts -------------------------------------------------------------------------------------


def read_application_context(content: memoryview) -> str:
    """Return the application context name."""
    return read_uid(content, "application context name")


def write_application_context(name: str) -> bytes:
    """Return the application context item."""
    return write_item(ItemType.APPLICATION_CONTEXT, uid_bytes(name, "application context name"))


def read_proposed_context(content: memoryview) -> ProposedContext:
    """Return a presentation context of a request.

    Raises:
        RemoteProtocolError: its id is even, it has no abstract syntax or more transfer syntaxes than the bound.

    Reference: PS3.8 §9.3.2.2
    """
    context_id = Fields(content, "presentation context item").take(4)[0]
    if context_id % 2 == 0:
        raise violation(_INVALID, "presentation context id is not odd", context_id=context_id)
    abstract_syntax: str | None = None
    transfer_syntaxes: list[str] = []
    for item_type, sub_item in read_items(content[4:]):
        if item_type == ItemType.ABSTRACT_SYNTAX:
            abstract_syntax = read_uid(sub_item, "abstract syntax")
        elif item_type == ItemType.TRANSFER_SYNTAX:
            transfer_syntaxes.append(read_uid(sub_item, "transfer syntax"))
    if not abstract_syntax:
        raise violation(_INVALID, "presentation context without an abstract syntax", context_id=context_id)
    if len(transfer_syntaxes) > limits.MAX_TRANSFER_SYNTAXES_PER_CONTEXT:
        raise violation(_INVALID, "too many transfer syntaxes in a presentation context", count=len(transfer_syntaxes))
    return ProposedContext(context_id, abstract_syntax, tuple(transfer_syntaxes))


def write_proposed_context(context: ProposedContext) -> bytes:
    """Return the presentation context item of a request."""
    _check_context_id(context.context_id)
    content = bytes((context.context_id, 0, 0, 0)) + write_item(
        ItemType.ABSTRACT_SYNTAX, uid_bytes(context.abstract_syntax, "abstract syntax")
    )
    for transfer_syntax in context.transfer_syntaxes:
        content += write_item(ItemType.TRANSFER_SYNTAX, uid_bytes(transfer_syntax, "transfer syntax"))
    return write_item(ItemType.PRESENTATION_CONTEXT_RQ, content)


def read_context_answer(content: memoryview) -> ContextAnswer:
    """Return a presentation context of an accept.

    Raises:
        RemoteProtocolError: its id is even, its result unknown, or it is accepted without a transfer syntax.

    Reference: PS3.8 §9.3.3.2
    """
    context_id, _, code, _ = Fields(content, "presentation context item").take(4)
    if context_id % 2 == 0:
        raise violation(_INVALID, "presentation context id is not odd", context_id=context_id)
    try:
        result = ContextResult(code)
    except ValueError:
        raise violation(_INVALID, "unknown result of a presentation context", result=code) from None
    transfer_syntax: str | None = None
    if result is ContextResult.ACCEPTANCE:
        for item_type, sub_item in read_items(content[4:]):
            if item_type == ItemType.TRANSFER_SYNTAX and transfer_syntax is None:
                transfer_syntax = read_uid(sub_item, "transfer syntax")
        if not transfer_syntax:
            raise violation(_INVALID, "accepted presentation context without a transfer syntax", context_id=context_id)
    return ContextAnswer(context_id, result, transfer_syntax)


def write_context_answer(answer: ContextAnswer) -> bytes:
    """Return the presentation context item of an accept; a refusal without a transfer syntax carries an empty one.

    Raises:
        InvalidInput: the context is accepted without a transfer syntax, or carries what is no UID.
    """
    _check_context_id(answer.context_id)
    name = b""
    if answer.transfer_syntax is not None or answer.result is ContextResult.ACCEPTANCE:
        name = uid_bytes(answer.transfer_syntax or "", "transfer syntax")
    return write_item(
        ItemType.PRESENTATION_CONTEXT_AC,
        bytes((answer.context_id, 0, answer.result, 0)) + write_item(ItemType.TRANSFER_SYNTAX, name),
    )


def _check_context_id(context_id: int) -> None:
    if not 0 < context_id < 256 or context_id % 2 == 0:
        raise InvalidInput("a presentation context id is an odd number below 256", context_id=context_id)
