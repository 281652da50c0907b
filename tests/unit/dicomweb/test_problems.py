"""Every family of errors has its HTTP answer and its failure reason."""

from __future__ import annotations

import orjson
import pytest

from hilum.dicomweb.problems import HTTP_STATUS, problem, status_of
from hilum.dicomweb.store_report import FAILURE_REASON, failure_reason
from hilum.kernel.errors import FAMILIES, Conflict, CorruptData, HilumError, InvalidInput, Unavailable, Unsupported


def test_tables_are_total() -> None:
    assert set(HTTP_STATUS) == set(FAMILIES)
    assert set(FAILURE_REASON) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_answered_with_problem_json(family: type[HilumError]) -> None:
    response = problem(family("what was wrong"))
    assert response.media_type == "application/problem+json"
    body = orjson.loads(response.body)
    assert body["status"] == response.status_code == HTTP_STATUS[family]
    assert body["detail"] == "what was wrong"
    assert body["code"] == family.code
    assert 0 < failure_reason(family("x")) <= 0xFFFF


def test_special_codes_have_their_own_status() -> None:
    assert status_of(Unsupported("x", code="unsupported-media-type")) == 415
    assert status_of(Unsupported("x", code="not-acceptable")) == 406


@pytest.mark.parametrize(
    "code", ["corrupt-frame", "corrupt-lut", "corrupt-palette", "frame-too-short", "not-transcodable"]
)
def test_damage_that_came_with_the_object_is_no_error_of_the_server(code: str) -> None:
    assert status_of(CorruptData("x", code=code)) == 406


@pytest.mark.parametrize("code", ["short-blob", "frame-index"])
def test_damage_of_our_own_making_is_an_error_of_the_server(code: str) -> None:
    assert status_of(CorruptData("x", code=code)) == 500


def test_what_may_help_later_says_when() -> None:
    assert problem(Unavailable("x")).headers["retry-after"]
    assert "retry-after" not in problem(Conflict("x")).headers


def test_mismatch_of_study_has_its_own_failure_reason() -> None:
    assert failure_reason(InvalidInput("x", code="uid-mismatch")) == 0xA900
    assert failure_reason(InvalidInput("x", code="missing-attribute")) == 0xC000
    assert failure_reason(Conflict("x", code="duplicate")) == 0x0111
