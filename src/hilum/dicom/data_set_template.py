"""Many data sets of the same attributes, as the answers of one query are: what they share is worked out once."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from hilum.dicom.data_sets import ValueWriter, element_writer, write_data_set
from hilum.dicom.text_encoding import UTF_8, Encode, encode_ascii, encode_utf_8, encoder_of
from hilum.dicom.uids import TRANSFER_SYNTAXES

# Values of these VRs are text as it stands in DICOM JSON, of the first without any character set.
_PLAIN_VRS: Final = frozenset({"AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"})
_TEXT_VRS: Final = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
_CHARACTER_SET: Final = "00080005"
_READY_LENGTHS: Final = 64
_KNOWN_HEADS: Final = 256


class _Unusual(Exception):
    """A data set is not what the short way is for."""


class _Slot(NamedTuple):
    """The place of one attribute: what stands before it, and how its value is written."""

    constant: bytes
    tag: str
    vr: str
    is_plain: bool
    is_text: bool
    is_name: bool
    write_value: ValueWriter
    padding: bytes
    heads: tuple[bytes, ...]
    """The element up to its value by the number of pairs of bytes the value has; the first is the empty element."""


class _Form(NamedTuple):
    """The template in one character set; `tail` stands behind the last slot."""

    slots: list[_Slot]
    tail: bytes
    encode: Encode


class DataSetTemplate:
    """Writes data sets of given attributes, as `write_data_set` would and several times as fast.

    Args:
        vrs: VR by tag of the attributes; the ones a data set lacks are written empty.
        constants: attributes that are the same in all data sets, in ASCII.
        transfer_syntax_uid: how.
        character_set: as `write_data_set` takes it.

    Raises:
        InvalidInput: a constant does not fit its VR.

    Reference: PS3.5 §7
    """

    def __init__(
        self,
        vrs: Mapping[str, str],
        constants: Mapping[str, Any],
        transfer_syntax_uid: str,
        *,
        character_set: str | None = None,
    ) -> None:
        syntax = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
        self._vrs = dict(vrs)
        self._constants = dict(constants)
        self._transfer_syntax_uid = transfer_syntax_uid
        self._character_set = character_set
        # Sequences and deflated data sets go the long way.
        self._is_usual = "SQ" not in vrs.values() and not (syntax is not None and syntax.is_deflated)
        self._forms: list[_Form] = []
        self._further: list[tuple[Encode, str]] = []
        if self._is_usual:
            # Most data sets are ASCII; the others are in the set that is wanted, as far as that goes, else in UTF-8.
            self._forms.append(self._form(encode_ascii, None))
            wanted = encoder_of(character_set) if character_set else None
            if wanted is not None and character_set is not None and wanted is not encode_ascii:
                self._further.append((wanted, character_set))
            self._further.append((encode_utf_8, UTF_8))

    def _form(self, encode: Encode, character_set: str | None) -> _Form:
        writer = element_writer(self._transfer_syntax_uid)
        constants = dict(self._constants)
        if character_set is not None:
            constants[_CHARACTER_SET] = {"vr": "CS", "Value": [character_set]}
        slots: list[_Slot] = []
        constant = b""
        for tag in sorted({*self._vrs, *constants}):
            if tag in constants:
                constant += writer.elements({tag: constants[tag]}, encode_ascii)
                continue
            if tag == _CHARACTER_SET:
                continue
            vr = self._vrs[tag]
            kinds = vr in _PLAIN_VRS, vr in _TEXT_VRS, vr == "PN"
            slots.append(_Slot(constant, tag, vr, *kinds, *_heads(self._transfer_syntax_uid, tag, vr)))
            constant = b""
        return _Form(slots, constant, encode)

    def _all_forms(self) -> Iterator[_Form]:
        """Yield the forms from the plainest on; all but that are made when a data set needs them."""
        yield from self._forms
        while self._further:
            self._forms.append(self._form(*self._further.pop(0)))
            yield self._forms[-1]

    def write(self, attributes: Mapping[str, Any]) -> bytes:
        """Return the bytes of a data set with the attributes of this template; others it may hold are left out.

        Raises:
            InvalidInput: a value does not fit its VR, or is a reference to bulk data.
        """
        try:
            for form in self._all_forms():
                try:
                    return _written(form, attributes)
                except UnicodeEncodeError:
                    continue
        except _Unusual:
            pass
        chosen = {tag: attributes.get(tag) or {"vr": vr} for tag, vr in self._vrs.items()}
        return write_data_set(
            {**chosen, **self._constants}, self._transfer_syntax_uid, character_set=self._character_set
        )


@lru_cache(maxsize=_KNOWN_HEADS)
def _heads(transfer_syntax_uid: str, tag: str, vr: str) -> tuple[ValueWriter, bytes, tuple[bytes, ...]]:
    """Return the last three fields of a slot; queries ask for the same few attributes again and again."""
    head, pack_length, write_value, padding, _, _ = element_writer(transfer_syntax_uid).head(tag, vr)
    assert write_value is not None
    return write_value, padding, tuple(head + pack_length(2 * pairs) for pairs in range(_READY_LENGTHS))


def _written(form: _Form, attributes: Mapping[str, Any]) -> bytes:
    """Return a data set in one form. Raises UnicodeEncodeError when its character set does not suffice."""
    out: list[bytes] = []
    append = out.append
    encode = form.encode
    for constant, tag, vr, is_plain, is_text, is_name, write_value, padding, heads in form.slots:
        if constant:
            append(constant)
        element = attributes.get(tag)
        if element is None:
            append(heads[0])
            continue
        values = element.get("Value")
        if not values or element["vr"] != vr:
            if len(element) > 1:
                raise _Unusual
            append(heads[0])
            continue
        try:
            if len(values) > 1:
                raw = write_value(values, encode)
            elif is_plain:
                raw = values[0].encode("latin_1", "replace")
            elif is_text:
                raw = encode(values[0])
            elif is_name and len(values[0]) == 1:
                raw = encode(values[0]["Alphabetic"])
            else:
                raw = write_value(values, encode)
        except UnicodeEncodeError:
            raise
        except (TypeError, ValueError, LookupError, AttributeError, struct.error, OverflowError) as error:
            # What is wrong, the long way tells.
            raise _Unusual from error
        length = len(raw)
        if length & 1:
            raw += padding
            length += 1
        if length >= 2 * _READY_LENGTHS:
            raise _Unusual
        append(heads[length >> 1])
        append(raw)
    append(form.tail)
    return b"".join(out)
