"""Errors as HTTP answers: one total table of families, problem JSON (RFC 9457)."""

from __future__ import annotations

import orjson
from starlette.responses import Response

from hilum.archive.workitems import WorkitemProblem
from hilum.kernel.errors import (
    Conflict,
    CorruptData,
    Forbidden,
    HilumError,
    InvalidInput,
    LimitExceeded,
    LocalProtocolError,
    NotFound,
    RemoteProtocolError,
    Unavailable,
    Unsupported,
)

HTTP_STATUS: dict[type[HilumError], int] = {
    LocalProtocolError: 500,
    RemoteProtocolError: 502,
    InvalidInput: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    # What cannot be given in the form asked for (PS3.18 §8.7.8); content we do not take has its own code below.
    Unsupported: 406,
    LimitExceeded: 413,
    Unavailable: 503,
    CorruptData: 500,
}
"""The status of each family; total."""

_STATUS_OF_CODE = {
    "unsupported-media-type": 415,
    "too-many-results": 400,
    WorkitemProblem.NOT_SCHEDULED: 400,
    # What the sender sent cannot be decoded or converted, as damaged as it came; the original can still be had. Damage
    # of our own making, such as a blob that is too short, stays an error of the server.
    "corrupt-frame": 406,
    "corrupt-lut": 406,
    "corrupt-palette": 406,
    "frame-too-short": 406,
    "not-transcodable": 406,
}
_RETRY_AFTER_S = 5


def status_of(error: HilumError) -> int:
    """Return the HTTP status of an error.

    Reference: PS3.18 §8.5
    """
    special = _STATUS_OF_CODE.get(error.reason_code)
    if special is not None:
        return special
    return next(HTTP_STATUS[family] for family in type(error).__mro__ if family in HTTP_STATUS)


def problem(error: HilumError) -> Response:
    """Return the problem JSON that tells what was wrong.

    Reference: PS3.18 §8.5
    """
    status = status_of(error)
    body = {
        "type": "about:blank",
        "title": type(error).code,
        "status": status,
        "detail": error.message,
        "code": error.reason_code,
    }
    headers = {"Retry-After": str(_RETRY_AFTER_S)} if error.retryable else None
    return Response(orjson.dumps(body), status, headers, media_type="application/problem+json")
