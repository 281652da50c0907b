"""What people type to ask for entities, as the identifier of a query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from hilum.dicom.dictionary import path_of, vr_of
from hilum.dicom.elements import Attributes
from hilum.kernel.errors import InvalidInput

_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_ONE_TEXT: Final = frozenset({"ST", "LT", "UT", "UR"})
_INTEGERS: Final = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_FLOATS: Final = frozenset({"FL", "FD"})


def identifier_of(keys: Mapping[str, str], return_keys: Iterable[str] = ()) -> Attributes:
    r"""Return the identifier that asks for entities with these values, and for these attributes of them.

    Keys are keywords or tags, through sequences by dots: "ScheduledProcedureStepSequence.Modality". Values are as they
    stand in a data set: wildcards, ranges, lists parted by backslashes, the groups of a name by "="; empty ones match
    everything. Return keys are added where there is no such key.

    Raises:
        InvalidInput: a key is unknown or leads through what is no sequence, or a value is none of its VR.

    Reference: PS3.4 §C.2.2, §K.2.2.2
    """
    identifier: Attributes = {}
    for key, text in keys.items():
        _put(identifier, path_of(key), text)
    for key in return_keys:
        _put(identifier, path_of(key), None)
    return identifier


def _put(attributes: Attributes, path: tuple[str, ...], text: str | None) -> None:
    """Set the value at a path, None for whatever stands there or else an empty one."""
    for tag in path[:-1]:
        item: Attributes = {}
        sequence = attributes.setdefault(tag, {"vr": "SQ"})
        attributes = sequence.setdefault("Value", [item])[0]
    tag = path[-1]
    vr = vr_of(tag)
    if text is None:
        attributes.setdefault(tag, {"vr": vr})
    elif vr == "SQ":
        if text:
            raise InvalidInput(f"{tag} is a sequence: name the attribute within", code="bad-query-value", attribute=tag)
        attributes.setdefault(tag, {"vr": vr})
    else:
        values = _values(tag, vr, text)
        attributes[tag] = {"vr": vr, "Value": values} if values else {"vr": vr}


def _values(tag: str, vr: str, text: str) -> list[Any]:
    if not text:
        return []
    texts = [text] if vr in _ONE_TEXT else text.split("\\")
    if vr == "PN":
        return [_name(each) for each in texts]
    if vr == "AT":
        return [each.upper() for each in texts]
    try:
        if vr in _INTEGERS:
            return [int(each) for each in texts]
        if vr in _FLOATS:
            return [float(each) for each in texts]
    except ValueError as error:
        raise InvalidInput(f"a value of {tag} is a number", code="bad-query-value", attribute=tag) from error
    return texts


def _name(text: str) -> dict[str, str]:
    groups = text.split("=")
    if len(groups) > len(_NAME_GROUPS):
        raise InvalidInput("a name has three groups at most", code="bad-query-value")
    return {name: group for name, group in zip(_NAME_GROUPS, groups, strict=False) if group}
