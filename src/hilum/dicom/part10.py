"""PS3.10 files: reading the preamble and file meta information tolerantly, writing them fast."""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from hilum.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transfer_syntax,
)
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_UID_LENGTH

Buffer: TypeAlias = bytes | bytearray | memoryview

PREAMBLE_BYTES: Final = 128
_PREFIX: Final = b"DICM"
_META_GROUP: Final = 0x0002
_UNDEFINED_LENGTH: Final = 0xFFFFFFFF
# The first element of a bare data set: nothing that identifies an instance comes before these groups or without them.
_FIRST_GROUPS: Final = (0x0002, 0x0004, 0x0008)
_LONG_FIRST_VALUE_BYTES: Final = 64 * 1024

_GROUP_LENGTH: Final = 0x0000
_MEDIA_STORAGE_SOP_CLASS_UID: Final = 0x0002
_MEDIA_STORAGE_SOP_INSTANCE_UID: Final = 0x0003
_TRANSFER_SYNTAX_UID: Final = 0x0010
_SOURCE_AE_TITLE: Final = 0x0016

_SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_ALL_VRS: Final = _SHORT_VRS | _LONG_VRS


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the beginning of a file says.

    `data_set_offset` counts bytes from the file's start to the data set. `is_transfer_syntax_guessed` says that the
    file names none and the first elements gave it away.
    """

    transfer_syntax_uid: str
    data_set_offset: int
    media_storage_sop_class_uid: str | None = None
    media_storage_sop_instance_uid: str | None = None
    source_ae_title: str | None = None
    is_transfer_syntax_guessed: bool = False


def read_file_meta(prefix: Buffer) -> FileMeta:
    """Return what a file's preamble and file meta information say.

    Read tolerantly: the preamble or the letters DICM may be missing, the group length wrong, the meta information in
    implicit VR or absent; a missing transfer syntax is guessed from the first elements of the data set.

    Args:
        prefix: the file's first bytes; `limits.FILE_META_PREFIX_BYTES` of them, or all, are enough.

    Raises:
        InvalidInput: code "not-dicom" for other content, "truncated-file-meta" if the file ends inside it.

    Reference: PS3.10 §7.1
    """
    data = bytes(prefix)
    start = _meta_offset(data)
    values: dict[int, bytes] = {}
    end = start
    for element, value, after in _meta_elements(data, start):
        values[element] = value
        end = after
        if _is_deflated_data_reached(values, start, after):
            break
    named = _text(values.get(_TRANSFER_SYNTAX_UID))
    if named is None and len(data) <= end:
        raise InvalidInput("The file ends before its data set.", code="truncated-file-meta")
    return FileMeta(
        transfer_syntax_uid=named or _guess_transfer_syntax(data, end),
        data_set_offset=end,
        media_storage_sop_class_uid=_text(values.get(_MEDIA_STORAGE_SOP_CLASS_UID)),
        media_storage_sop_instance_uid=_text(values.get(_MEDIA_STORAGE_SOP_INSTANCE_UID)),
        source_ae_title=_text(values.get(_SOURCE_AE_TITLE)),
        is_transfer_syntax_guessed=named is None,
    )


def write_file_meta(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae_title: str | None = None
) -> bytes:
    """Return preamble, DICM and file meta information for a data set; the data set follows directly.

    Raises:
        InvalidInput: a UID or the AE title is no ASCII text or is too long.

    Reference: PS3.10 §7.1
    """
    parts = [
        b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01",
        _uid_element(_MEDIA_STORAGE_SOP_CLASS_UID, sop_class_uid),
        _uid_element(_MEDIA_STORAGE_SOP_INSTANCE_UID, sop_instance_uid),
        _uid_element(_TRANSFER_SYNTAX_UID, transfer_syntax_uid),
        _OUR_IMPLEMENTATION,
    ]
    if source_ae_title:
        parts.append(_short_element(_SOURCE_AE_TITLE, b"AE", _ascii(source_ae_title, 16), b" "))
    body = b"".join(parts)
    return b"".join((_HEAD, struct.pack("<I", len(body)), body))


def _meta_offset(data: bytes) -> int:
    """Return where the first element stands, or raise if nothing speaks for DICOM."""
    if data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == _PREFIX:
        return PREAMBLE_BYTES + 4
    if data[:4] == _PREFIX:
        return 4
    if _looks_like_data_set(data, 0):
        return 0
    if not any(data[:PREAMBLE_BYTES]) and _looks_like_data_set(data, PREAMBLE_BYTES):
        return PREAMBLE_BYTES
    raise InvalidInput("This is not DICOM.", code="not-dicom")


def _meta_elements(data: bytes, offset: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield element number, value and offset after it for all of group 0002."""
    while data[offset : offset + 2] == b"\x02\x00":
        header = data[offset : offset + 12]
        if len(header) < 8:
            raise _truncated()
        element = int.from_bytes(header[2:4], "little")
        vr = header[4:6]
        if vr in _LONG_VRS:
            if len(header) < 12:
                raise _truncated()
            length, begin = int.from_bytes(header[8:12], "little"), offset + 12
        elif vr in _SHORT_VRS:
            length, begin = int.from_bytes(header[6:8], "little"), offset + 8
        else:
            length, begin = int.from_bytes(header[4:8], "little"), offset + 8
        if begin + length > len(data):
            raise _truncated()
        offset = begin + length
        yield element, data[begin:offset], offset


