"""Specific Character Set: the bytes of text values as text, whatever they are (PS3.3 §C.12.1.1.2, PS3.5 §6.1)."""

from __future__ import annotations

import codecs
from typing import Final

_DEFAULT: Final = "latin_1"  # ISO-IR 6 says nothing of the upper half; what is found there is Latin-1 most often.
ESCAPE: Final = b"\x1b"

# Defined terms by the number of their ISO registration; they come as "ISO_IR n" and, with code extensions,
# as "ISO 2022 IR n".
_ISO_REGISTRATIONS: Final = {
    "6": _DEFAULT,
    "13": "shift_jis",
    "58": "gb2312",
    "87": "iso2022_jp",
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "149": "euc_kr",
    "159": "iso2022_jp_2",
    "166": "tis_620",
    "192": "utf_8",
    "203": "iso8859_15",
}
# Terms outside that pattern: of the standard (GB18030, GBK) and as writers that read it hastily put them.
_OTHER_TERMS: Final = {
    "": _DEFAULT,
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO2022GBK": "gbk",
    "ISO202258": "gb2312",
    "UTF8": "utf_8",
    "LATIN1": "latin_1",
    "ASCII": _DEFAULT,
    "ISO646": _DEFAULT,
    "SHIFTJIS": "shift_jis",
    "BIG5": "big5",
    "EUCKR": "euc_kr",
}
_ASCII_TERMS: Final = frozenset({"", "ISOIR6", "ISO2022IR6", "ASCII", "ISO646"})
_STAND_ALONE: Final = frozenset({"utf_8", "gb18030", "gbk"})

# PS3.3 Tables C.12-3 and C.12-4: what each escape sequence turns to.
_ESCAPES: Final = {
    b"\x1b(B": _DEFAULT,
    b"\x1b-A": "latin_1",
    b"\x1b)I": "shift_jis",
    b"\x1b(J": "shift_jis",
    b"\x1b-B": "iso8859_2",
    b"\x1b-C": "iso8859_3",
    b"\x1b-D": "iso8859_4",
    b"\x1b-F": "iso8859_7",
    b"\x1b-G": "iso8859_6",
    b"\x1b-H": "iso8859_8",
    b"\x1b-L": "iso8859_5",
    b"\x1b-M": "iso8859_9",
    b"\x1b-T": "tis_620",
    b"\x1b-b": "iso8859_15",
    b"\x1b$B": "iso2022_jp",
    b"\x1b$)C": "euc_kr",
    b"\x1b$(D": "iso2022_jp_2",
    b"\x1b$)A": "gb2312",
}
# These codecs read the escape sequence themselves.
_KEEPS_ESCAPE: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})
_LINE_ENDS: Final = b"\t\n\f\r"  # each returns to the first character set (PS3.5 §6.1.2.5.3)


class Charset:
    """How the text of one data set (or item) is decoded: the first set, and those that escapes may turn to."""

    __slots__ = ("_first", "_is_first_ascii", "is_known")

    def __init__(self, terms: list[str]) -> None:
        names = [_codec(term) for term in terms or [""]]
        self._first = names[0] or _DEFAULT
        self._is_first_ascii = self._first == _DEFAULT and _compact(terms[0] if terms else "") in _ASCII_TERMS
        self.is_known = all(names) and not (len(names) > 1 and _STAND_ALONE.intersection(n for n in names if n))

    def decode(self, raw: bytes, delimiters: bytes = b"") -> tuple[str, bool]:
        """Return the text and whether every byte had a meaning; bytes without one become U+FFFD.

        Args:
            raw: a value field.
            delimiters: what parts values, and names, in this VR. The first set is in force again after each, unless
                that is ASCII: then bytes of the upper half mean something in the set before alone.

        Reference: PS3.5 §6.1.2.5
        """
        if ESCAPE not in raw:
            return _decode(raw, self._first)
        ends = _LINE_ENDS if self._is_first_ascii else _LINE_ENDS + delimiters
        first, *escaped = raw.split(ESCAPE)
        text, fits = _decode(first, self._first)
        for piece in escaped:
            more, more_fits = self._decode_escaped(ESCAPE + piece, ends)
            text += more
            fits = fits and more_fits
        return text, fits

    def _decode_escaped(self, piece: bytes, ends: bytes) -> tuple[str, bool]:
        """Decode one piece that starts with an escape sequence and holds no other."""
        length = 4 if piece[1:3] in (b"$(", b"$)") else 3
        codec = _ESCAPES.get(piece[:length])
        if codec is None:
            return _decode(piece, self._first)[0], False
        if codec in _KEEPS_ESCAPE:
            return _decode(piece, codec)
        body = piece[length:]
        end = next((i for i, byte in enumerate(body) if byte in ends), len(body))
        text, fits = _decode(body[:end], codec)
        rest, rest_fits = _decode(body[end:], self._first)
        return text + rest, fits and rest_fits


def charset_of(raw: bytes) -> Charset:
    """Return the decoder for a value of Specific Character Set (0008,0005) as it stands in the data set.

    Terms that are misspelt in ways known from the field are understood; an unknown one counts as the default.

    Reference: PS3.3 §C.12.1.1.2
    """
    charset = _known.get(raw)
    if charset is None:
        charset = Charset([term.strip(" \0") for term in raw.decode("latin-1").rstrip(" \0").split("\\")])
        if len(_known) < _MAX_KNOWN:
            _known[raw] = charset
    return charset


def _compact(term: str) -> str:
    return "".join(c for c in term.upper() if c.isalnum())


def _codec(term: str) -> str | None:
    """Return the codec of one defined term, or None if it names none we trust."""
    compact = _compact(term)
    for prefix in ("ISO2022IR", "ISOIR", "ISO2022"):
        if compact.startswith(prefix) and compact[len(prefix) :] in _ISO_REGISTRATIONS:
            return _ISO_REGISTRATIONS[compact[len(prefix) :]]
    if compact in _OTHER_TERMS:
        return _OTHER_TERMS[compact]
    # Code pages by their common names; not every codec of the platform, some of which are no character sets.
    if compact.startswith(("ISO8859", "WINDOWS125", "CP125")):
        try:
            return codecs.lookup(term.strip()).name
        except LookupError:
            return None
    return None


def _decode(raw: bytes, codec: str) -> tuple[str, bool]:
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        return raw.decode(codec, "replace"), False
    return text, True


_MAX_KNOWN: Final = 256
_known: dict[bytes, Charset] = {}
DEFAULT_CHARSET: Final = Charset([""])
