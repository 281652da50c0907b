"""Which tenant a process works for."""

from __future__ import annotations

from hilum.app.settings import Settings
from hilum.archive.model import Tenant
from hilum.archive.ports import Accounts
from hilum.kernel.errors import NotFound


async def own_tenant(settings: Settings, accounts: Accounts) -> Tenant:
    """Return the tenant the settings name, or the one every installation has.

    Raises:
        NotFound: there is none of that name.
        Unavailable: the database does not answer.
    """
    if not settings.tenant:
        return await accounts.default_tenant()
    return await tenant_named(settings.tenant, accounts)


async def tenant_named(name: str, accounts: Accounts) -> Tenant:
    """Return the tenant of that name.

    Raises:
        NotFound: there is none.
        Unavailable: the database does not answer.
    """
    found = await accounts.find_tenant(name)
    if found is None:
        raise NotFound(f"there is no tenant {name!r}; `hilum tenant list` shows who is", code="no-such-tenant")
    return found
