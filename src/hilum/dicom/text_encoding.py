"""Text to bytes in the character sets of Specific Character Set; the way back is in `charsets` (PS3.5 §6.1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

Encode: TypeAlias = Callable[[str], bytes]
"""Returns the bytes of a text; raises UnicodeEncodeError for a character the set does not have."""

UTF_8: Final = "ISO_IR 192"
_STAND_ALONE: Final = {UTF_8: "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
# At these the first character set is in force again (PS3.5 §6.1.2.5.3); circumflex and equals sign in names only, yet
# it does no harm elsewhere.
_DELIMITERS: Final = re.compile(r"([\\^=\t\n\f\r])")
_TO_ASCII: Final = b"\x1b(B"
_TO_ROMAJI: Final = b"\x1b(J"


class _Extension(NamedTuple):
    """A character set that an escape sequence turns to. In G0 it takes the place of ASCII until another escape."""

    escape: bytes
    encode: Encode
    is_g0: bool = False


def _high_bytes(codec: str, width: int) -> Encode:
    """Return the encoder of a set in G1: `width` bytes a character, all with the high bit."""

    def encode(character: str) -> bytes:
        raw = character.encode(codec)
        if len(raw) != width or min(raw) < 0xA0:
            raise _missing(character)
        return raw

    return encode


def _japanese(width: int) -> Encode:
    """Return the encoder of JIS X 0208 (two bytes in EUC) or JIS X 0212 (three, the first a shift), in seven bits."""

    def encode(character: str) -> bytes:
        raw = character.encode("euc_jp")
        if len(raw) != width or raw[0] == 0x8E:
            raise _missing(character)
        return bytes(byte & 0x7F for byte in raw[-2:])

    return encode


def _missing(character: str) -> UnicodeEncodeError:
    return UnicodeEncodeError("dicom", character, 0, 1, "not in this character set")


_SINGLE_BYTE: Final = {
    "100": ("latin_1", b"\x1b-A"),
    "101": ("iso8859_2", b"\x1b-B"),
    "109": ("iso8859_3", b"\x1b-C"),
    "110": ("iso8859_4", b"\x1b-D"),
    "126": ("iso8859_7", b"\x1b-F"),
    "127": ("iso8859_6", b"\x1b-G"),
    "138": ("iso8859_8", b"\x1b-H"),
    "144": ("iso8859_5", b"\x1b-L"),
    "148": ("iso8859_9", b"\x1b-M"),
    "166": ("tis_620", b"\x1b-T"),
    "203": ("iso8859_15", b"\x1b-b"),
    "13": ("shift_jis", b"\x1b)I"),
}
# PS3.3 Tables C.12-3 and C.12-4, by number of registration.
_EXTENSIONS: Final = {
    **{number: _Extension(escape, _high_bytes(codec, 1)) for number, (codec, escape) in _SINGLE_BYTE.items()},
    "58": _Extension(b"\x1b$)A", _high_bytes("gb2312", 2)),
    "87": _Extension(b"\x1b$B", _japanese(2), is_g0=True),
    "149": _Extension(b"\x1b$)C", _high_bytes("euc_kr", 2)),
    "159": _Extension(b"\x1b$(D", _japanese(3), is_g0=True),
}


def encode_ascii(text: str) -> bytes:
    """Return the bytes of a text of the default repertoire."""
    return text.encode("ascii")


def encode_utf_8(text: str) -> bytes:
    """Return the bytes of any text; what is no character at all becomes a question mark."""
    return text.encode("utf_8", "replace")


@lru_cache(maxsize=256)
def encoder_of(character_set: str) -> Encode | None:
    r"""Return the encoder for a value of Specific Character Set, several terms parted by backslashes.

    None if a term is not defined by the standard, or may not stand with the others: who asks for such a set gets
    another.

    Reference: PS3.3 §C.12.1.1.2, PS3.5 §6.1.2.5
    """
    terms = [term.strip(" \0") for term in character_set.split("\\")]
    if len(terms) == 1:
        return _single(terms[0])
    numbers = [_number(term) for term in terms]
    # Only the first may be empty, which means ASCII.
    extensions = [_EXTENSIONS.get(number or "") for number in numbers[1:]]
    if numbers[0] is None or None in extensions:
        return None
    first = None if numbers[0] == "6" else _EXTENSIONS.get(numbers[0])
    if numbers[0] != "6" and first is None:
        return None
    return _Extended(first, [e for e in extensions if e], is_romaji=numbers[0] == "13").encode


def _number(term: str) -> str | None:
    if not term:
        return "6"
    for prefix in ("ISO 2022 IR ", "ISO_IR "):
        if term.startswith(prefix):
            return term.removeprefix(prefix)
    return None


def _single(term: str) -> Encode | None:
    codec = _STAND_ALONE.get(term)
    if codec is not None:
        return lambda text: text.encode(codec)
    number = _number(term)
    if number == "6":
        return encode_ascii
    if number == "13":
        # Shift JIS has more than JIS X 0201, which this is.
        return _Extended(_EXTENSIONS["13"], [], is_romaji=True).encode
    if number in _SINGLE_BYTE:
        single_byte = _SINGLE_BYTE[number][0]
        return lambda text: text.encode(single_byte)
    # Sets of several bytes exist by escape only: with ASCII before them.
    extension = _EXTENSIONS.get(number or "")
    return _Extended(None, [extension], is_romaji=False).encode if extension and term.startswith("ISO 2022") else None


class _Extended:
    """Text with code extensions: escapes turn from one set to another (PS3.5 §6.1.2.5)."""

    def __init__(self, first: _Extension | None, extensions: list[_Extension], *, is_romaji: bool) -> None:
        self._first = first
        self._sets = [first, *extensions] if first else extensions
        self._to_initial = _TO_ROMAJI if is_romaji else _TO_ASCII

    def encode(self, text: str) -> bytes:
        if text.isascii():
            return text.encode("ascii")
        out = bytearray()
        g1 = self._first
        for piece in _DELIMITERS.split(text):
            if _DELIMITERS.match(piece) and g1 is not self._first:
                # The first set returns here by the rules, and not so in readers that know them less: say what follows.
                g1 = None
            if piece.isascii():
                out += piece.encode("ascii")
            else:
                g1 = self._encode_piece(piece, g1, out)
        return bytes(out)

    def _encode_piece(self, text: str, g1: _Extension | None, out: bytearray) -> _Extension | None:
        """Encode what stands between two delimiters, first set in G0 at begin and end; return what is in G1 then."""
        g0: _Extension | None = None
        for character in text:
            if character.isascii():
                if g0 is not None:
                    out += self._to_initial
                    g0 = None
                out += character.encode("ascii")
                continue
            current, raw = self._find(character, g0, g1)
            if current.is_g0:
                if g0 is not current:
                    out += current.escape
                    g0 = current
            else:
                if g0 is not None:
                    # Not needed by the rules; readers that take the last escape for both halves need it.
                    out += self._to_initial
                    g0 = None
                if g1 is not current or out.endswith(self._to_initial):
                    out += current.escape
                    g1 = current
            out += raw
        if g0 is not None:
            out += self._to_initial
        return g1

    def _find(self, character: str, *preferred: _Extension | None) -> tuple[_Extension, bytes]:
        for extension in (*preferred, *self._sets):
            if extension is not None:
                try:
                    return extension, extension.encode(character)
                except UnicodeEncodeError:
                    continue
        raise _missing(character)
