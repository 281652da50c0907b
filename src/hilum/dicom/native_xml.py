"""DICOM JSON to the Native DICOM Model: PS3.19 Annex A as XML, well-formed whatever the values hold."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from hilum.dicom.dictionary import is_private, is_private_creator, keyword_of
from hilum.kernel.errors import LimitExceeded
from hilum.kernel.limits import MAX_SEQUENCE_DEPTH

JsonDataset: TypeAlias = Mapping[str, Mapping[str, Any]]

CONTENT_TYPE: Final = "application/dicom+xml"
_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'
)
_TAIL: Final = "</NativeDicomModel>"
# What XML 1.0 has no way to write, escaped or not: C0 controls but tab and line ends, surrogates, two non-characters.
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# A bare carriage return would be read as a line feed (XML 1.0 §2.11), so it goes as a reference.
_ENTITIES: Final = {"\r": "&#13;"}
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_NAME_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def native_xml(attributes: JsonDataset) -> bytes:
    """Return one data set as a Native DICOM Model document in UTF-8.

    Characters that XML cannot carry become U+FFFD.

    Raises:
        LimitExceeded: sequences are nested deeper than `limits.MAX_SEQUENCE_DEPTH`.

    Reference: PS3.19 §A.1
    """
    return b"".join(native_xml_parts(attributes))


def native_xml_parts(attributes: JsonDataset) -> Iterator[bytes]:
    """Yield the document in pieces, one for each attribute of the top level; joined they are `native_xml`.

    Raises:
        LimitExceeded: sequences are nested deeper than `limits.MAX_SEQUENCE_DEPTH`.

    Reference: PS3.19 §A.1
    """
    yield _HEAD.encode()
    for piece in _data_set(attributes, 0):
        yield piece.encode("utf-8")
    yield _TAIL.encode()


def _data_set(attributes: JsonDataset, depth: int) -> Iterator[str]:
    if depth > MAX_SEQUENCE_DEPTH:
        raise LimitExceeded("Sequences are nested too deep (MAX_SEQUENCE_DEPTH).", limit=MAX_SEQUENCE_DEPTH)
    for tag in sorted(attributes):
        yield "".join(_attribute(tag, attributes[tag], attributes, depth))


def _attribute(tag: str, element: Mapping[str, Any], siblings: JsonDataset, depth: int) -> Iterator[str]:
    vr = str(element.get("vr", "UN"))
    yield f"<DicomAttribute tag={_quoted(tag)} vr={_quoted(vr)}"
    keyword = keyword_of(tag)
    if keyword:
        yield f" keyword={_quoted(keyword)}"
    creator = _private_creator(tag, siblings)
    if creator:
        yield f" privateCreator={_quoted(creator)}"
    yield ">"
    if "BulkDataURI" in element:
        yield f"<BulkData uri={_quoted(str(element['BulkDataURI']))}/>"
    elif "InlineBinary" in element:
        yield f"<InlineBinary>{_text(str(element['InlineBinary']))}</InlineBinary>"
    else:
        values: Sequence[Any] = element.get("Value", ())
        for number, value in enumerate(values, start=1):
            # An empty value keeps its number by leaving a gap (§A.1.5.2).
            if value is not None:
                yield from _value(vr, number, value, depth)
    yield "</DicomAttribute>"


def _value(vr: str, number: int, value: Any, depth: int) -> Iterator[str]:
    if vr == "SQ":
        yield f'<Item number="{number}">'
        yield from _data_set(value, depth + 1)
        yield "</Item>"
    elif vr == "PN":
        yield f'<PersonName number="{number}">'
        groups = value if isinstance(value, Mapping) else {"Alphabetic": value}
        yield from (_name_group(group, str(groups[group])) for group in _NAME_GROUPS if groups.get(group))
        yield "</PersonName>"
    else:
        yield f'<Value number="{number}">{_text(_literal(value))}</Value>'


def _name_group(group: str, text: str) -> str:
    parts = zip(_NAME_COMPONENTS, text.split("^", len(_NAME_COMPONENTS) - 1), strict=False)
    components = "".join(f"<{name}>{_text(part)}</{name}>" for name, part in parts if part)
    return f"<{group}>{components}</{group}>"


def _literal(value: Any) -> str:
    if isinstance(value, float):
        if math.isfinite(value):
            return repr(value)
        return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
    return str(value)


def _private_creator(tag: str, siblings: JsonDataset) -> str | None:
    if not is_private(tag) or is_private_creator(tag) or int(tag[4:6], 16) < 0x10:
        return None
    values = siblings.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value", ())
    return str(values[0]) if values and values[0] is not None else None


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text), _ENTITIES)


def _quoted(text: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", text), _ENTITIES)
