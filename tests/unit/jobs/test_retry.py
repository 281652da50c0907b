"""When a job that failed is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.archive.jobs import Job
from hilum.jobs.catalogue import Catalogue, JobKind
from hilum.jobs.retry import RetryRule
from hilum.kernel.errors import LocalProtocolError


def test_delays_double_up_to_the_longest() -> None:
    rule = RetryRule(attempts=None, first_delay_s=5, longest_delay_s=30)
    assert [rule.delay_s(attempt, 0.0) for attempt in range(1, 6)] == [5, 10, 20, 30, 30]


def test_after_the_last_attempt_there_is_no_delay_to_wait_for() -> None:
    rule = RetryRule(attempts=3)
    assert rule.delay_s(2, 0.0) is not None and rule.delay_s(3, 0.0) is None


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_a_delay_lies_within_its_bounds_however_often_it_was_tried(attempt: int, chance: float) -> None:
    rule = RetryRule(attempts=None, first_delay_s=5, longest_delay_s=300, jitter=0.3)
    delay = rule.delay_s(attempt, chance)
    assert delay is not None and 5 * 0.7 <= delay <= 300


def test_two_kinds_of_one_name_are_refused() -> None:
    async def handler(_job: Job) -> None:
        return

    with pytest.raises(LocalProtocolError):
        Catalogue([JobKind("one", handler), JobKind("one", handler)])
