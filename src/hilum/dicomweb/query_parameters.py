"""QIDO-RS query parameters: text to the query AST (PS3.18 §8.3.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hilum.archive.query import AttributePath, Level, Match, Query, SortKey
from hilum.dicom.dictionary import path_of, tag_of, vr_of
from hilum.dicom.matching import Single, Universal, parse_condition
from hilum.dicomweb.address import Target
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import DEFAULT_QUERY_RESULTS, MAX_QUERY_OFFSET, MAX_QUERY_RESULTS

_TRUE, _FALSE = ("true", "1"), ("false", "0", "")
# Not about what is searched: content negotiation, and what we cannot do and may leave out.
_PASSED_OVER = frozenset({"accept", "charset", "emptyvaluematching", "multiplevaluematching"})


@dataclass(slots=True)
class SearchRequest:
    """A parsed search: the query, and what the answer needs to know besides.

    `is_limit_ours` says that the client named no limit, or a larger one than we allow.
    """

    query: Query
    is_limit_ours: bool
    wants_total: bool


@dataclass(slots=True)
class _Parameters:
    keys: dict[AttributePath, tuple[str, str]] = field(default_factory=dict)
    include: set[AttributePath] | None = field(default_factory=set)
    sort: list[SortKey] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0
    is_fuzzy: bool = False
    wants_total: bool = False


def parse_search(level: Level, scope: Target | None, parameters: Iterable[tuple[str, str]]) -> SearchRequest:
    """Return the search that a request asks for.

    Beside the standard's parameters there are `orderby` (also `sort`): a list of attributes, each with a minus in front
    for descending; and `totalcount=true`, which asks for the X-Total-Count header. Parameters that begin with an
    underscore are passed over, as clients use them to defeat caches.

    Args:
        level: what is searched for.
        scope: the study or series in the path, if any.
        parameters: names and decoded values in their order.

    Raises:
        InvalidInput: an attribute is unknown or a value does not fit it; the message names the parameter.

    Reference: PS3.18 §8.3.4, §10.6.1
    """
    found = _Parameters()
    for name, value in parameters:
        _take(found, name, value)
    matches = _scope_matches(scope)
    for path, (name, text) in found.keys.items():
        matches.append(_match(path, name, text, is_fuzzy=found.is_fuzzy))
    ceiling = DEFAULT_QUERY_RESULTS if scope is None else MAX_QUERY_RESULTS
    limit = ceiling if found.limit is None else min(found.limit, MAX_QUERY_RESULTS)
    query = Query(
        level=level,
        matches=tuple(matches),
        include=None if found.include is None else frozenset(found.include),
        ancestors=_ancestors(level, scope),
        sort=tuple(found.sort),
        limit=limit,
        offset=found.offset,
    )
    return SearchRequest(query, found.limit is None or found.limit > limit, found.wants_total)


def _take(found: _Parameters, name: str, value: str) -> None:
    lowered = name.lower()
    if lowered == "includefield":
        _include(found, value)
    elif lowered == "limit":
        found.limit = _count(name, value, None)
    elif lowered == "offset":
        found.offset = _count(name, value, MAX_QUERY_OFFSET)
    elif lowered == "fuzzymatching":
        found.is_fuzzy = _flag(name, value)
    elif lowered in ("orderby", "sort"):
        found.sort.extend(_sort_key(name, piece) for piece in value.split(",") if piece.strip())
    elif lowered == "totalcount":
        found.wants_total = _flag(name, value)
    elif lowered not in _PASSED_OVER and not name.startswith("_"):
        path = _path(name, name)
        if path in found.keys:
            # Several UIDs may come as several parameters; for other attributes the standard allows one.
            if vr_of(path[-1]) != "UI":
                raise InvalidInput(f"The attribute {_shown(name)} is given twice.", code="invalid-query")
            value = f"{found.keys[path][1]},{value}"
        found.keys[path] = (name, value)


def _include(found: _Parameters, value: str) -> None:
    for piece in (piece.strip() for piece in value.split(",")):
        if piece.lower() == "all":
            found.include = None
        elif piece:
            path = _path("includefield", piece)
            if found.include is not None:
                found.include.add(path)


def _match(path: AttributePath, name: str, text: str, *, is_fuzzy: bool) -> Match:
    try:
        return Match(path, parse_condition(vr_of(path[-1]), text, fuzzy=is_fuzzy))
    except InvalidInput as error:
        raise InvalidInput(f"{_shown(name)}: {error.message}", code=error.reason_code, **error.facts) from error


def _scope_matches(scope: Target | None) -> list[Match]:
    if scope is None:
        return []
    matches = [Match((tag_of("StudyInstanceUID"),), Single(scope.study))]
    if scope.series is not None:
        matches.append(Match((tag_of("SeriesInstanceUID"),), Single(scope.series)))
    return matches


def _ancestors(level: Level, scope: Target | None) -> frozenset[Level]:
    """Return the levels above whose attributes the path does not fix (PS3.18 §10.6.3)."""
    above = {upper for upper in (Level.STUDY, Level.SERIES) if upper < level}
    if scope is not None:
        above.discard(Level.STUDY)
        if scope.series is not None:
            above.discard(Level.SERIES)
    return frozenset(above)


def _sort_key(name: str, piece: str) -> SortKey:
    text = piece.strip()
    path = _path(name, text.lstrip("+-"))
    if len(path) != 1:
        raise InvalidInput(f"{name}: results cannot be sorted by what stands in a sequence.", code="invalid-query")
    return SortKey(path[0], descending=text.startswith("-"))


def _path(name: str, text: str) -> AttributePath:
    try:
        return path_of(text)
    except InvalidInput as error:
        raise InvalidInput(f"{_shown(name)}: {error.message}", code=error.reason_code) from error


def _count(name: str, value: str, most: int | None) -> int:
    # Text of digits of any length is a number; what is too large for us is the client's mistake only for offset.
    if not value.isascii() or not value.isdecimal() or len(value) > 18 or (most is not None and int(value) > most):
        bound = "a whole number" if most is None else f"a whole number up to {most}"
        raise InvalidInput(f"{name} must be {bound}.", code="invalid-query")
    return int(value)


def _flag(name: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise InvalidInput(f"{name} must be true or false.", code="invalid-query")


def _shown(name: str) -> str:
    """Return a parameter's name for a message: it comes from outside, so only what an attribute path can be."""
    return name if len(name) <= 200 and all(c.isascii() and (c.isalnum() or c == ".") for c in name) else "A parameter"


def is_universal(match: Match) -> bool:
    """Return whether a matching key excludes nothing."""
    return isinstance(match.condition, Universal)
