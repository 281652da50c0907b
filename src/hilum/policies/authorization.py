"""Which role may do what. The tenant is not decided here: every call names the principal's own."""

from __future__ import annotations

from hilum.archive.model import Permission, Principal, Role
from hilum.kernel.errors import Forbidden

_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.READER: frozenset({Permission.READ}),
    Role.CONTRIBUTOR: frozenset({Permission.READ, Permission.STORE}),
    Role.ADMINISTRATOR: frozenset(Permission),
}


def permissions_of(principal: Principal) -> frozenset[Permission]:
    """Return all that the principal's roles allow."""
    return frozenset().union(*(_PERMISSIONS[role] for role in principal.roles))


def require(principal: Principal, permission: Permission) -> None:
    """The principal may do this.

    Raises:
        Forbidden: none of the principal's roles allows it; the message names the permission.
    """
    if permission not in permissions_of(principal):
        raise Forbidden(
            f"your account does not have the permission to {permission.value}",
            code="permission",
            reason=permission.value,
        )
