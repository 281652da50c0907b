"""The items SQL finds are those the definition finds (PS3.4 Annex K, §C.2.2.2)."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hilum.archive.identifiers import matching_keys, requested
from hilum.archive.model import DicomJson
from hilum.archive.query import Match
from hilum.archive.worklist import OPEN_STATUSES, StepStatus, WorklistItem, WorklistQuery, is_found, values_at
from hilum.dicom.conditions import Universal
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.dictionary import path_of, vr_of
from hilum.dicom.matching import parse_condition
from hilum.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import open_index
from hilum.kernel.errors import InvalidInput
from support.database import new_tenant
from support.worklist import worklist_item

NAMES = [
    "Doe^Jane",
    "DOE^JANE^^DR",
    "Müller^Jörg",
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "=山田",
    "O'Hara^100%_a",
    "Doe",
    "",
]
TEXTS = ["A-1", "a-1", "A_1", "A%1", "AB", "X*", "größe", "", "12", "12.0"]
DATES = ["20260104", "20260105", "20260106", "20260131", "2026.01.05", "20269999", ""]
TIMES = ["10", "1015", "101530", "101530.5", "235959.999999", "000000", "25", ""]
CODES = ["CT", "MR", "US", ""]
TITLES = ["CT1", "CT2", "MR 1", ["CT1", "CT2"], ["CT2", "MR 1"], ""]

STEP = "ScheduledProcedureStepSequence"
STEPS = st.fixed_dictionaries(
    {
        "ScheduledStationAETitle": st.sampled_from(TITLES),
        "ScheduledProcedureStepStartDate": st.sampled_from(DATES),
        "ScheduledProcedureStepStartTime": st.sampled_from(TIMES),
        "Modality": st.sampled_from(CODES),
        "ScheduledPerformingPhysicianName": st.sampled_from(NAMES),
        "ScheduledProcedureStepDescription": st.sampled_from(TEXTS),
        "ScheduledStationName": st.lists(st.sampled_from(TEXTS).filter(bool), max_size=2),
        "ScheduledProtocolCodeSequence": st.lists(
            st.fixed_dictionaries(
                {"CodeValue": st.sampled_from(["1", "2"]), "CodingSchemeDesignator": st.sampled_from(["L", "99X"])}
            ),
            max_size=2,
        ),
    }
)
VALUES = st.fixed_dictionaries(
    {
        "PatientName": st.sampled_from(NAMES),
        "PatientID": st.sampled_from(TEXTS),
        "PatientSex": st.sampled_from(["M", "F", ""]),
        "PatientBirthDate": st.sampled_from(DATES),
        "PatientWeight": st.sampled_from([70.5, 80, ""]),
        "AccessionNumber": st.sampled_from(TEXTS),
        "RequestedProcedureID": st.sampled_from(TEXTS),
        "RequestingPhysician": st.sampled_from(NAMES),
        "ReasonForTheRequestedProcedure": st.sampled_from(TEXTS),
        "StudyInstanceUID": st.sampled_from(["1.2.1", "1.2.2", "1.2.3"]),
        "TimezoneOffsetFromUTC": st.sampled_from(["", "", "+0000", "+0100", "-0800", "+0530", "+9900", "-1200"]),
    }
)


@st.composite
def items(draw: st.DrawFn) -> WorklistItem:
    status = draw(st.sampled_from(list(StepStatus)))
    return worklist_item(status, draw(STEPS), **draw(VALUES))


KEYS = {
    **dict.fromkeys(["PatientName", "RequestingPhysician", f"{STEP}.ScheduledPerformingPhysicianName"], NAMES),
    **dict.fromkeys(["PatientID", "AccessionNumber", "RequestedProcedureID", "ReasonForTheRequestedProcedure"], TEXTS),
    **dict.fromkeys([f"{STEP}.ScheduledProcedureStepDescription", f"{STEP}.ScheduledStationName"], TEXTS),
    **dict.fromkeys(["PatientBirthDate"], DATES),
    f"{STEP}.ScheduledProcedureStepStartDate": DATES,
    f"{STEP}.ScheduledProcedureStepStartTime": TIMES,
    f"{STEP}.Modality": CODES,
    f"{STEP}.ScheduledStationAETitle": ["CT1", "CT2", "MR 1"],
    f"{STEP}.ScheduledProcedureStepStatus": [status.value for status in StepStatus],
    f"{STEP}.ScheduledProtocolCodeSequence.CodeValue": ["1", "2"],
    f"{STEP}.ScheduledProtocolCodeSequence.CodingSchemeDesignator": ["L", "99X"],
    "PatientWeight": ["70.5", "80"],
    "PatientSex": ["M", "F"],
    "StudyInstanceUID": ["1.2.1", "1.2.2", "1.2.1\\1.2.3"],
}


@st.composite
def matches(draw: st.DrawFn) -> Match:
    name = draw(st.sampled_from(list(KEYS)))
    return draw(match_on(name))


@st.composite
def match_on(draw: st.DrawFn, name: str) -> Match:
    path = path_of(name)
    vr = vr_of(path[-1])
    text: str = draw(st.sampled_from(KEYS[name]))
    if vr in ("DA", "TM"):
        other = draw(st.sampled_from(KEYS[name]))
        text = draw(st.sampled_from([text, f"{text}-", f"-{text}", f"{min(text, other)}-{max(text, other)}"]))
    elif vr not in ("UI", "DS"):
        change = draw(st.sampled_from(["{}", "{}", "{}*", "*{}", "*{}*", "?{}", "{}\\AB"]))
        text = change.format(text[draw(st.integers(0, 1)) :])
    try:
        return Match(path, parse_condition(vr, text, fuzzy=vr == "PN" and draw(st.booleans())))
    except InvalidInput:
        return Match(path, parse_condition(vr, ""))


COMBINED = st.tuples(
    match_on(f"{STEP}.ScheduledProcedureStepStartDate"), match_on(f"{STEP}.ScheduledProcedureStepStartTime")
)
QUERIES = st.builds(
    WorklistQuery,
    matches=st.one_of(
        st.lists(matches(), max_size=3, unique_by=lambda match: match.path).map(tuple),
        COMBINED,
    ),
    statuses=st.sampled_from([OPEN_STATUSES, None, frozenset({StepStatus.SCHEDULED, StepStatus.COMPLETED})]),
    limit=st.just(None),
    offset_minutes=st.sampled_from([None, None, 0, 60, -480, 330, 840]),
)


def step_id(item: WorklistItem) -> str:
    return item.text("scheduled_procedure_step_id")


async def found_by_sql(
    database: EmbeddedPostgres, kept: list[WorklistItem], queries: list[WorklistQuery]
) -> list[tuple[list[str], int]]:
    tenant_id = await new_tenant(database.app_address())
    async with open_index(database.app_address()) as index:
        for item in kept:
            await index.worklist.add(tenant_id, item)
        answers = []
        for query in queries:
            found = [item async for item in index.worklist.search(tenant_id, query)]
            answers.append(([step_id(item) for item in found], await index.worklist.count(tenant_id, query)))
        return answers


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(kept=st.lists(items(), min_size=1, max_size=8), queries=st.lists(QUERIES, min_size=10, max_size=30))
def test_sql_finds_what_the_definition_finds(
    database: EmbeddedPostgres, kept: list[WorklistItem], queries: list[WorklistQuery]
) -> None:
    answers = asyncio.run(found_by_sql(database, kept, queries))
    for query, (found, count) in zip(queries, answers, strict=True):
        assert sorted(found) == sorted(step_id(item) for item in kept if is_found(item, query)), query
        assert count == len(found)


@st.composite
def keys(draw: st.DrawFn) -> dict[str, str]:
    """Names of keys with their texts, valid ones."""
    found: dict[str, str] = {}
    for name in draw(st.lists(st.sampled_from([name for name in KEYS if name != "PatientWeight"]), unique=True)):
        text = draw(st.sampled_from(KEYS[name]))
        try:
            parse_condition(vr_of(path_of(name)[-1]), text)
        except InvalidInput:
            continue
        found[name] = text
    return found


def identifier_of(keys: dict[str, str]) -> DicomJson:
    identifier: DicomJson = {}
    for name, text in keys.items():
        *above, tag = path_of(name)
        place = identifier
        for parent in above:
            place = place.setdefault(parent, {"vr": "SQ", "Value": [{}]})["Value"][0]
        groups = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False))
        values = [groups] if vr_of(tag) == "PN" else text.split("\\")
        place[tag] = {"vr": vr_of(tag), "Value": values} if text else {"vr": vr_of(tag)}
    return identifier


@given(
    keys=keys(),
    syntax=st.sampled_from([IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN]),
    character_set=st.sampled_from([None, "ISO_IR 100", "\\ISO 2022 IR 87"]),
)
def test_an_identifier_asks_for_what_was_written_into_it(
    keys: dict[str, str], syntax: str, character_set: str | None
) -> None:
    identifier = identifier_of(keys)
    sent = read_data_set(write_data_set(identifier, syntax, character_set=character_set), syntax)
    conditions = {path_of(name): parse_condition(vr_of(path_of(name)[-1]), text) for name, text in keys.items()}
    expected = {path: condition for path, condition in conditions.items() if not isinstance(condition, Universal)}
    assert {match.path: match.condition for match in matching_keys(sent)} == expected
    item = worklist_item().attributes
    answer = requested(item, sent)
    for name in keys:
        assert values_at(answer, path_of(name)) == values_at(item, path_of(name))
    assert answer.keys() == identifier.keys()
