"""What Hilum does with each deliberately bad file of the corpus folder `broken`, whichever way it comes in.

The policy behind each row stands in docs/guide/damage.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from hilum.dicom.damage import DamageKind
from hilum.kernel.errors import CorruptData, HilumError, InvalidInput


@dataclass(frozen=True, slots=True)
class Expectation:
    """Kept (with these flags) if `error` is None, else refused with this family, code and attribute."""

    damage: frozenset[DamageKind] = frozenset()
    error: type[HilumError] | None = None
    code: str | None = None
    attribute: str | None = None


def _kept(*damage: DamageKind) -> Expectation:
    return Expectation(frozenset(damage))


def _refused(error: type[HilumError], code: str, attribute: str | None = None) -> Expectation:
    return Expectation(error=error, code=code, attribute=attribute)


BROKEN_FILES: dict[str, Expectation] = {
    "bad_dates.dcm": _kept(DamageKind.UNPARSABLE_VALUE),
    "dataset_only_explicit.dcm": _kept(),
    "dataset_only_implicit.dcm": _kept(),
    # 64 MB out of 65 KB stay far below the bound on inflated data sets and are never held in memory.
    "deflate_bomb_64mb.dcm": _kept(),
    "deflated_bad_stream.dcm": _refused(CorruptData, "incomplete-data-set", "SOPClassUID"),
    "duplicate_element.dcm": _kept(DamageKind.DUPLICATE),
    "empty_file.dcm": _refused(InvalidInput, "not-dicom"),
    "empty_study_uid.dcm": _refused(InvalidInput, "missing-attribute", "StudyInstanceUID"),
    "frames_1e6.dcm": _kept(DamageKind.TRUNCATED_PIXEL_DATA),
    "html.dcm": _refused(InvalidInput, "not-dicom"),
    "injection_strings.dcm": _kept(),
    "is_not_integer.dcm": _kept(DamageKind.UNPARSABLE_VALUE),
    "length_beyond_eof.dcm": _refused(CorruptData, "incomplete-data-set", "StudyInstanceUID"),
    "meta_grouplen_wrong.dcm": _kept(),
    "meta_uid_mismatch.dcm": _kept(),
    "missing_class_uid.dcm": _refused(InvalidInput, "missing-attribute", "SOPClassUID"),
    "missing_series_uid.dcm": _refused(InvalidInput, "missing-attribute", "SeriesInstanceUID"),
    "missing_sop_uid.dcm": _refused(InvalidInput, "missing-attribute", "SOPInstanceUID"),
    "missing_study_uid.dcm": _refused(InvalidInput, "missing-attribute", "StudyInstanceUID"),
    "no_preamble.dcm": _kept(),
    "not_dicom_jpeg.dcm": _refused(InvalidInput, "not-dicom"),
    "odd_length_value.dcm": _kept(DamageKind.ODD_LENGTH),
    "only_preamble.dcm": _refused(InvalidInput, "truncated-file-meta"),
    "pixeldata_claims_4gb.dcm": _kept(DamageKind.TRUNCATED_PIXEL_DATA),
    "private_tags_nested_phi.dcm": _kept(),
    "rows_cols_65535.dcm": _kept(DamageKind.TRUNCATED_PIXEL_DATA),
    # Its sequences stand inside another element's value, whose length reaches behind the end: no reader sees them.
    "sq_depth_3000_unterminated.dcm": _kept(DamageKind.LENGTH_BEYOND_END, DamageKind.MISSING_VR),
    "sq_depth_60.dcm": _kept(),
    "truncated_in_header.dcm": _refused(CorruptData, "incomplete-data-set", "StudyInstanceUID"),
    "truncated_in_meta.dcm": _refused(InvalidInput, "truncated-file-meta"),
    "truncated_in_pixeldata.dcm": _kept(DamageKind.TRUNCATED_PIXEL_DATA),
    "uid_leading_zero.dcm": _kept(DamageKind.UID_LEADING_ZERO),
    "uid_path_traversal.dcm": _refused(InvalidInput, "invalid-uid", "SOPInstanceUID"),
    "uid_too_long.dcm": _refused(InvalidInput, "invalid-uid", "SOPInstanceUID"),
    "unknown_ts.dcm": _kept(),
    "unordered_elements.dcm": _kept(DamageKind.UNORDERED),
    "vr_null.dcm": _kept(DamageKind.MISSING_VR),
    "vr_unknown_letters.dcm": _kept(DamageKind.UNKNOWN_VR),
    "wildcard_in_patientid.dcm": _kept(),
    "wrong_ts_says_implicit.dcm": _kept(DamageKind.ENCODING_MISMATCH),
    "wrong_ts_says_jpeg.dcm": _kept(DamageKind.PIXEL_ENCODING_MISMATCH),
}
