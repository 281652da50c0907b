"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

from typing import Any, Final

from fastapi.responses import JSONResponse
from pydantic import BaseModel


class Problem(BaseModel):
    """An error as problem details (RFC 9457); `code` is stable, for programs."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of answers with these statuses, for a route."""
    return {status: {"content": _CONTENT} for status in statuses}


_CONTENT: Final = {"application/problem+json": {"schema": Problem.model_json_schema()}}


def problem_response(status: int, title: str, detail: str, code: str) -> JSONResponse:
    """Return a problem-details answer."""
    body = Problem(title=title, status=status, detail=detail, code=code).model_dump()
    return JSONResponse(body, status_code=status, media_type="application/problem+json")
