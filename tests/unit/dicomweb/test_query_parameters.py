"""QIDO-RS parameters become the query AST."""

from __future__ import annotations

import pytest

from hilum.archive.query import Level, Match, SortKey
from hilum.dicom.dictionary import tag_of
from hilum.dicom.matching import Fuzzy, Range, Single, UidList, Universal, Wildcard
from hilum.dicomweb.address import Target
from hilum.dicomweb.query_parameters import SearchRequest, parse_search
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import DEFAULT_QUERY_RESULTS, MAX_QUERY_RESULTS


def search(*parameters: tuple[str, str], level: Level = Level.STUDY, scope: Target | None = None) -> SearchRequest:
    return parse_search(level, scope, parameters)


def path(*keywords: str) -> tuple[str, ...]:
    return tuple(tag_of(keyword) for keyword in keywords)


class TestMatching:
    """PS3.18 §8.3.4.1, PS3.4 §C.2.2.2."""

    def test_keys_are_keywords_or_tags_and_lead_through_sequences(self) -> None:
        found = search(
            ("PatientID", "1"), ("0020000d", "1.2"), ("RequestAttributesSequence.00400009", "S"), level=Level.SERIES
        )
        assert found.query.matches == (
            Match(path("PatientID"), Single("1")),
            Match(path("StudyInstanceUID"), Single("1.2")),
            Match(path("RequestAttributesSequence", "ScheduledProcedureStepID"), Single("S")),
        )

    def test_conditions_follow_the_vr(self) -> None:
        found = search(
            ("StudyDate", "20260101-"),
            ("PatientName", "Do?*"),
            ("StudyInstanceUID", "1.2,1.3"),
            ("AccessionNumber", ""),
        )
        assert [match.condition for match in found.query.matches] == [
            Range("20260101", None),
            Wildcard("Do?*"),
            UidList(("1.2", "1.3")),
            Universal(),
        ]

    def test_fuzzy_matching_holds_wherever_it_stands(self) -> None:
        for parameters in (
            [("PatientName", "jo"), ("fuzzymatching", "true")],
            [("fuzzymatching", "1"), ("PatientName", "jo")],
        ):
            assert search(*parameters).query.matches[0].condition == Fuzzy(("jo",))
        assert search(("fuzzymatching", "false"), ("PatientName", "jo")).query.matches[0].condition == Single("jo")

    def test_uids_given_several_times_are_a_list_and_other_attributes_are_refused(self) -> None:
        found = search(("StudyInstanceUID", "1.2"), ("0020000D", "1.3"))
        assert found.query.matches == (Match(path("StudyInstanceUID"), UidList(("1.2", "1.3"))),)
        with pytest.raises(InvalidInput, match="PatientID"):
            search(("PatientID", "1"), ("PatientID", "2"))

    def test_path_fixes_its_levels(self) -> None:
        scope = Target("1.2", "1.3")
        query = search(level=Level.INSTANCE, scope=scope).query
        assert [match.condition for match in query.matches] == [Single("1.2"), Single("1.3")]
        assert query.ancestors == frozenset()
        assert search(level=Level.INSTANCE, scope=Target("1.2")).query.ancestors == {Level.SERIES}
        assert search(level=Level.INSTANCE).query.ancestors == {Level.STUDY, Level.SERIES}
        assert search(level=Level.STUDY).query.ancestors == frozenset()


class TestIncludeAndSort:
    """PS3.18 §8.3.4.3."""

    def test_include_fields_are_lists_and_may_be_repeated(self) -> None:
        found = search(("includefield", "00081030,PatientSex"), ("includefield", "RequestAttributesSequence.00400007"))
        assert found.query.include == {
            path("StudyDescription"),
            path("PatientSex"),
            ("00400275", "00400007"),
        }

    def test_all_asks_for_everything_whatever_else_is_named(self) -> None:
        assert search(("includefield", "all"), ("includefield", "PatientSex")).query.include is None
        assert search(("includefield", "PatientSex,all")).query.include is None

    def test_results_can_be_ordered(self) -> None:
        for name in ("orderby", "sort"):
            assert search((name, "-StudyDate, PatientName,+00100020")).query.sort == (
                SortKey(tag_of("StudyDate"), descending=True),
                SortKey(tag_of("PatientName")),
                SortKey(tag_of("PatientID")),
            )
        with pytest.raises(InvalidInput, match="orderby"):
            search(("orderby", "RequestAttributesSequence.00400009"))


class TestPaging:
    """PS3.18 §8.3.4.4."""

    def test_limit_is_the_clients_up_to_ours(self) -> None:
        assert (search(("limit", "101")).query.limit, search(("limit", "101")).is_limit_ours) == (101, False)
        huge = search(("limit", str(10**17)))
        assert (huge.query.limit, huge.is_limit_ours) == (MAX_QUERY_RESULTS, True)
        assert search(("limit", "0")).query.limit == 0

    def test_without_limit_a_study_is_answered_in_full_and_an_archive_is_not(self) -> None:
        assert search().query.limit == DEFAULT_QUERY_RESULTS
        assert search(level=Level.SERIES, scope=Target("1.2")).query.limit == MAX_QUERY_RESULTS
        assert search().is_limit_ours

    @pytest.mark.parametrize("text", ["-1", "x", "1.5", "²", "9" * 30, " "])
    def test_impossible_numbers_are_refused(self, text: str) -> None:
        for name in ("limit", "offset"):
            with pytest.raises(InvalidInput, match=name):
                search((name, text))


class TestRefusals:
    """Bad values are answered with the name of the parameter, never with its value."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("PatientNmae", "x"),
            ("StudyDate", "yesterday"),
            ("StudyInstanceUID", "../etc"),
            ("SeriesNumber", "one"),
            ("PatientID.StudyDate", "1"),
            ("RequestAttributesSequence", "x"),
            ("fuzzymatching", "maybe"),
            ("includefield", "Nonsense"),
            ("orderby", "Nonsense"),
        ],
    )
    def test_bad_parameter_is_named(self, name: str, value: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            search((name, value))
        assert name in refusal.value.message
        assert value not in refusal.value.message or len(value) < 2

    def test_hostile_names_are_not_repeated(self) -> None:
        with pytest.raises(InvalidInput) as refusal:
            search(("<script>", "1"))
        assert "<" not in refusal.value.message

    def test_cache_busters_and_charset_are_passed_over(self) -> None:
        found = search(("_", "1700000"), ("_dc", "x"), ("charset", "utf-8"), ("accept", "application/json"))
        assert found.query.matches == ()
