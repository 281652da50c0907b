"""A structured report as a page for people: plain, printable, every text escaped (PS3.18 §8.7.4, PS3.3 §C.17.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, TypeAlias

from hilum.dicom.dictionary import tag_of
from hilum.dicom.uids import STORAGE_SOP_CLASSES
from hilum.kernel.limits import MAX_SEQUENCE_DEPTH

Attributes: TypeAlias = Mapping[str, Any]

_HEADINGS = 6
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.2rem}h3,h4,h5,h6{font-size:1rem}
dl.head{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;border-bottom:1px solid #ccc}
dt{color:#666}dd{margin:0}section{margin-left:1rem}p{margin:.2rem 0;white-space:pre-wrap}.name{color:#666}
""".strip()
_HEAD_FIELDS = (
    ("Patient", "PatientName"),
    ("Patient ID", "PatientID"),
    ("Birth date", "PatientBirthDate"),
    ("Sex", "PatientSex"),
    ("Study date", "StudyDate"),
    ("Accession number", "AccessionNumber"),
    ("Institution", "InstitutionName"),
    ("Completion", "CompletionFlag"),
    ("Verification", "VerificationFlag"),
)
# Keywords of the attribute that holds the value of each simple value type (PS3.3 Table C.17.3-7).
_SIMPLE_VALUES = {
    "TEXT": "TextValue",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
    "PNAME": "PersonName",
    "UIDREF": "UID",
}


def is_report(sop_class_uid: str) -> bool:
    """Return whether instances of this SOP class are structured reports that can be shown as a page."""
    known = STORAGE_SOP_CLASSES.get(sop_class_uid)
    return known is not None and ("SR" in known.keyword or known.keyword.startswith("KeyObjectSelection"))


def report_page(attributes: Attributes) -> str:
    """Return the report as an HTML document.

    Reference: PS3.3 §C.17.3
    """
    title = _code(attributes, "ConceptNameCodeSequence") or "Structured report"
    rows = "".join(
        f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>"
        for label, keyword in _HEAD_FIELDS
        if (value := _texts(attributes, keyword))
    )
    content = "".join(_items(attributes, 2))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f'<body><h1>{escape(title)}</h1><dl class="head">{rows}</dl>{content}</body></html>'
    )


def _items(parent: Attributes, depth: int) -> Iterator[str]:
    if depth > MAX_SEQUENCE_DEPTH:
        yield "<p>…</p>"
        return
    for item in _values(parent, "ContentSequence"):
        if isinstance(item, Mapping):
            yield from _item(item, depth)


def _item(item: Attributes, depth: int) -> Iterator[str]:
    value_type = _texts(item, "ValueType")
    name = _code(item, "ConceptNameCodeSequence")
    if value_type == "CONTAINER":
        level = min(depth, _HEADINGS)
        if name:
            yield f"<h{level}>{escape(name)}</h{level}>"
    else:
        label = f'<span class="name">{escape(name)}: </span>' if name else ""
        yield f"<p>{label}{escape(_value(item, value_type))}</p>"
    children = "".join(_items(item, depth + 1))
    if children:
        yield f"<section>{children}</section>"


def _value(item: Attributes, value_type: str) -> str:
    if value_type in _SIMPLE_VALUES:
        return _texts(item, _SIMPLE_VALUES[value_type])
    if value_type == "CODE":
        return _code(item, "ConceptCodeSequence")
    if value_type == "NUM":
        return _measurement(item)
    if value_type in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        references = [entry for entry in _values(item, "ReferencedSOPSequence") if isinstance(entry, Mapping)]
        uids = ", ".join(_texts(entry, "ReferencedSOPInstanceUID") for entry in references)
        return f"{value_type.capitalize()} {uids}"
    if value_type in ("SCOORD", "SCOORD3D", "TCOORD"):
        return f"{value_type} {_texts(item, 'GraphicType') or _texts(item, 'TemporalRangeType')}"
    return "Refers to another item of this report" if _values(item, "ReferencedContentItemIdentifier") else value_type


def _measurement(item: Attributes) -> str:
    measured = _values(item, "MeasuredValueSequence")
    if measured and isinstance(measured[0], Mapping):
        unit = _code(measured[0], "MeasurementUnitsCodeSequence", prefer_value=True)
        number = _texts(measured[0], "NumericValue")
        # UCUM's unit of a pure number is 1, which nobody wants to read.
        return number if unit in ("", "1") else f"{number} {unit}"
    return _code(item, "NumericValueQualifierCodeSequence") or "no value"


def _code(attributes: Attributes, keyword: str, *, prefer_value: bool = False) -> str:
    codes = _values(attributes, keyword)
    if not codes or not isinstance(codes[0], Mapping):
        return ""
    meaning, value = _texts(codes[0], "CodeMeaning"), _texts(codes[0], "CodeValue")
    return (value or meaning) if prefer_value else (meaning or value)


def _texts(attributes: Attributes, keyword: str) -> str:
    return ", ".join(_text(value) for value in _values(attributes, keyword) if value is not None)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        groups = (value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic"))
        return " / ".join(group.replace("^", " ").strip() for group in groups if group)
    return str(value)


def _values(attributes: Attributes, keyword: str) -> Sequence[Any]:
    element = attributes.get(tag_of(keyword))
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values if isinstance(values, list) else ()
