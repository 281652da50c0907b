"""Identifiers of queries and the rules of levels: PS3.4 §C.4.1.2, §C.4.1.3."""

from __future__ import annotations

import pytest

from hilum.archive.query import Level, MomentMatch
from hilum.dicom.dictionary import tag_of
from hilum.dicom.matching import AnyOf, Fuzzy, Range, Single, UidList, Wildcard
from hilum.dicom.uids import PATIENT_ROOT_FIND, PATIENT_STUDY_ONLY_FIND, STUDY_ROOT_FIND
from hilum.kernel.errors import InvalidInput, LimitExceeded
from hilum.scp.query_identifiers import FindRequest, read_request
from hilum.scp.query_models import FIND_MODELS, QueryOptions, answer_options
from hilum.ul.primitives import ExtendedNegotiation
from support.database import attributes_of

RELATIONAL = QueryOptions(relational=True)


def read(model: str = STUDY_ROOT_FIND, options: QueryOptions | None = None, **keys: object) -> FindRequest:
    named = {"QueryRetrieveLevel" if key == "LEVEL" else key: value for key, value in keys.items()}
    return read_request(attributes_of(named), FIND_MODELS[model], options or QueryOptions(), limit=10)


def conditions(request: FindRequest) -> dict[str, object]:
    return {".".join(match.path): match.condition for match in request.query.matches}


class TestLevels:
    """PS3.4 §C.4.1.2.1, §C.4.1.3.1."""

    @pytest.mark.parametrize(
        ("model", "levels"),
        [
            (PATIENT_ROOT_FIND, {"PATIENT", "STUDY", "SERIES", "IMAGE"}),
            (STUDY_ROOT_FIND, {"STUDY", "SERIES", "IMAGE"}),
            (PATIENT_STUDY_ONLY_FIND, {"PATIENT", "STUDY"}),
        ],
    )
    def test_a_model_has_its_own_levels(self, model: str, levels: set[str]) -> None:
        unique = {"PatientID": "1", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}
        for level in ("PATIENT", "STUDY", "SERIES", "IMAGE", "INSTANCE", "study", ""):
            if level in levels:
                above = dict(list(unique.items())[: ["PATIENT", "STUDY", "SERIES", "IMAGE"].index(level)])
                if model == STUDY_ROOT_FIND:
                    above.pop("PatientID", None)
                read(model, LEVEL=level, **above)
            else:
                with pytest.raises(InvalidInput) as caught:
                    read(model, RELATIONAL, LEVEL=level)
                assert caught.value.facts["attribute"] == "QueryRetrieveLevel"

    @pytest.mark.parametrize(
        ("model", "keys", "missing"),
        [
            (PATIENT_ROOT_FIND, {"LEVEL": "STUDY"}, "PatientID"),
            (PATIENT_ROOT_FIND, {"LEVEL": "STUDY", "PatientID": "1*"}, "PatientID"),
            (PATIENT_ROOT_FIND, {"LEVEL": "STUDY", "PatientID": ["1", "2"]}, "PatientID"),
            (PATIENT_ROOT_FIND, {"LEVEL": "SERIES", "PatientID": "1"}, "StudyInstanceUID"),
            (STUDY_ROOT_FIND, {"LEVEL": "SERIES"}, "StudyInstanceUID"),
            (STUDY_ROOT_FIND, {"LEVEL": "SERIES", "StudyInstanceUID": ["1.2", "1.3"]}, "StudyInstanceUID"),
            (STUDY_ROOT_FIND, {"LEVEL": "IMAGE", "StudyInstanceUID": "1.2"}, "SeriesInstanceUID"),
        ],
    )
    def test_each_level_above_is_named_by_one_value_of_its_unique_key(
        self, model: str, keys: dict[str, object], missing: str
    ) -> None:
        with pytest.raises(InvalidInput, match=missing) as caught:
            read(model, **keys)
        assert caught.value.facts["attribute"] == missing
        read(model, RELATIONAL, **keys)

    @pytest.mark.parametrize(
        ("level", "key", "value"),
        [
            ("STUDY", "Modality", "CT"),
            ("STUDY", "SOPInstanceUID", "1.2.3"),
            ("SERIES", "StudyDate", "20200101"),
            ("SERIES", "PatientName", "Doe*"),
        ],
    )
    def test_a_matching_key_of_another_level_is_refused_unless_relational(
        self, level: str, key: str, value: str
    ) -> None:
        keys = {"LEVEL": level, "StudyInstanceUID": "1.2", key: value}
        with pytest.raises(InvalidInput, match=f"{key} belongs to a level") as caught:
            read(**keys)
        assert caught.value.facts["attribute"] == key
        assert conditions(read(options=RELATIONAL, **keys))[tag_of(key)] is not None

    def test_in_study_root_the_attributes_of_patients_are_the_studys(self) -> None:
        found = conditions(read(LEVEL="STUDY", PatientName="Doe^*", PatientID="1"))
        assert found == {tag_of("PatientName"): Wildcard("Doe^*"), tag_of("PatientID"): Single("1")}

    def test_the_patient_id_may_stand_at_any_level(self) -> None:
        found = conditions(read(LEVEL="SERIES", StudyInstanceUID="1.2", PatientID="1"))
        assert found[tag_of("PatientID")] == Single("1")

    def test_empty_keys_of_levels_above_are_answered_and_of_levels_below_passed_over(self) -> None:
        request = read(LEVEL="SERIES", StudyInstanceUID="1.2", PatientName="", SOPInstanceUID="", Modality="*")
        assert set(request.keys) == {tag_of(k) for k in ("StudyInstanceUID", "PatientName", "Modality")}
        assert request.ignores_keys
        assert not read(LEVEL="SERIES", StudyInstanceUID="1.2", PatientName="").ignores_keys

    def test_private_attributes_are_known_of_instances_alone(self) -> None:
        identifier = attributes_of({"QueryRetrieveLevel": "STUDY"}) | {"00091002": {"vr": "UN"}}
        assert read_request(identifier, FIND_MODELS[STUDY_ROOT_FIND], QueryOptions(), limit=1).ignores_keys


