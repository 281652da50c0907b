"""What the side that opened an association does with the messages it gets."""

from __future__ import annotations

from collections.abc import Awaitable

from hilum.dimse.command_set import violation
from hilum.dimse.messages import Message, Response
from hilum.net.invocations import Invocations
from hilum.net.streams import ResponseStreams
from hilum.ul.primitives import Buffer


class RequestorHandler(Invocations):
    """The `MessageHandler` of associations on which this side asks and serves nothing.

    `invoke` is for requests with one response, `responses.stream` for those with many.
    """

    def __init__(self) -> None:
        super().__init__()
        self.responses = ResponseStreams()

    def message(self, context_id: int, message: Message) -> Awaitable[None] | None:
        """Give a response to whoever waits for it.

        Raises:
            RemoteProtocolError: the peer asks something of a side that serves nothing.
        """
        if not isinstance(message, Response):
            raise violation("a request came to a side that serves none", command=message.command_field.name)
        if self.responses.awaits(message):
            return self.responses.begin(message)
        self.response(message)
        return None

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        """Give the data set of a response to whoever streams them; others have none that anybody needs."""
        return self.responses.data_set(data, is_last)

    def end(self) -> None:
        """Fail what still waits: the association has ended."""
        super().end()
        self.responses.end()
