"""The ten families of errors. Every error a caller may see is one of these.

An error has a stable `code` for programs, a `message` without patient data for people, `facts` for logs, and
says whether trying again can help. Each door projects the families by one total table; foreign exceptions are
translated by the adapter that met them, with the original as the cause.
"""

from __future__ import annotations

from typing import ClassVar


class HilumError(Exception):
    """Base of the ten families; never raised itself.

    Args:
        message: what was wrong, in words a person can act on. Never carries values of patient attributes.
        code: stable identifier of the case; defaults to the family's own.
        facts: typed details safe to log (UIDs, tags, lengths, limits), never patient data.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None, **facts: str | int | float | bool | None) -> None:
        super().__init__(message)
        self.message = message
        self.reason_code = code or self.code
        self.facts = facts

    def __str__(self) -> str:
        return self.message


class LocalProtocolError(HilumError):
    """Our own code asked a protocol core for something its state does not allow."""

    code = "local-protocol-error"


class RemoteProtocolError(HilumError):
    """The peer broke the protocol; `answer` is what it deserves (for example the abort to send), if anything."""

    code = "remote-protocol-error"

    def __init__(
        self,
        message: str,
        *,
        answer: object | None = None,
        code: str | None = None,
        **facts: str | int | float | bool | None,
    ) -> None:
        super().__init__(message, code=code, **facts)
        self.answer = answer


class InvalidInput(HilumError):
    """What was sent cannot be understood or breaks a rule of the standard; sending it again will not help."""

    code = "invalid-input"


class Forbidden(HilumError):
    """The caller is unknown or may not do this."""

    code = "forbidden"


class NotFound(HilumError):
    """The named thing does not exist for this caller (another tenant's does not exist either)."""

    code = "not-found"


class Conflict(HilumError):
    """The request contradicts what is already there."""

    code = "conflict"


class Unsupported(HilumError):
    """Understood, legal, and not something this system does."""

    code = "unsupported"


class LimitExceeded(HilumError):
    """A bound of `kernel.limits` was passed; the message names the bound."""

    code = "limit-exceeded"


class Unavailable(HilumError):
    """A part this needs (database, object store, peer) does not answer now; trying again can help."""

    code = "unavailable"
    retryable = True


class CorruptData(HilumError):
    """Stored or received bytes do not say what they should."""

    code = "corrupt-data"


FAMILIES: tuple[type[HilumError], ...] = (
    LocalProtocolError,
    RemoteProtocolError,
    InvalidInput,
    Forbidden,
    NotFound,
    Conflict,
    Unsupported,
    LimitExceeded,
    Unavailable,
    CorruptData,
)
