"""The resources of PS3.18 §10.1 and §11.1, and who answers for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hilum.archive.model import Permission
from hilum.archive.query import Level
from hilum.dicomweb.bulk import retrieve_bulk_data
from hilum.dicomweb.frames import retrieve_frames
from hilum.dicomweb.instances import retrieve_instances
from hilum.dicomweb.metadata import retrieve_metadata
from hilum.dicomweb.problems import problem
from hilum.dicomweb.rendered import rendered, thumbnail
from hilum.dicomweb.search import search
from hilum.dicomweb.store import store_instances
from hilum.dicomweb.workitems import workitem_handlers
from hilum.kernel.errors import HilumError
from hilum.policies.authorization import require
from hilum.services.render import RenderService
from hilum.services.retrieve import RetrieveService
from hilum.services.search import SearchService
from hilum.services.store import StoreService
from hilum.services.transcode import TranscodeService
from hilum.services.workitems import WorkitemService

Handler = Callable[[Request], Awaitable[Response]]

_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_FRAMES = _INSTANCE + "/frames/{frames}"


@dataclass(frozen=True, slots=True)
class DicomwebServices:
    """What this door asks."""

    store: StoreService
    retrieve: RetrieveService
    search: SearchService
    render: RenderService
    transcode: TranscodeService
    workitems: WorkitemService


def routes(services: DicomwebServices) -> list[Route]:
    """Return the routes of the services, to be mounted where the application wants them.

    Reference: PS3.18 §10.1, §10.3, §11.1
    """

    async def store(request: Request) -> Response:
        return await store_instances(request, services.store)

    def searching(level: Level) -> Handler:
        async def handler(request: Request) -> Response:
            return await search(request, services.search, level)

        return handler

    async def instances(request: Request) -> Response:
        return await retrieve_instances(request, services.retrieve, services.transcode)

    async def metadata(request: Request) -> Response:
        return await retrieve_metadata(request, services.retrieve)

    async def frames(request: Request) -> Response:
        return await retrieve_frames(request, services.retrieve, services.transcode)

    async def bulk_data(request: Request) -> Response:
        return await retrieve_bulk_data(request, services.retrieve)

    async def pictures(request: Request) -> Response:
        return await rendered(request, services.retrieve, services.render)

    async def small_picture(request: Request) -> Response:
        return await thumbnail(request, services.retrieve, services.render)

    studies, series, sop_instances = searching(Level.STUDY), searching(Level.SERIES), searching(Level.INSTANCE)
    getting: list[tuple[str, Handler]] = [
        ("/studies", studies),
        ("/series", series),
        ("/instances", sop_instances),
        (_STUDY + "/series", series),
        (_STUDY + "/instances", sop_instances),
        (_SERIES + "/instances", sop_instances),
        *((level, instances) for level in (_STUDY, _SERIES, _INSTANCE)),
        *((level + "/metadata", metadata) for level in (_STUDY, _SERIES, _INSTANCE)),
        *((level + "/rendered", pictures) for level in (_STUDY, _SERIES, _INSTANCE, _FRAMES)),
        *((level + "/thumbnail", small_picture) for level in (_STUDY, _SERIES, _INSTANCE, _FRAMES)),
        (_FRAMES, frames),
        (_INSTANCE + "/bulkdata/{path:path}", bulk_data),
    ]
    return [
        Route("/studies", _guarded(store, Permission.STORE), methods=["POST"]),
        Route(_STUDY, _guarded(store, Permission.STORE), methods=["POST"]),
        *(Route(path, _guarded(handler, Permission.READ), methods=["GET"]) for path, handler in getting),
        *(
            Route(path, _guarded(handler, permission), methods=[method])
            for path, method, permission, handler in workitem_handlers(services.workitems)
        ),
    ]


def _guarded(handler: Handler, permission: Permission) -> Handler:
    """Return the handler behind the permission it needs, with errors answered and HEAD without a body."""

    async def guarded(request: Request) -> Response:
        try:
            require(request.state.principal, permission)
            response = await handler(request)
        except HilumError as error:
            response = problem(error)
        if request.method == "HEAD":
            return _without_body(response)
        return response

    return guarded


def _without_body(response: Response) -> Response:
    """Return the answer to HEAD: status and headers of the answer to GET (RFC 9110 §9.3.2)."""

    bare = StreamingResponse(iter(()), response.status_code)
    bare.raw_headers = response.raw_headers
    return bare
