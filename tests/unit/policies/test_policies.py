"""Decisions about callers and permissions."""

from __future__ import annotations

import pytest

from hilum.archive.model import Permission, Principal, Role, Tenant
from hilum.kernel.errors import Forbidden, InvalidInput
from hilum.policies.admission import AllowedCaller
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


@pytest.mark.parametrize("text", ["", "   ", "SEVENTEEN_LETTERS", "CT1@nowhere", "CT1@10.0.0.0/99"])
def test_malformed_entries_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        AllowedCaller.parse(text)
