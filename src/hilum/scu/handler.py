"""What the side that opened an association does with the messages it gets."""

from __future__ import annotations

from hilum.dimse.command_set import violation
from hilum.dimse.messages import Message, Response
from hilum.net.invocations import Invocations
from hilum.ul.primitives import Buffer


class RequestorHandler(Invocations):
    """The `MessageHandler` of associations on which this side asks and serves nothing."""

    def message(self, context_id: int, message: Message) -> None:
        """Give a response to whoever waits for it.

        Raises:
            RemoteProtocolError: the peer asks something of a side that serves nothing.
        """
        if not isinstance(message, Response):
            raise violation("a request came to a side that serves none", command=message.command_field.name)
        self.response(message)

    def data_set(self, data: Buffer, is_last: bool) -> None:
        """Pass over what comes with a response: neither Verification nor Storage has a data set there."""
