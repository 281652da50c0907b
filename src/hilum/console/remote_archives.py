"""Remote archives under /api: what they have, and studies brought in from them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from hilum.archive.jobs import JobState
from hilum.archive.model import DicomJson, Permission
from hilum.archive.pulling import Pull, Wanted, Way
from hilum.archive.query import Level
from hilum.archive.remotes import RemoteAe
from hilum.console.access import allowed
from hilum.console.problems import problems
from hilum.dicom.query_keys import identifier_of
from hilum.kernel.errors import NotFound
from hilum.kernel.limits import MAX_QUERY_KEYS, MAX_REMOTE_MATCHES
from hilum.services.pulling import PullService
from hilum.services.remotes import RemoteService

# Each of them is counted.
_LISTED = 50
# Who may not put studies into the archive has no need of remote ones.
_PERMISSION = Permission.STORE


class RemoteFind(Protocol):
    """Asks a remote archive or worklist."""

    def __call__(
        self,
        remote: RemoteAe,
        keys: DicomJson,
        *,
        level: Level,
        is_worklist: bool,
        is_fuzzy: bool,
        on_warning: Callable[[str], object],
    ) -> AsyncGenerator[DicomJson, None]:
        """Yield the matches; closed early, the query is cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class RemoteArchiveServices:
    """What this part of the API needs."""

    remotes: RemoteService
    find: RemoteFind
    pulls: PullService


class RemoteLevel(StrEnum):
    """What a match is."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"
    WORKLIST = "worklist"


class RemoteQuery(BaseModel):
    """A question to a remote archive or worklist."""

    level: RemoteLevel = RemoteLevel.STUDY
    keys: dict[str, str] = Field(
        {},
        max_length=MAX_QUERY_KEYS,
        description="Values to match by keyword or tag, sequences by dots; wildcards, ranges and lists as in DICOM.",
    )
    return_keys: list[str] = Field([], max_length=MAX_QUERY_KEYS, description="What else is to be returned.")
    is_fuzzy: bool = Field(False, description="Ask for names to be matched by sound.")
    limit: int = Field(200, ge=1, le=MAX_REMOTE_MATCHES)


class RemoteMatches(BaseModel):
    """What a remote has found."""

    matches: list[dict[str, Any]] = Field(description="In the DICOM JSON model.")
    is_complete: bool = Field(description="False when there may be more.")


class PullOrder(BaseModel):
    """What is to be brought in: a study, one of its series, or one instance of that."""

    study_instance_uid: str
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    way: Way = Field(Way.AUTO, description="By C-GET, or by C-MOVE to ourselves; auto tries C-GET first.")
    priority: int = Field(0, ge=-100, le=100, description="What is more urgent has a higher one, and goes first.")


class PullEntry(BaseModel):
    """How a pull stands; ask again to see it go on."""

    pull_id: int
    remote: str
    study_instance_uid: str
    series_instance_uid: str | None
    sop_instance_uid: str | None
    way: Way
    state: JobState
    attempt: int
    expected_count: int | None = Field(description="How many instances the remote said it has of it.")
    received_count: int = Field(description="How many instances of it are here now.")
    created_at: datetime
    finished_at: datetime | None
    error_code: str | None
    error: str | None


class PullList(BaseModel):
    """The latest pulls, newest first."""

    pulls: list[PullEntry]


def remote_archive_routes(services: RemoteArchiveServices) -> APIRouter:
    """Return the routes, to be included in the console API before those of the registry."""
    routes = APIRouter(tags=["remote archives"])

    # AE titles may hold slashes.
    @routes.post("/remotes/{ae_title:path}/find", responses=problems(400, 401, 403, 404, 501, 503))
    async def find_in_remote(ae_title: str, query: RemoteQuery, request: Request) -> RemoteMatches:
        """Ask a remote archive or worklist (C-FIND) and return what it has found."""
        principal = allowed(request, _PERMISSION)
        remote = await services.remotes.find(principal.tenant.tenant_id, ae_title)
        if remote is None:
            raise NotFound("this AE title is not registered", code="no-such-remote")
        is_worklist = query.level is RemoteLevel.WORKLIST
        matches: list[dict[str, Any]] = []
        warnings: list[str] = []
        found = services.find(
            remote,
            identifier_of(query.keys, query.return_keys),
            level=Level.STUDY if is_worklist else Level[query.level.name],
            is_worklist=is_worklist,
            is_fuzzy=query.is_fuzzy,
            on_warning=warnings.append,
        )
        async with contextlib.aclosing(found):
            async for match in found:
                matches.append(match)
                if len(matches) > query.limit:
                    break
        is_complete = len(matches) <= query.limit and not warnings
        return RemoteMatches(matches=matches[: query.limit], is_complete=is_complete)

    @routes.post("/remotes/{ae_title:path}/pull", status_code=202, responses=problems(400, 401, 403, 404, 501, 503))
    async def pull_from_remote(ae_title: str, order: PullOrder, request: Request) -> PullEntry:
        """Bring a study, series or instance in from a remote archive; it goes on when this is answered."""
        wanted = Wanted(order.study_instance_uid, order.series_instance_uid, order.sop_instance_uid)
        return _entry(
            await services.pulls.order(_tenant(request), ae_title, wanted, way=order.way, priority=order.priority)
        )

    @routes.get("/pulls", responses=problems(401, 403))
    async def list_pulls(request: Request) -> PullList:
        """List the latest pulls."""
        return PullList(pulls=[_entry(each) for each in await services.pulls.list(_tenant(request), limit=_LISTED)])

    @routes.get("/pulls/{pull_id}", responses=problems(401, 403, 404))
    async def read_pull(pull_id: int, request: Request) -> PullEntry:
        """Tell how a pull stands."""
        return _entry(await services.pulls.find(_tenant(request), pull_id))

    @routes.post("/pulls/{pull_id}/cancel", responses=problems(401, 403, 404, 409))
    async def cancel_pull(pull_id: int, request: Request) -> PullEntry:
        """End a pull; what has come stays."""
        return _entry(await services.pulls.cancel(_tenant(request), pull_id))

    @routes.post("/pulls/{pull_id}/retry", responses=problems(401, 403, 404, 409))
    async def retry_pull(pull_id: int, request: Request) -> PullEntry:
        """Try a pull that failed or was cancelled again."""
        return _entry(await services.pulls.retry(_tenant(request), pull_id))

    return routes


def _tenant(request: Request) -> int:
    return allowed(request, _PERMISSION).tenant.tenant_id


def _entry(pull: Pull) -> PullEntry:
    return PullEntry(
        pull_id=pull.pull_id,
        remote=pull.remote,
        study_instance_uid=pull.wanted.study_instance_uid,
        series_instance_uid=pull.wanted.series_instance_uid,
        sop_instance_uid=pull.wanted.sop_instance_uid,
        way=pull.way,
        state=pull.state,
        attempt=pull.attempt,
        expected_count=pull.expected_count,
        received_count=pull.received_count,
        created_at=pull.created_at,
        finished_at=pull.finished_at,
        error_code=pull.error_code,
        error=pull.error,
    )
