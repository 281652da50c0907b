"""Whatever a peer writes into a workitem, it is taken or refused with an error of ours, and what is kept is whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.archive.workitem_attributes import REQUIREMENTS
from hilum.archive.workitems import WorkitemState
from hilum.dicom.data_sets import write_data_set
from hilum.dicomweb.workitems import _data_set
from hilum.kernel.errors import HilumError
from hilum.policies.workitems import (
    cancel_request,
    canceled_on_request,
    changed,
    created,
    first_value,
    has_value,
    in_state,
    missing_for,
)
from support.workitems import workitem_attributes

EXPLICIT = "1.2.840.10008.1.2.1"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
TAGS = [*REQUIREMENTS, "00100030", "00741238", "0074100E", "00091001"]

scalars = st.none() | st.text(max_size=8) | st.integers() | st.floats(allow_nan=False)
names = st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic"]), st.text(max_size=5))


def data_sets() -> st.SearchStrategy[dict[str, Any]]:
    """Data sets as `read_data_set` may make them of what a peer sends."""
    return st.recursive(
        st.dictionaries(st.sampled_from(TAGS), elements(scalars | names), max_size=4),
        lambda inner: st.dictionaries(st.sampled_from(TAGS), elements(scalars | inner), max_size=4),
        max_leaves=6,
    )


def elements(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    vrs = st.sampled_from(["SQ", "LO", "CS", "UI", "DT", "PN", "US", "UN"])
    return (
        st.fixed_dictionaries({"vr": vrs, "Value": st.lists(values, max_size=3)})
        | st.fixed_dictionaries({"vr": vrs})
        | st.fixed_dictionaries({"vr": vrs, "InlineBinary": st.just("AAAA")})
    )


@settings(deadline=None)
@given(data_sets())
def test_a_creation_is_taken_or_refused(odd: dict[str, Any]) -> None:
    try:
        change = created("1.2.3", workitem_attributes() | odd, NOW)
    except HilumError:
        return
    attributes = change.workitem.attributes
    assert write_data_set(attributes, EXPLICIT)
    assert all(write_data_set(report.information, EXPLICIT) for report in change.reports)
    assert list(attributes) == sorted(attributes)
    assert first_value(attributes, "ProcedureStepState") == "SCHEDULED"
    assert first_value(attributes, "SOPInstanceUID") == "1.2.3"
    assert not has_value(attributes.get("00081195"))
    assert all(has_value(attributes.get(tag)) for tag, row in REQUIREMENTS.items() if row.created == "1")
    assert missing_for(WorkitemState.COMPLETED, attributes)


@settings(deadline=None)
@given(data_sets(), st.sampled_from(list(WorkitemState)))
def test_a_change_is_taken_or_refused(odd: dict[str, Any], state: WorkitemState) -> None:
    before = created("1.2.3", workitem_attributes(), NOW).workitem
    try:
        after = changed(before, odd, NOW).workitem
    except HilumError:
        return
    for tag, row in REQUIREMENTS.items():
        if row.changed == "-":
            assert after.attributes.get(tag) == before.attributes.get(tag)
        if row.changed == "1" and has_value(before.attributes.get(tag)):
            assert has_value(after.attributes.get(tag))
    missing_for(state, after.attributes)
    assert first_value(in_state(after, state, NOW).workitem.attributes, "ProcedureStepState") == state
    assert write_data_set(after.attributes, EXPLICIT)
    try:
        canceled = canceled_on_request(after, odd, NOW).workitem
        report = cancel_request(odd, "DESK")
    except HilumError:
        return
    assert write_data_set(canceled.attributes, EXPLICIT)
    assert write_data_set(report.information, EXPLICIT)
    assert missing_for(WorkitemState.CANCELED, canceled.attributes) == []


@settings(deadline=None)
@given(
    st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["vr", "Value", "InlineBinary", "00404025", "00100010", "x"]), inner)
        ),
        max_leaves=12,
    )
)
def test_a_body_is_a_data_set_or_refused(content: Any) -> None:
    try:
        found = _data_set(content, 0)
    except HilumError:
        return
    assert all(len(element["vr"]) == 2 for element in found.values())
