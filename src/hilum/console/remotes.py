"""The registry of remote application entities under /api/remotes: readers look, administrators change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from hilum.archive.model import Permission, Principal
from hilum.archive.remotes import ALL_USES, ASKED_BY_DEFAULT, DimseUse, RemoteAe
from hilum.console.access import allowed
from hilum.console.problems import problems
from hilum.kernel.errors import NotFound
from hilum.kernel.limits import MAX_REMOTE_ASSOCIATIONS
from hilum.services.remotes import RemoteService

Echo = Callable[[RemoteAe], Awaitable[float]]
"""Asks a remote whether it is there and returns how many seconds it took; raises what kept it from answering."""


@dataclass(frozen=True, slots=True)
class RemoteServices:
    """What this part of the API needs."""

    remotes: RemoteService
    echo: Echo


class RemoteEntry(BaseModel):
    """A remote application entity. What is left out has the value shown; nothing is left as it was."""

    ae_title: str = Field(description="AE title, 1 to 16 characters.")
    host: str | None = Field(None, description="Where it listens; none when it only calls.")
    port: int | None = None
    network: str | None = Field(
        None,
        description="Address or network it has to call from; without, that is its host, and without that anywhere.",
    )
    uses_tls: bool = Field(False, description="Associations with it are by TLS, whoever opens them.")
    certificate: str | None = Field(None, description="SHA-256 fingerprint of the one certificate it may show.")
    character_set: str | None = Field(None, description="Specific Character Set it prefers in answers.")
    transfer_syntaxes: list[str] = Field([], description="UIDs it wants instances in, best first; none: as stored.")
    may_ask: list[DimseUse] = Field(sorted(ALL_USES), description="What it may ask of us.")
    may_be_asked: list[DimseUse] = Field(sorted(ASKED_BY_DEFAULT), description="What we may ask of it.")
    site: str | None = None
    description: str = ""
    max_associations: int = Field(2, ge=1, le=MAX_REMOTE_ASSOCIATIONS, description="Open to it at a time.")


class RemoteList(BaseModel):
    """All remote application entities, by AE title."""

    remotes: list[RemoteEntry]


class Echoed(BaseModel):
    """A remote has answered."""

    seconds: float


def remote_routes(services: RemoteServices) -> APIRouter:
    """Return the routes, to be included in the console API."""
    routes = APIRouter(prefix="/remotes", tags=["remotes"])

    async def found(principal: Principal, ae_title: str) -> RemoteAe:
        remote = await services.remotes.find(principal.tenant.tenant_id, ae_title)
        if remote is None:
            raise NotFound("this AE title is not registered", code="no-such-remote")
        return remote

    @routes.get("", responses=problems(401, 403))
    async def list_remotes(request: Request) -> RemoteList:
        """List all remote application entities."""
        principal = allowed(request, Permission.READ)
        return RemoteList(remotes=[_entry(each) for each in await services.remotes.list(principal.tenant.tenant_id)])

    @routes.post("", status_code=201, responses=problems(400, 401, 403, 409))
    async def add_remote(entry: RemoteEntry, request: Request) -> RemoteEntry:
        """Register a remote application entity; it is known to all workers at once."""
        principal = allowed(request, Permission.ADMINISTER)
        return _entry(await services.remotes.save(_remote(entry, 0, principal.tenant.tenant_id)))

    # AE titles may hold slashes.
    @routes.post("/{ae_title:path}/echo", responses=problems(400, 401, 403, 404, 501, 503))
    async def echo_remote(ae_title: str, request: Request) -> Echoed:
        """Ask the remote application entity whether it is there (C-ECHO)."""
        principal = allowed(request, Permission.ADMINISTER)
        return Echoed(seconds=await services.echo(await found(principal, ae_title)))

    @routes.get("/{ae_title:path}", responses=problems(401, 403, 404))
    async def read_remote(ae_title: str, request: Request) -> RemoteEntry:
        """Return a remote application entity."""
        return _entry(await found(allowed(request, Permission.READ), ae_title))

    @routes.put("/{ae_title:path}", responses=problems(400, 401, 403, 404, 409))
    async def replace_remote(ae_title: str, entry: RemoteEntry, request: Request) -> RemoteEntry:
        """Replace a remote application entity, its AE title included; all workers know at once."""
        principal = allowed(request, Permission.ADMINISTER)
        present = await found(principal, ae_title)
        return _entry(await services.remotes.save(_remote(entry, present.remote_id, present.tenant_id)))

    @routes.delete("/{ae_title:path}", status_code=204, responses=problems(401, 403, 404))
    async def remove_remote(ae_title: str, request: Request) -> Response:
        """Remove a remote application entity; all workers know at once."""
        principal = allowed(request, Permission.ADMINISTER)
        if not await services.remotes.remove(principal.tenant.tenant_id, ae_title):
            raise NotFound("this AE title is not registered", code="no-such-remote")
        return Response(status_code=204)

    return routes


def _entry(remote: RemoteAe) -> RemoteEntry:
    values = {name: value for name, value in asdict(remote).items() if name in RemoteEntry.model_fields}
    return RemoteEntry(**values | {name: sorted(values[name]) for name in ("may_ask", "may_be_asked")})


def _remote(entry: RemoteEntry, remote_id: int, tenant_id: int) -> RemoteAe:
    values = entry.model_dump() | {
        "transfer_syntaxes": tuple(entry.transfer_syntaxes),
        "may_ask": frozenset(entry.may_ask),
        "may_be_asked": frozenset(entry.may_be_asked),
    }
    return RemoteAe(remote_id=remote_id, tenant_id=tenant_id, **values)
