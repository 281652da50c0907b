"""What a data set says about loss: that it happened, how often, and of which instance this one is a derivation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from hilum.dicom.dictionary import tag_of, vr_of
from hilum.dicom.elements import Attributes

LOSSY_ATTRIBUTES: Final = tuple(
    map(
        tag_of,
        (
            "ImageType",
            "SOPClassUID",
            "SOPInstanceUID",
            "LossyImageCompression",
            "LossyImageCompressionRatio",
            "LossyImageCompressionMethod",
        ),
    )
)
"""What has to be known of a data set before `compressed` and `derived` can say what changes."""

_RATIO_DIGITS: Final = 4
# PS3.16 CID 7203 and CID 7202.
_LOSSY_COMPRESSION: Final = ("113040", "Lossy Compression")
_UNCOMPRESSED_PREDECESSOR: Final = ("121320", "Uncompressed predecessor")


def element(keyword: str, *values: Any) -> tuple[str, dict[str, Any]]:
    """Return tag and DICOM JSON element of an attribute of the standard."""
    tag = tag_of(keyword)
    return tag, {"vr": vr_of(tag), "Value": list(values)}


def compressed(attributes: Mapping[str, Any], method: str, ratio: float) -> Attributes:
    """Return the attributes after one more lossy compression; earlier ones stay in front.

    Args:
        attributes: before, those of `LOSSY_ATTRIBUTES`.
        method: defined term of the process.
        ratio: of native to compressed bytes.

    Reference: PS3.3 §C.7.6.1.1.5
    """
    ratios = _values(attributes, "LossyImageCompressionRatio")
    methods = _values(attributes, "LossyImageCompressionMethod")
    if not ratios and is_marked_lossy(attributes):
        # The lists go in step; what an earlier device did not say cannot be known.
        methods = []
    return dict(
        (
            element("LossyImageCompression", "01"),
            element("LossyImageCompressionRatio", *ratios, float(f"{ratio:.{_RATIO_DIGITS}g}")),
            element("LossyImageCompressionMethod", *methods, method),
        )
    )


def is_marked_lossy(attributes: Mapping[str, Any]) -> bool:
    """Return whether the data set says that it has lost something.

    Reference: PS3.3 §C.7.6.1.1.5
    """
    return _values(attributes, "LossyImageCompression")[:1] == ["01"]


def derived(attributes: Mapping[str, Any], sop_instance_uid: str) -> Attributes:
    """Return the attributes that make a derived instance of its own of a data set.

    Reference: PS3.3 §C.7.6.1.1.2, §C.7.6.1.1.3, §C.12.4.1; PS3.4 §C.6
    """
    image_type = _values(attributes, "ImageType") or ["ORIGINAL", "PRIMARY"]
    source = dict(
        (
            element("ReferencedSOPClassUID", *_values(attributes, "SOPClassUID")),
            element("ReferencedSOPInstanceUID", *_values(attributes, "SOPInstanceUID")),
            element("PurposeOfReferenceCodeSequence", _code(*_UNCOMPRESSED_PREDECESSOR)),
        )
    )
    return dict(
        (
            element("ImageType", "DERIVED", *image_type[1:]),
            element("SOPInstanceUID", sop_instance_uid),
            element("DerivationDescription", "Lossy compression on retrieval"),
            element("DerivationCodeSequence", _code(*_LOSSY_COMPRESSION)),
            element("SourceImageSequence", source),
        )
    )


def derived_instance_uid(sop_instance_uid: str, *facts: str) -> str:
    """Return the UID of what is derived from an instance; the same facts give the same UID.

    Reference: PS3.5 §B.2
    """
    digest = bytearray(hashlib.sha256("|".join((sop_instance_uid, *facts)).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # a UUID of version 8, variant 2
    digest[8] = digest[8] & 0x3F | 0x80
    return f"2.25.{int.from_bytes(digest, 'big')}"


def _code(value: str, meaning: str) -> Attributes:
    return dict(
        (
            element("CodeValue", value),
            element("CodingSchemeDesignator", "DCM"),
            element("CodeMeaning", meaning),
        )
    )


def _values(attributes: Mapping[str, Any], keyword: str) -> list[Any]:
    values = attributes.get(tag_of(keyword), {}).get("Value")
    return list(values) if isinstance(values, list) else []
