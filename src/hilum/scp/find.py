"""C-FIND: queries of patients, studies, series and instances (PS3.4 Annex C)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from hilum.archive.model import DicomJson
from hilum.archive.query import Query
from hilum.archive.remotes import DimseUse
from hilum.dicom.data_sets import read_data_set
from hilum.dimse import status
from hilum.dimse.messages import CFindRequest, CFindResponse
from hilum.kernel.errors import InvalidInput, LimitExceeded
from hilum.kernel.limits import MAX_FIND_RESULTS, MAX_QUERY_IDENTIFIER_BYTES
from hilum.scp.calls import Call, DimseService, Operation, gather, unrecognized
from hilum.scp.negotiation import MESSAGE_RULE
from hilum.scp.query_answers import AnswerWriter
from hilum.scp.query_identifiers import FindRequest, read_request
from hilum.scp.query_models import FIND_MODELS, agreed_options, answer_options
from hilum.scp.statuses import FIND_STATUSES
from hilum.ul.negotiation import TransferSyntaxRule
from hilum.ul.primitives import AssociateRequest, ExtendedNegotiation


@dataclass(frozen=True, slots=True)
class FindSettings:
    """What the person who runs the archive may choose about queries.

    `always_relational` lets every caller query as if it had negotiated relational queries.
    """

    max_results: int = MAX_FIND_RESULTS
    always_relational: bool = False


class QuerySource(Protocol):
    """What C-FIND needs of the search service."""

    def stream(self, tenant_id: int, query: Query) -> AsyncGenerator[list[DicomJson]]:
        """Yield what matches in lists; closing the iterator ends the search."""
        ...

    async def unsupported_matches(self, query: Query) -> list[str]:
        """Return the dotted tag paths of matching keys that cannot be matched."""
        ...


class FindService(DimseService):
    """Query of the Patient Root, Study Root and Patient/Study Only models (PS3.4 §C.4.1)."""

    use = DimseUse.QUERY

    def __init__(self, source: QuerySource, settings: FindSettings) -> None:
        self._source = source
        self._settings = settings

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept any encoding of small data sets."""
        return MESSAGE_RULE if abstract_syntax in FIND_MODELS else None

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Grant relational queries, combined date-time matching, fuzzy names and time zones to who asks."""
        return answer_options(proposed)

    def begin(self, call: Call) -> Operation | None:
        """Answer a query.

        Reference: PS3.7 §9.3.2, PS3.4 §C.4.1.4
        """
        if not isinstance(call.request, CFindRequest):
            return unrecognized(call)
        return gather(call, lambda identifier: self._find(call, identifier), FIND_STATUSES)

    async def _find(self, call: Call, identifier: bytes) -> None:
        if len(identifier) > MAX_QUERY_IDENTIFIER_BYTES:
            raise LimitExceeded("the identifier is longer than a query may be", limit=MAX_QUERY_IDENTIFIER_BYTES)
        options = agreed_options(call.association.request, call.abstract_syntax)
        if self._settings.always_relational:
            options = replace(options, relational=True)
        request = read_request(
            read_data_set(identifier, call.transfer_syntax),
            FIND_MODELS[call.abstract_syntax],
            options,
            # One more than is answered tells whether there are more.
            limit=self._settings.max_results + 1,
        )
        request = await self._supported(request)
        remote = call.caller.remote
        writer = AnswerWriter(
            request,
            call.transfer_syntax,
            retrieve_ae_title=call.caller.origin.called_ae_title or "",
            character_set=(remote.character_set if remote else None) or request.character_set,
        )
        pending = status.PENDING_WITH_UNSUPPORTED_KEYS if request.ignores_keys else status.PENDING
        room = self._settings.max_results
        async with aclosing(self._source.stream(call.caller.tenant_id, request.query)) as batches:
            while (batch := await unless_cancelled(call, batches)) is not None:
                answers = _written(writer, batch[:room])
                await call.respond_with_each(_response(call, pending, has_data_set=True), answers)
                if len(batch) > room:
                    raise LimitExceeded(
                        f"only the first {self._settings.max_results} matches are returned; narrow the query",
                        code="query-results",
                        limit=self._settings.max_results,
                    )
                room -= len(batch)
        call.respond(_response(call, status.CANCEL if call.cancelled.is_set() else status.SUCCESS))

    async def _supported(self, request: FindRequest) -> FindRequest:
        """Return the request without the matching keys that the index cannot match."""
        query = request.query
        if not query.matches and not query.moments:
            return request
        unsupported = set(await self._source.unsupported_matches(query))
        if not unsupported:
            return request
        matches = tuple(match for match in query.matches if ".".join(match.path) not in unsupported)
        moments = tuple(moment for moment in query.moments if moment.date_tag not in unsupported)
        return replace(request, query=replace(query, matches=matches, moments=moments), ignores_keys=True)


async def unless_cancelled(call: Call, batches: AsyncGenerator[list[DicomJson]]) -> list[DicomJson] | None:
    """Return the next batch, or None after the last one or as soon as the call is cancelled.

    A search that is working at that moment is stopped, in the database too.
    """
    if call.cancelled.is_set():
        return None
    following = asyncio.ensure_future(anext(batches, None))
    cancelled = asyncio.ensure_future(call.cancelled.wait())
    try:
        await asyncio.wait((following, cancelled), return_when=asyncio.FIRST_COMPLETED)
        if call.cancelled.is_set() and not following.done():
            following.cancel()
            await asyncio.wait((following,))
            return None
        return None if call.cancelled.is_set() else following.result()
    finally:
        cancelled.cancel()
        following.cancel()


def _written(writer: AnswerWriter, batch: Iterable[DicomJson]) -> list[bytes]:
    answers = []
    for found in batch:
        try:
            answers.append(writer.write(found))
        except InvalidInput:
            # Kept as it came, it cannot be told in this form: a study must not hide all others.
            continue
    return answers


def _response(call: Call, code: int, *, has_data_set: bool = False) -> CFindResponse:
    return CFindResponse(
        has_data_set=has_data_set,
        message_id_being_responded_to=call.request.message_id,
        status=code,
        affected_sop_class_uid=call.abstract_syntax,
    )
