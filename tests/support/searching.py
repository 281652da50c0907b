"""Generated archives and queries, and what the matching oracle finds in them (PS3.4 §C.2.2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from hilum.archive.query import Level, Match, MomentMatch, Query
from hilum.dicom.dictionary import path_of, tag_of, vr_of
from hilum.dicom.levels import UNIQUE_KEYS
from hilum.dicom.matching import Range, matches_all, matches_combined, parse_condition
from hilum.kernel.errors import InvalidInput
from support.database import attributes_of

Values = Mapping[str, Any]

NAMES = [
    "Doe^Jane",
    "doe^jane^^dr",
    "Doe-Smith^Jo",
    "Müller^Jörg",
    "MULLER^JORG",
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "山田^太郎",
    "=山田",
    "Иванов^Иван",
    "O'Hara^100%_a\\Roe^Rita",
    "Doe",
    "",
]
TEXTS = ["A-1", "a-1", "A_1", "A%1", "AB", "ABC", "X*", "Thorax \\ Kopf", "größe", "", "12", "12.0"]
DATES = ["20200101", "20200131", "20201231", "2020.01.31", "19991231", "20209999", ""]
TIMES = ["10", "1015", "101530", "101530.5", "235959.999999", "000000", "25", ""]
MOMENTS = ["2020", "20200131101530+0100", "20200131", "2020013110", ""]
CODES = ["CT", "MR", "US", "PT", ""]
NUMBERS = [1, 2, 12, 100, ""]
STEPS = [
    {"ScheduledProcedureStepID": "S1", "RequestedProcedureID": "R1"},
    {"ScheduledProcedureStepID": "S2", "RequestedProcedureID": "R2"},
    {"ScheduledProcedureStepID": "S1", "RequestedProcedureID": "R2", "ScheduledProcedureStepDescription": "Kopf"},
]


def names(values: Iterable[str]) -> st.SearchStrategy[Any]:
    return st.sampled_from([v.split("\\")[0] for v in values])


PATIENTS = st.fixed_dictionaries(
    {
        "PatientName": names(NAMES),
        "PatientBirthDate": st.sampled_from(DATES),
        "PatientSex": st.sampled_from(["M", "F", "O", ""]),
        "OtherPatientNames": st.lists(names(NAMES).filter(bool), max_size=2),
        "PatientComments": st.sampled_from(TEXTS),
    }
)
STUDIES = st.fixed_dictionaries(
    {
        "StudyDate": st.sampled_from(DATES),
        "TimezoneOffsetFromUTC": st.sampled_from(["", "+0000", "+0100", "-0530", "+1400", "+9900", "junk"]),
        "StudyTime": st.sampled_from(TIMES),
        "AccessionNumber": st.sampled_from(TEXTS),
        "StudyID": st.sampled_from(TEXTS),
        "StudyDescription": st.sampled_from(TEXTS),
        "ReferringPhysicianName": names(NAMES),
        "PatientSize": st.sampled_from([1.5, 2.0, 1.75, ""]),
        "AdmittingDiagnosesDescription": st.lists(st.sampled_from(TEXTS).filter(bool), max_size=3),
    }
)
SERIES = st.fixed_dictionaries(
    {
        "Modality": st.sampled_from(CODES),
        "SeriesNumber": st.sampled_from(NUMBERS),
        "SeriesDescription": st.sampled_from(TEXTS),
        "PerformedProcedureStepStartDate": st.sampled_from(DATES),
        "PerformedProcedureStepStartTime": st.sampled_from(TIMES),
        "RequestAttributesSequence": st.lists(st.sampled_from(STEPS), max_size=2),
        "OperatorsName": names(NAMES),
    }
)
INSTANCES = st.fixed_dictionaries(
    {
        "InstanceNumber": st.sampled_from(NUMBERS),
        "ImageType": st.lists(st.sampled_from(["ORIGINAL", "PRIMARY", "AXIAL"]), max_size=3),
        "AcquisitionDateTime": st.sampled_from(MOMENTS),
        "ContentTime": st.sampled_from(TIMES),
        "Rows": st.sampled_from([64, 512, ""]),
        "SOPClassUID": st.sampled_from(["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"]),
    }
)


@st.composite
def archives(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Instances of up to three patients, consistent on every level."""
    instances = []
    for p in range(draw(st.integers(1, 3))):
        patient = draw(PATIENTS) | {"PatientID": f"P{p}"}
        for s in range(draw(st.integers(1, 2))):
            study = draw(STUDIES) | {"StudyInstanceUID": f"1.{p}.{s}"}
            for e in range(draw(st.integers(1, 2))):
                series = draw(SERIES) | {"SeriesInstanceUID": f"1.{p}.{s}.{e}"}
                for i in range(draw(st.integers(1, 2))):
                    uid = {"SOPInstanceUID": f"1.{p}.{s}.{e}.{i}"}
                    instances.append(patient | study | series | draw(INSTANCES) | uid)
    return instances


