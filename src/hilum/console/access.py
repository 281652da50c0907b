"""Who asks, and whether he may."""

from __future__ import annotations

from fastapi import Request

from hilum.archive.model import Permission, Principal
from hilum.policies.authorization import require


def allowed(request: Request, permission: Permission) -> Principal:
    """Return who asks.

    Raises:
        Forbidden: his roles do not include the permission.
    """
    principal: Principal = request.state.principal
    require(principal, permission)
    return principal
