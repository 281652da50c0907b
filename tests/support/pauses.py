"""What keeps pynetdicom's threads from taking each other's messages."""

from __future__ import annotations

import threading
from typing import Any

from pynetdicom.association import Association


class _ExactPause(threading.Event):
    """The event by which a sending thread holds an association's own thread, which must not take the response.

    pynetdicom lets that thread say that it pauses before it does. In between, on a busy machine, a sender sees the
    pause, sends, and the other thread goes on and takes the response for a request. Here the word is taken back, as
    one with the look at the event, before the thread goes on.
    """

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association
        self._turn = threading.Lock()

    def clear(self) -> None:
        with self._turn:
            super().clear()

    def wait(self, timeout: float | None = None) -> bool:
        while super().wait(timeout):
            with self._turn:
                if self.is_set():
                    self._association._is_paused = False
                    return True
        return False


def pause_exactly() -> None:
    """Give every association made from now on such an event."""
    make = Association.__init__

    def init(self: Association, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self._reactor_checkpoint = _ExactPause(self)
        self._reactor_checkpoint.set()

    Association.__init__ = init  # type: ignore[method-assign]
