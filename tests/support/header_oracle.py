"""pydicom as the judge of the header reader: its DICOM JSON, element by element, and where Hilum differs on purpose."""

from __future__ import annotations

import logging
import sys
import warnings
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import _read_file_meta_info, read_preamble

from hilum.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

Json = dict[str, Any]

_PIXELS = {0x7FE00008, 0x7FE00009, 0x7FE00010}
_WORD_BYTES = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}

DIFFERENCES = {
    ("badVR.dcm", "00280008"): "IS '1A': pydicom raises, we keep the string and flag it",
    ("Invalid-String-Format.dcm", "00082130"): "DS that is no number: pydicom raises, we keep the string and flag it",
    ("is_not_integer.dcm", "00200013"): "IS '12.5': pydicom cuts it to 12, we keep the string and flag it",
    ("vr_unknown_letters.dcm", "00080060"): "VR ZZ: pydicom raises, we take the dictionary's",
    ("length_beyond_eof.dcm", "00100020"): "pydicom takes the rest of the file for the value, we leave it out",
    ("rtplan_truncated.dcm", "300A00B0/0/300A0111/0/300A012C"): "the same, nested",
    ("sq_depth_3000_unterminated.dcm", "00200013"): "the same",
    ("no_meta.dcm", "08200500"): "the same: the file has a byte too many at its start",
}
"""By file and path. All else that differs follows from `normalise`."""

MISREAD = {
    "vr_null.dcm": "pydicom reads a VR of two zero bytes as a length of 32 bits and swallows the rest of the file",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "pydicom drops all elements when pixel data have no end",
}
"""Files of which pydicom makes something else altogether."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A data set and what pydicom makes of it; `raised` are the top-level tags it could not turn to JSON."""

    data_set: bytes
    transfer_syntax_uid: str
    attributes: Json
    raised: frozenset[str]


def judge(path: Path) -> Judgement | None:
    """Return pydicom's reading of a file, or None if it cannot read it."""
    raw = path.read_bytes()
    file = BytesIO(raw)
    recursion_limit = sys.getrecursionlimit()
    sys.setrecursionlimit(3000)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_preamble(file, True)
            syntax = str(_read_file_meta_info(file).get("TransferSyntaxUID", ""))
            dataset = pydicom.dcmread(BytesIO(raw), force=True)
            attributes, raised = _to_json(dataset)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error):
        return None
    finally:
        sys.setrecursionlimit(recursion_limit)
        logging.disable(logging.NOTSET)
    if not syntax:
        implicit, little = dataset.original_encoding
        explicit = EXPLICIT_VR_LITTLE_ENDIAN if little else EXPLICIT_VR_BIG_ENDIAN
        syntax = IMPLICIT_VR_LITTLE_ENDIAN if implicit else explicit
    return Judgement(raw[file.tell() :], syntax, attributes, frozenset(raised))


def _to_json(dataset: Dataset) -> tuple[Json, set[str]]:
    attributes: Json = {}
    raised = set()
    for tag in list(dataset.keys()):
        if tag in _PIXELS or not tag.element:
            continue
        try:
            attributes[f"{tag:08X}"] = dataset[tag].to_json_dict(None, 0)
        except (ValueError, NotImplementedError):
            raised.add(f"{tag:08X}")
    return attributes, raised


def normalise(attributes: Json, transfer_syntax_uid: str) -> Json:
    """Return pydicom's JSON as the standard has it where pydicom's is another.

    Empty values among several are null, not "" (PS3.18 §F.2.5); an empty sequence has no Value (the same section);
    there are no group lengths; words are little endian in JSON whatever they are in the data set (§F.2.7).
    """
    result: Json = {}
    for tag, element in attributes.items():
        if tag.endswith("0000"):
            continue
        vr = str(element["vr"])
        new: Json = {"vr": vr}
        if vr == "SQ":
            if element.get("Value"):
                new["Value"] = [normalise(item, transfer_syntax_uid) for item in element["Value"]]
        elif "Value" in element:
            new["Value"] = [None if value == "" else value for value in element["Value"]]
        elif "InlineBinary" in element:
            new["InlineBinary"] = element["InlineBinary"]
            if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN and vr in _WORD_BYTES:
                raw, size = b64decode(new["InlineBinary"]), _WORD_BYTES[vr]
                swapped = b"".join(raw[i : i + size][::-1] for i in range(0, len(raw), size))
                new["InlineBinary"] = b64encode(swapped).decode("ascii")
        result[tag] = new
    return result


def differing_paths(ours: Json, theirs: Json, path: str = "") -> set[str]:
    """Return the paths of all elements that are not the same in both, the innermost ones."""
    paths = set()
    for tag in {*ours, *theirs}:
        mine, other = ours.get(tag), theirs.get(tag)
        if mine == other:
            continue
        items, other_items = (e["Value"] if e and e["vr"] == "SQ" and "Value" in e else None for e in (mine, other))
        if items and other_items and len(items) == len(other_items):
            for number, (item, other_item) in enumerate(zip(items, other_items, strict=True)):
                paths |= differing_paths(item, other_item, f"{path}{tag}/{number}/")
        else:
            paths.add(path + tag)
    return paths