class TestKeys:
    """PS3.4 §C.2.2.2."""

    def test_values_become_conditions(self) -> None:
        request = read(
            LEVEL="STUDY",
            StudyInstanceUID=["1.2", "1.3"],
            StudyDate="20200101-20200131",
            AccessionNumber=["A", "B*"],
            StudyDescription="",
            StudyID="*",
        )
        assert conditions(request) == {
            tag_of("StudyInstanceUID"): UidList(("1.2", "1.3")),
            tag_of("StudyDate"): Range("20200101", "20200131"),
            tag_of("AccessionNumber"): AnyOf((Single("A"), Wildcard("B*"))),
        }
        assert request.query.level is Level.STUDY
        assert len(request.keys) == 5

    def test_keys_in_a_sequence_are_matched_there(self) -> None:
        step = {"ScheduledProcedureStepID": "S1", "ScheduledProcedureStepDescription": ""}
        request = read(LEVEL="SERIES", StudyInstanceUID="1.2", RequestAttributesSequence=[step])
        assert conditions(request)["00400275.00400009"] == Single("S1")
        assert request.item_keys == {"00400275": [(("00400009",), Single("S1"))]}

    def test_component_groups_of_a_name_keep_their_places(self) -> None:
        assert conditions(read(LEVEL="STUDY", PatientName="=山田*"))[tag_of("PatientName")] == Wildcard("=山田*")

    def test_fuzzy_names_are_for_who_negotiated_them(self) -> None:
        asked = read(options=QueryOptions(fuzzy=True), LEVEL="STUDY", PatientName="Jo Do")
        assert conditions(asked)[tag_of("PatientName")] == Fuzzy(("jo", "do"))
        assert conditions(read(LEVEL="STUDY", PatientName="Jo Do"))[tag_of("PatientName")] == Single("Jo Do")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("StudyDate", "yesterday"),
            ("StudyInstanceUID", "1.2.x"),
            ("StudyTime", "1200-1100"),
            ("PatientSize", "tall"),
            ("RequestedProcedureCodeSequence", [{}, {}]),
        ],
    )
    def test_a_value_that_does_not_fit_is_refused_by_the_name_of_its_key(self, key: str, value: object) -> None:
        with pytest.raises(InvalidInput, match=key) as caught:
            read(LEVEL="STUDY", **{key: value})
        assert caught.value.facts["attribute"] == key
        assert "yesterday" not in caught.value.message

    @pytest.mark.parametrize(
        "element", [{"vr": "OB", "InlineBinary": "AAAA"}, {"vr": "SQ", "Value": [{}]}, {"vr": "SQ", "Value": [{}, {}]}]
    )
    def test_a_value_of_another_kind_is_refused(self, element: dict[str, object]) -> None:
        identifier = attributes_of({"QueryRetrieveLevel": "STUDY"}) | {tag_of("StudyDate"): element}
        if element["vr"] == "SQ" and element["Value"] == [{}]:
            assert read_request(identifier, FIND_MODELS[STUDY_ROOT_FIND], QueryOptions(), limit=1).query.matches == ()
        else:
            with pytest.raises(InvalidInput, match="StudyDate"):
                read_request(identifier, FIND_MODELS[STUDY_ROOT_FIND], QueryOptions(), limit=1)

    def test_more_values_than_a_statement_can_have_are_refused(self) -> None:
        with pytest.raises(LimitExceeded):
            read(LEVEL="STUDY", AccessionNumber=[f"A{n}" for n in range(1500)], StudyID=[f"{n}" for n in range(1500)])


