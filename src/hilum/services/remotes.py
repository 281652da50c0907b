"""Remote application entities: looked up with every association, so remembered until somebody changes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hilum.archive.ports import Notices, Remotes
from hilum.archive.remotes import RemoteAe
from hilum.policies.remotes import sound

TOPIC: Final = "remote_ae"
"""The topic of notices whose text is the tenant whose registry has changed."""


class RemoteService:
    """The registry of a tenant's remotes, remembered as long as changes made elsewhere are heard of.

    Args:
        remotes: where it is kept.
        notices: tell of changes by other processes.
    """

    def __init__(self, remotes: Remotes, notices: Notices) -> None:
        self._remotes = remotes
        self._notices = notices
        self._known: dict[int, dict[str, RemoteAe]] = {}
        self._changes = 0
        notices.subscribe(TOPIC, self._forget)

    async def find(self, tenant_id: int, ae_title: str) -> RemoteAe | None:
        """Return the application entity of that title, or None.

        Raises:
            Unavailable: the registry has to be asked and does not answer.
        """
        if not self._notices.is_listening:
            return await self._remotes.find(tenant_id, ae_title)
        known = self._known.get(tenant_id)
        if known is None:
            changes = self._changes
            known = {remote.ae_title: remote for remote in await self._remotes.list(tenant_id)}
            # A notice that came meanwhile may be of a change the answer does not show.
            if changes == self._changes:
                self._known[tenant_id] = known
        return known.get(ae_title)

    async def list(self, tenant_id: int) -> Sequence[RemoteAe]:
        """Return all application entities of the tenant, by AE title.

        Raises:
            Unavailable: the registry does not answer.
        """
        return await self._remotes.list(tenant_id)

    async def save(self, remote: RemoteAe) -> RemoteAe:
        """Keep a new entry (its `remote_id` is 0) or the changed one of that id, and return it as kept.

        Raises:
            InvalidInput: a field cannot be what it is; the message names it.
            Conflict: another entry has the AE title.
            NotFound: the entry of that id is not there any more.
            Unavailable: the registry does not answer.
        """
        saved = await self._remotes.save(sound(remote))
        self._forget(str(remote.tenant_id))
        return saved

    async def remove(self, tenant_id: int, ae_title: str) -> bool:
        """Remove the entry of that title; False when there is none.

        Raises:
            Unavailable: the registry does not answer.
        """
        is_removed = await self._remotes.remove(tenant_id, ae_title)
        self._forget(str(tenant_id))
        return is_removed

    def _forget(self, tenant: str | None) -> None:
        self._changes += 1
        if tenant is None or not self._notices.is_listening:
            self._known.clear()
        elif tenant.isdecimal():
            self._known.pop(int(tenant), None)