PATHS = [
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "OtherPatientNames", "PatientComments"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription"),
    *("ReferringPhysicianName", "PatientSize", "AdmittingDiagnosesDescription", "ModalitiesInStudy"),
    *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "OperatorsName"),
    *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
    "RequestAttributesSequence.ScheduledProcedureStepID",
    "RequestAttributesSequence.RequestedProcedureID",
    "RequestAttributesSequence.ScheduledProcedureStepDescription",
    *("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "ImageType", "AcquisitionDateTime", "ContentTime", "Rows"),
]
ASKED = {
    "PN": [*NAMES, "doe*", "*OE*", "DOE^*", "*^jo*", "d?e*", "m?ller*", "*田*", "?田*", "=山田*", "*=*", "doe jane"],
    "DA": [*DATES, "20200101-20200131", "-20200131", "20200115-"],
    "TM": [*TIMES, "10-11", "101530-", "-1015", "1015-101530"],
    "DT": [*MOMENTS, "2020-2021", "20200131-", "-2019"],
    "IS": ["1", "2", "12", "012", "1\\2"],
    "DS": ["1.5", "2", "1.750"],
    "US": ["64", "512"],
    "UI": ["1.0.0", "1.0.0.0", "1.0.0.0.0", "1.0.0\\1.1.0", "1.2.840.10008.5.1.4.1.1.2"],
    "CS": [*CODES, "C*", "?R", "CT\\MR", "*", "ORIGINAL", "M", "F"],
    "*": [*TEXTS, "A*", "*1", "A?1", "*%*", "A_*", "*B*", "A-1\\AB", "P0", "P*", "S1", "R2", "K*f", "GRÖSSE", "größe"],
}


@st.composite
def matches(draw: st.DrawFn) -> Match | None:
    path = path_of(draw(st.sampled_from(PATHS)))
    vr = vr_of(path[-1])
    text = draw(st.sampled_from(ASKED.get(vr, ASKED["*"])))
    try:
        return Match(path, parse_condition(vr, text, fuzzy=draw(st.booleans())))
    except InvalidInput:
        return None


PAIRS = [("StudyDate", "StudyTime"), ("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime")]
DAYS = ["20200101", "20200130", "20200131", "20201231"]
HOURS = ["00", "10", "1015", "101530", "101530.5", "235959.999999"]
OFFSETS = [None, 0, 60, -330, 840]


@st.composite
def moments(draw: st.DrawFn) -> MomentMatch:
    date, time = draw(st.sampled_from(PAIRS))
    days = sorted(draw(st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS))))
    hours = sorted(draw(st.tuples(st.sampled_from(HOURS), st.sampled_from(HOURS))))
    has_low, has_high = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    dates, times = (Range(r[0] if has_low else None, r[1] if has_high else None) for r in (days, hours))
    return MomentMatch(tag_of(date), tag_of(time), dates, times, draw(st.sampled_from(OFFSETS)))


@st.composite
def modality_keys(draw: st.DrawFn) -> list[Match]:
    """A modality of the study or of a series, most often with the date of the study."""
    asked = [(draw(st.sampled_from(["ModalitiesInStudy", "Modality"])), draw(st.sampled_from(["CT", "MR", "C*"])))]
    if draw(st.integers(0, 3)):
        asked.append(("StudyDate", draw(st.sampled_from(["20200101", "20200101-20200131", "20200115-", "-20200131"]))))
    return [Match((tag_of(key),), parse_condition(vr_of(tag_of(key)), text)) for key, text in asked]


QUERIES = st.builds(
    lambda level, keys, pairs: Query(level, tuple(k for k in keys if k is not None), limit=1000, moments=tuple(pairs)),
    st.sampled_from(list(Level)),
    st.one_of(
        st.lists(matches(), min_size=1, max_size=3),
        modality_keys(),
        st.builds(lambda keys, more: [*keys, more], modality_keys(), matches()),
    ),
    st.one_of(st.just([]), st.lists(moments(), min_size=1, max_size=2)),
)


def described_by_oracle(archive: list[dict[str, Any]]) -> dict[str, tuple[list[str], int, int]]:
    """Return the modalities, and the numbers of series and instances, of each study."""
    described = {}
    for study in {instance["StudyInstanceUID"] for instance in archive}:
        of_it = [instance for instance in archive if instance["StudyInstanceUID"] == study]
        modalities = sorted({instance["Modality"] for instance in of_it} - {""})
        described[study] = modalities, len({instance["SeriesInstanceUID"] for instance in of_it}), len(of_it)
    return described


def found_by_oracle(archive: list[dict[str, Any]], query: Query) -> set[str]:
    """Return the unique keys of the entities one of whose instances satisfies all keys."""
    found = set()
    for instance in archive:
        study = instance["StudyInstanceUID"]
        modalities = {i["Modality"] for i in archive if i["StudyInstanceUID"] == study} - {""}
        attributes = attributes_of(instance | {"ModalitiesInStudy": sorted(modalities)})
        if matches_all(attributes, [(match.path, match.condition) for match in query.matches]) and all(
            matches_combined(attributes, m.date_tag, m.time_tag, m.dates, m.times, m.offset_minutes)
            for m in query.moments
        ):
            found.add(attributes[UNIQUE_KEYS[query.level]]["Value"][0])
    return found