class TestMoments:
    """PS3.4 §C.2.2.2.5.4."""

    def test_a_date_range_and_its_time_range_are_one_when_agreed_on(self) -> None:
        keys = {"LEVEL": "STUDY", "StudyDate": "20200101-20200102", "StudyTime": "10-12"}
        request = read(options=QueryOptions(moments=True), **keys)
        assert request.query.matches == ()
        assert request.query.moments == (
            MomentMatch(tag_of("StudyDate"), tag_of("StudyTime"), Range("20200101", "20200102"), Range("10", "12")),
        )
        assert len(conditions(read(**keys))) == 2

    @pytest.mark.parametrize(("date", "time"), [("20200101", "10-12"), ("20200101-", "-12"), ("20200101-", "10")])
    def test_ranges_of_other_forms_stay_apart(self, date: str, time: str) -> None:
        request = read(options=QueryOptions(moments=True), LEVEL="STUDY", StudyDate=date, StudyTime=time)
        assert (len(request.query.matches), request.query.moments) == (2, ())

    def test_the_zone_of_the_request_is_that_of_its_moments_but_not_of_births(self) -> None:
        options = QueryOptions(moments=True, zones=True)
        request = read(
            options=options,
            LEVEL="STUDY",
            StudyDate="20200101-",
            StudyTime="10-",
            PatientBirthDate="19600101-",
            PatientBirthTime="10-",
            TimezoneOffsetFromUTC="-0330",
        )
        assert {m.date_tag: m.offset_minutes for m in request.query.moments} == {
            tag_of("StudyDate"): -210,
            tag_of("PatientBirthDate"): None,
        }
        assert request.offset_minutes == -210

    @pytest.mark.parametrize(
        ("text", "asked"),
        [
            ("20200101", Single("20200101-0330")),
            ("202001011200+0100", Single("202001011200+0100")),
            ("20200101-20200102", Range("20200101-0330", "20200102-0330")),
            ("-20200102", Range(None, "20200102-0330")),
            ("2020010112-", Range("2020010112-0330", None)),
        ],
    )
    def test_date_times_without_a_zone_are_meant_in_that_of_the_request(self, text: str, asked: object) -> None:
        request = read(
            options=QueryOptions(relational=True, zones=True),
            LEVEL="IMAGE",
            AcquisitionDateTime=text,
            TimezoneOffsetFromUTC="-0330",
        )
        assert conditions(request) == {tag_of("AcquisitionDateTime"): asked}


class TestNegotiation:
    """PS3.4 §C.5.1.1."""

    @pytest.mark.parametrize(
        ("asked", "granted"),
        [
            (b"", b"\0"),
            (b"\1", b"\1"),
            (b"\0\1", b"\0\1"),
            (b"\1\1\1\1", b"\1\1\1\1"),
            (b"\1\1\1\1\1", b"\1\1\1\1\0"),
            (b"\2\1\xff", b"\0\1\0"),
        ],
    )
    def test_four_options_are_granted_to_who_asks(self, asked: bytes, granted: bytes) -> None:
        answer = answer_options(ExtendedNegotiation(STUDY_ROOT_FIND, asked))
        assert answer == ExtendedNegotiation(STUDY_ROOT_FIND, granted)

    def test_other_sop_classes_are_not_spoken_of(self) -> None:
        assert answer_options(ExtendedNegotiation("1.2.840.10008.5.1.4.31", b"\1")) is None
