"""From what the index found to the identifiers of C-FIND responses (PS3.4 §C.4.1.1.3.2)."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from hilum.archive.model import DicomJson
from hilum.dicom.data_set_template import DataSetTemplate
from hilum.dicom.dictionary import tag_of, vr_of
from hilum.dicom.levels import DATE_TIME_PAIRS
from hilum.dicom.matching import matches_all
from hilum.dicom.zones import TIMEZONE_OFFSET, moved, offset_element, offset_of
from hilum.scp.query_identifiers import ALWAYS_ANSWERED, FindRequest
from hilum.scp.query_models import LEVEL_NAMES

_BIRTH_DATE: Final = tag_of("PatientBirthDate")
# Where somebody was born says no zone of an examination.
_MOVED_PAIRS: Final = {date: time for date, time in DATE_TIME_PAIRS.items() if date != _BIRTH_DATE}


class AnswerWriter:
    """Writes the identifiers that answer one request: the attributes it asks for, those without a value empty.

    Args:
        request: what was asked.
        transfer_syntax_uid: of the presentation context.
        retrieve_ae_title: where the instances can be retrieved from: us.
        character_set: what the requestor prefers, as `write_data_set` takes it.
    """

    def __init__(
        self, request: FindRequest, transfer_syntax_uid: str, *, retrieve_ae_title: str, character_set: str | None
    ) -> None:
        self._offset = request.offset_minutes
        self._item_keys = request.item_keys
        vrs = {tag: _vr(tag, key) for tag, key in request.keys.items() if tag not in ALWAYS_ANSWERED}
        # Sequences whose items are returned in part.
        self._items = {
            tag: request.keys[tag]["Value"][0]
            for tag, vr in vrs.items()
            if vr == "SQ" and any(request.keys[tag].get("Value") or ())
        }
        level = next(name for name, level in LEVEL_NAMES.items() if level is request.query.level)
        constants = {
            tag_of("QueryRetrieveLevel"): {"vr": "CS", "Value": [level]},
            tag_of("RetrieveAETitle"): {"vr": "AE", "Value": [retrieve_ae_title]},
            tag_of("InstanceAvailability"): {"vr": "CS", "Value": ["ONLINE"]},
        }
        template = partial(DataSetTemplate, constants=constants, character_set=character_set)
        self._template = template(vrs, transfer_syntax_uid=transfer_syntax_uid)
        self._zoned = self._template
        if self._offset is not None:
            # For what is told in another zone than its own.
            self._zoned = template({**vrs, TIMEZONE_OFFSET: "SH"}, transfer_syntax_uid=transfer_syntax_uid)

    def write(self, found: DicomJson) -> bytes:
        """Return one identifier.

        Raises:
            InvalidInput: the archive holds a value that cannot be written.

        Reference: PS3.4 §C.4.1.1.3.2
        """
        if self._items or self._offset is not None:
            found = {**found}
        zone = self._move(found) if self._offset is not None else None
        for tag, asked in self._items.items():
            items = [
                _part(item, asked)
                for item in found.get(tag, {}).get("Value", ())
                if matches_all(item, self._item_keys.get(tag, ()))
            ]
            found[tag] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        if zone is None:
            return self._template.write(found)
        found[TIMEZONE_OFFSET] = zone
        return self._zoned.write(found)

    def _move(self, found: DicomJson) -> dict[str, Any] | None:
        """Move what was found into the zone of the request; return the zone it is in now, if one is known."""
        own = offset_of(found)
        if own is None or self._offset is None:
            return None
        found.update(moved(found, self._offset - own, _MOVED_PAIRS))
        return offset_element(self._offset)


def _vr(tag: str, element: dict[str, Any]) -> str:
    vr = vr_of(tag)
    return str(element["vr"]) if vr == "UN" else vr


def _part(item: DicomJson, asked: DicomJson) -> DicomJson:
    """Return of an item what its key asks for; an empty sequence or item asks for all."""
    part: DicomJson = {}
    for tag, key in asked.items():
        element = item.get(tag, {"vr": _vr(tag, key)})
        inner = key.get("Value")
        if element["vr"] == "SQ" and inner and inner[0]:
            items = [_part(each, inner[0]) for each in element.get("Value", ())]
            element = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        part[tag] = element
    return part
