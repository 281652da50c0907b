"""QIDO-RS: searches at all levels (PS3.18 §10.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hilum.archive.query import Level, Query
from hilum.dicom.dictionary import path_keywords, path_of, tag_of
from hilum.dicomweb.address import Target, base_url, target_of
from hilum.dicomweb.answers import document
from hilum.dicomweb.negotiation import choose_document
from hilum.dicomweb.query_parameters import is_universal, parse_search
from hilum.services.search import SearchService

_UIDS = tuple(tag_of(keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
_RETRIEVE_URL = tag_of("RetrieveURL")
_TIMEZONE_OFFSET = tag_of("TimezoneOffsetFromUTC")


async def search(request: Request, service: SearchService, level: Level) -> Response:
    """Answer with what matches: 200 with data sets, or 204 when nothing does.

    A matching key that the archive cannot match is left out and named in a Warning header; so is a result that was cut
    off because the client named no limit or too high a one.

    Reference: PS3.18 §10.6
    """
    form = choose_document(request)
    scope = target_of(request) if "study" in request.path_params else None
    search_request = parse_search(level, scope, request.query_params.multi_items())
    tenant_id = request.state.principal.tenant.tenant_id
    query, warnings = await _supported(service, search_request.query)
    headers: dict[str, str] = {}
    if search_request.wants_total:
        headers["X-Total-Count"] = str(await service.count(tenant_id, query))
    # One more than asked for tells whether there are more.
    probe = replace(query, limit=query.limit + 1) if search_request.is_limit_ours else query
    results: list[dict[str, Any]] = []
    if query.limit:
        results = [result async for result in service.search(tenant_id, probe)]
    if len(results) > query.limit:
        del results[query.limit :]
        warnings.append(
            f"Only the first {query.limit} results are returned. Additional results can be requested with offset."
        )
    base = base_url(request)
    if warnings:
        host = request.url.netloc
        headers["Warning"] = ", ".join(f'299 {host} "{text}"' for text in warnings)
    if not results:
        return Response(status_code=204, headers=headers)
    return document([_with_address(result, level, scope, base) for result in results], form, headers)


async def _supported(service: SearchService, query: Query) -> tuple[Query, list[str]]:
    """Return the query without the keys that cannot be matched, and a warning that names them."""
    kept = tuple(match for match in query.matches if match.path != (_TIMEZONE_OFFSET,))
    query = replace(query, matches=kept)
    unsupported = set(await service.unsupported_matches(query))
    if not unsupported:
        return query, []
    paths = {path_of(text) for text in unsupported}
    names = sorted(path_keywords(match.path) for match in kept if match.path in paths and not is_universal(match))
    query = replace(query, matches=tuple(match for match in kept if match.path not in paths))
    warning = f"These attributes cannot be matched and were ignored: {' '.join(names)}"
    return query, [warning] if names else []


def _with_address(result: dict[str, Any], level: Level, scope: Target | None, base: str) -> dict[str, Any]:
    """Return the result with its Retrieve URL, tags ascending."""
    fixed = (scope.study, scope.series) if scope is not None else (None, None)
    uids: list[str | None] = []
    for index, tag in enumerate(_UIDS[: level - Level.STUDY + 1]):
        values = result.get(tag, {}).get("Value")
        uids.append(values[0] if values else fixed[index] if index < len(fixed) else None)
    study = uids[0]
    if study is None:
        return result
    target = Target(study, *uids[1:])
    return dict(sorted({**result, _RETRIEVE_URL: {"vr": "UR", "Value": [target.url(base)]}}.items()))
