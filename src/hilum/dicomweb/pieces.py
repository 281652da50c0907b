"""Answers made of bytes and of ranges of open files, which the server sends without their passing through here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from hilum.kernel.files import FilePiece

_EXTENSION: Final = "http.response.zerocopysend"


def takes_files(request: Request) -> bool:
    """Return whether the server below sends files itself (ASGI's extension Zero Copy Send)."""
    return _EXTENSION in (request.scope.get("extensions") or {})


class PiecesResponse(StreamingResponse):
    """A streamed answer. Ranges of files may be among its pieces only if `takes_files` says so.

    To HEAD it answers without asking for any piece.
    """

    def __init__(
        self, pieces: AsyncIterator[bytes | FilePiece], status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__((), status_code, headers)
        self.pieces = pieces
        self._is_head = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer until it is complete or the client is gone."""
        self._is_head = scope["method"] == "HEAD"
        await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send head and pieces; whatever the end, the source of the pieces is closed then.

        The first piece is there before the head is sent, so that what is wrong with it can still be said.
        """
        try:
            piece = None if self._is_head else await anext(self.pieces, None)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while piece is not None:
                await send(_message(piece))
                piece = await anext(self.pieces, None)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if isinstance(self.pieces, AsyncGenerator):
                await self.pieces.aclose()


def _message(piece: bytes | FilePiece) -> Message:
    if isinstance(piece, FilePiece):
        return {"type": _EXTENSION, "file": piece, "offset": piece.offset, "count": piece.length, "more_body": True}
    return {"type": "http.response.body", "body": piece, "more_body": True}
