"""Decisions about callers and permissions."""

from __future__ import annotations

import pytest

from hilum.archive.model import Permission, Principal, Role, Tenant
from hilum.kernel.errors import Forbidden, InvalidInput
from hilum.policies.admission import AllowedCaller, CallerAdmission
from hilum.policies.authorization import require


def _principal(*roles: Role) -> Principal:
    return Principal(1, "someone", Tenant(1, "default"), frozenset(roles))


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.READER, {Permission.READ}),
        (Role.CONTRIBUTOR, {Permission.READ, Permission.STORE}),
        (Role.ADMINISTRATOR, set(Permission)),
    ],
)
def test_role_allows_its_permissions_and_no_others(role: Role, allowed: set[Permission]) -> None:
    for permission in Permission:
        if permission in allowed:
            require(_principal(role), permission)
        else:
            with pytest.raises(Forbidden, match=permission.value):
                require(_principal(role), permission)


def test_principal_without_roles_may_do_nothing() -> None:
    with pytest.raises(Forbidden):
        require(_principal(), Permission.READ)


@pytest.mark.parametrize(
    ("accept_unknown", "peer", "known"),
    [
        (None, "127.0.0.1", True),
        (None, "::1", True),
        (None, "::ffff:127.0.0.1", True),
        (None, "10.0.0.1", False),
        (True, "10.0.0.1", True),
        (False, "127.0.0.1", False),
        (None, "no address", False),
    ],
)
def test_unknown_callers_are_let_in_from_this_machine_alone_unless_set(
    accept_unknown: bool | None, peer: str, known: bool
) -> None:
    assert CallerAdmission(accept_unknown=accept_unknown).is_known("ANY", peer) is known


def test_listed_caller_is_known_from_its_network_only() -> None:
    admission = CallerAdmission([AllowedCaller.parse("CT1@10.1.0.0/16"), AllowedCaller.parse("MR1")], False)
    assert admission.is_known("CT1", "10.1.2.3")
    assert admission.is_known("CT1", "::ffff:10.1.2.3")
    assert not admission.is_known("CT1", "10.2.2.3")
    assert admission.is_known("MR1", "192.168.0.1")
    assert not admission.is_known("mr1", "192.168.0.1")


@pytest.mark.parametrize("text", ["", "   ", "SEVENTEEN_LETTERS", "CT1@nowhere", "CT1@10.0.0.0/99"])
def test_malformed_entries_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        AllowedCaller.parse(text)