def _is_deflated_data_reached(values: dict[int, bytes], start: int, offset: int) -> bool:
    """Return whether deflated bytes begin here: they may look like another element, so the group length decides."""
    group_length = values.get(_GROUP_LENGTH, b"")
    if len(group_length) != 4 or _TRANSFER_SYNTAX_UID not in values:
        return False
    # Tag, VR, length and value of the group length itself take 12 bytes.
    is_end = offset == start + 12 + int.from_bytes(group_length, "little")
    return is_end and transfer_syntax(_text(values[_TRANSFER_SYNTAX_UID]) or "").is_deflated


def _guess_transfer_syntax(data: bytes, offset: int) -> str:
    # Behind DICM the data set may begin with any group.
    if not _looks_like_data_set(data, offset, first_groups=range(0x0001, 0x8000)):
        raise InvalidInput("The file names no transfer syntax and its data set shows none.", code="not-dicom")
    if data[offset + 4 : offset + 6] not in _ALL_VRS:
        return IMPLICIT_VR_LITTLE_ENDIAN
    little, big = struct.unpack_from("<H", data, offset)[0], struct.unpack_from(">H", data, offset)[0]
    return EXPLICIT_VR_BIG_ENDIAN if big < little else EXPLICIT_VR_LITTLE_ENDIAN


def _looks_like_data_set(data: bytes, offset: int, first_groups: Container[int] = _FIRST_GROUPS) -> bool:
    header = data[offset : offset + 8]
    if len(header) < 8:
        return False
    little, big = (int.from_bytes(header[:2], order) for order in ("little", "big"))
    if header[4:6] in _ALL_VRS:
        return little in first_groups or big in first_groups
    length = int.from_bytes(header[4:8], "little")
    return little in first_groups and (length <= _LONG_FIRST_VALUE_BYTES or length == _UNDEFINED_LENGTH)


def _text(value: bytes | None) -> str | None:
    """Return a UID or AE title without padding; bytes that are no ASCII stay visible as what they are."""
    return (value or b"").decode("latin-1").strip(" \0") or None


def _ascii(text: str, longest: int) -> bytes:
    if not text.isascii() or len(text) > longest:
        raise InvalidInput("A UID or AE title is no ASCII text or too long.", code="invalid-uid")
    return text.encode("ascii")


def _short_element(element: int, vr: bytes, value: bytes, padding: bytes) -> bytes:
    if len(value) % 2:
        value += padding
    return struct.pack("<HH2sH", _META_GROUP, element, vr, len(value)) + value


def _uid_element(element: int, uid: str) -> bytes:
    return _short_element(element, b"UI", _ascii(uid, MAX_UID_LENGTH), b"\0")


def _truncated() -> InvalidInput:
    return InvalidInput("The file ends inside its file meta information.", code="truncated-file-meta")


_HEAD: Final = bytes(PREAMBLE_BYTES) + _PREFIX + b"\x02\x00\x00\x00UL\x04\x00"
_OUR_IMPLEMENTATION: Final = _uid_element(0x0012, IMPLEMENTATION_CLASS_UID) + _short_element(
    0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii"), b" "
)
