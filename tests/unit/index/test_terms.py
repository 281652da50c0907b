"""Attributes in the form in which they are matched, and what a worker remembers."""

from __future__ import annotations

import orjson

from hilum.index.address import DatabaseAddress
from hilum.index.known_series import KnownSeries, SeriesMemory
from hilum.index.search_terms import like_pattern
from hilum.index.server_settings import settings_text
from hilum.index.terms import clean, json_text, name_search_form, search_form, terms_of
from support.database import attributes_of, open_folder


def test_each_kind_of_value_has_its_form() -> None:
    tree = terms_of(
        attributes_of(
            {
                "StudyDescription": " Thorax ",
                "Rows": 512,
                "StudyDate": "19700102",
                "PatientName": "Müller^Jörg=山田",
                "PatientID": "",
                "RequestAttributesSequence": [{"ScheduledProcedureStepID": "S1"}],
            }
        )
    )
    assert tree == {
        "00080020": [{"DA": 86_400_000_000}],
        "00081030": ["Thorax"],
        "00100010": [["muller jorg", "山田", ""]],
        "00280010": [512],
        "00400275": [{"00400009": ["S1"]}],
    }


def test_unreadable_dates_and_numbers_have_no_term() -> None:
    assert terms_of(attributes_of({"StudyDate": "20201399", "InstanceNumber": "x"})) == {}


def test_names_are_spelt_in_letters_every_locale_knows() -> None:
    assert search_form("a山") == "ax5c71"
    assert name_search_form(("doe jane", "", "")) == " doe jane "
    assert name_search_form(("", "", "")) is None


def test_text_is_made_fit_for_the_database() -> None:
    assert clean("a\0b\ud800") == "ab?"
    assert orjson.loads(json_text({"x": ["a\0b", 1, None]})) == {"x": ["ab", 1, None]}


def test_what_like_takes_for_wildcards_is_escaped() -> None:
    assert like_pattern(r"100%_\*?") == r"100\%\_\\%_"


def test_the_series_used_least_lately_is_forgotten_first() -> None:
    memory = SeriesMemory(capacity=2)
    names = [(1, "1.2", f"1.2.{n}") for n in range(3)]
    memory.remember(names[0], KnownSeries(10, "P"))
    memory.remember(names[1], KnownSeries(11, "P"))
    memory.get(names[0])
    memory.remember(names[2], KnownSeries(12, "P"))
    assert [memory.get(name) is not None for name in names] == [True, False, True]
    memory.forget(names)
    assert memory.get(names[0]) is None


def test_an_address_survives_the_way_to_a_child_process() -> None:
    address = DatabaseAddress(host="/run/x", port=5432, database="hilum", user="hilum_app", password="secret")
    assert DatabaseAddress.from_json(address.to_json()) == address
    assert "secret" not in repr(address)


def test_a_path_with_a_quote_is_written_so_that_the_server_reads_it() -> None:
    with open_folder() as folder:
        assert f"'{folder}/it''s'" in settings_text(folder / "it's")
