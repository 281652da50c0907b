"""Data elements written byte by byte, right or wrong, for tests of readers."""

from __future__ import annotations

from struct import pack

_LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
UNDEFINED = 0xFFFFFFFF


def explicit(tag: int, vr: str, value: bytes = b"", *, length: int | None = None, order: str = "<") -> bytes:
    """Return an element with explicit VR; `length` may lie."""
    size = len(value) if length is None else length
    head = pack(f"{order}HH", tag >> 16, tag & 0xFFFF) + vr.encode("latin-1")
    return head + (pack(f"{order}HI", 0, size) if vr in _LONG_VRS else pack(f"{order}H", size)) + value


def implicit(tag: int, value: bytes = b"", *, length: int | None = None) -> bytes:
    """Return an element with implicit VR, little endian."""
    return pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(*elements: bytes, is_delimited: bool = False) -> bytes:
    """Return one item of a sequence, or one fragment."""
    content = b"".join(elements)
    if is_delimited:
        return implicit(0xFFFEE000, content, length=UNDEFINED) + implicit(0xFFFEE00D)
    return implicit(0xFFFEE000, content)


SEQUENCE_END = implicit(0xFFFEE0DD)


def identity(
    class_uid: bytes = b"1.2.3", instance: bytes = b"1.4", study: bytes = b"1.5", series: bytes = b"1.6"
) -> bytes:
    """Return the identifying elements, explicit little endian, padded to even lengths."""
    uids = {0x00080016: class_uid, 0x00080018: instance, 0x0020000D: study, 0x0020000E: series}
    return b"".join(explicit(tag, "UI", uid + b"\0" * (len(uid) % 2)) for tag, uid in uids.items())


def image(
    *, rows: int, columns: int, frames: int = 1, bits: int = 8, samples: int = 1, photometric: str = "MONOCHROME2"
) -> bytes:
    """Return the attributes that say how large a frame is, explicit little endian."""
    return (
        explicit(0x00280002, "US", pack("<H", samples))
        + explicit(0x00280004, "CS", f"{photometric:<16}".encode())
        + explicit(0x00280008, "IS", f"{frames:<8}".encode())
        + explicit(0x00280010, "US", pack("<H", rows))
        + explicit(0x00280011, "US", pack("<H", columns))
        + explicit(0x00280100, "US", pack("<H", bits))
    )
