"""Data sets on their way out of the archive, in pieces a message can carry."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from hilum.archive.model import StoredInstance
from hilum.kernel.limits import RETRIEVE_READ_AHEAD_BYTES
from hilum.services.transcode import TranscodeService


class OutgoingTranscoder:
    """Converts what is sent; implements `hilum.archive.sending.Transcoder`."""

    def __init__(self, transcode: TranscodeService) -> None:
        self._transcode = transcode

    def can(self, transfer_syntax_uid: str, target_transfer_syntax_uid: str) -> bool:
        """Return whether instances of the one syntax may become the other without loss."""
        return self._transcode.can(transfer_syntax_uid, target_transfer_syntax_uid)

    async def data_set(self, instance: StoredInstance, transfer_syntax_uid: str) -> bytes | AsyncGenerator[bytes, None]:
        """Return the whole data set in that syntax, of even length: at once, or of a large instance as a generator.

        What a generator yields first has been made then. Who gets one closes it.

        Raises:
            Unsupported: these pixels cannot be had in that syntax.
            HilumError: they cannot be read.
        """
        if instance.blob.size_bytes <= RETRIEVE_READ_AHEAD_BYTES:
            content = await self._transcode.data_set(instance, transfer_syntax_uid)
            return content + b"\0" if len(content) % 2 else content
        pieces = self._transcode.stream(instance, transfer_syntax_uid)
        return in_even_pieces(await anext(pieces), pieces)


async def in_even_pieces(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield the first piece and the others, each made even, for receivers that refuse odd fragments.

    The last gets the zero byte that an odd data set, as deflated ones of careless senders are, has to have.

    Reference: PS3.5 §A.5, PS3.8 §9.3.5.1
    """
    left_over = b""
    try:
        piece = first
        while True:
            piece = left_over + piece if left_over else piece
            left_over = piece[-1:] if len(piece) % 2 else b""
            yield piece[:-1] if left_over else piece
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                break
        if left_over:
            yield left_over + b"\0"
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
