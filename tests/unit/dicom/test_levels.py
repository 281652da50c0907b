"""Attributes of the levels (PS3.3 §A.1.2, PS3.18 §10.6)."""

from __future__ import annotations

from itertools import combinations

import pytest

from hilum.dicom import levels
from hilum.dicom.dictionary import tag_of, vr_of


def test_no_attribute_belongs_to_two_levels() -> None:
    for one, other in combinations([*levels.LEVEL_ATTRIBUTES, levels.COMMON_ATTRIBUTES], 2):
        assert not one & other


@pytest.mark.parametrize(
    ("keyword", "level"),
    [
        ("PatientID", levels.PATIENT),
        ("PatientAge", levels.STUDY),
        ("StudyInstanceUID", levels.STUDY),
        ("ModalitiesInStudy", levels.STUDY),
        ("NumberOfStudyRelatedInstances", levels.STUDY),
        ("Modality", levels.SERIES),
        ("ManufacturerModelName", levels.SERIES),
        ("FrameOfReferenceUID", levels.SERIES),
        ("NumberOfSeriesRelatedInstances", levels.SERIES),
        ("SOPInstanceUID", levels.INSTANCE),
        ("KVP", levels.INSTANCE),
        ("RetrieveURL", levels.INSTANCE),
        ("NumberOfPatientRelatedStudies", levels.PATIENT),
    ],
)
def test_level_of_an_attribute(keyword: str, level: int) -> None:
    assert levels.level_of(tag_of(keyword)) == level


def test_the_unique_key_of_a_level_belongs_to_it() -> None:
    assert [levels.level_of(tag) for tag in levels.UNIQUE_KEYS] == [0, 1, 2, 3]


def test_default_responses_come_from_their_level_or_above() -> None:
    everywhere = levels.COMPUTED_ATTRIBUTES[levels.INSTANCE] | levels.COMMON_ATTRIBUTES
    for level, response in enumerate(levels.DEFAULT_RESPONSES):
        assert len(set(response)) == len(response)
        for tag in set(response) - everywhere:
            assert levels.level_of(tag) <= level


def test_required_matching_keys_can_be_matched() -> None:
    for keys in levels.REQUIRED_MATCHING_KEYS:
        for path in keys:
            assert vr_of(path[-1]) in {"DA", "TM", "SH", "CS", "PN", "LO", "UI", "IS"}
            assert all(vr_of(tag) == "SQ" for tag in path[:-1])
