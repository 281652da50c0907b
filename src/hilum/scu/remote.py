"""Whom to call, and the association to it."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.dicom.uids import APPLICATION_CONTEXT, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from hilum.kernel.errors import Forbidden, InvalidInput
from hilum.kernel.limits import MAX_PDU_LENGTH_BYTES
from hilum.net.association import Association, MessageHandler
from hilum.net.requestor import open_association
from hilum.ul.primitives import (
    AssociateRequest,
    AsyncOperationsWindow,
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
    UserInformation,
)

_MAX_AE_TITLE_LENGTH = 16
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Remote:
    """An application entity and where it listens; with `tls` the connection is encrypted.

    `character_set` is what it prefers text in; see `dicom.data_sets.write_data_set`.
    """

    ae_title: str
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    character_set: str | None = None

    @classmethod
    def parse(cls, text: str) -> Remote:
        """Read "AE_TITLE@host:port"; an IPv6 address stands in brackets.

        Raises:
            InvalidInput: the text has another form, or a part is out of its range.
        """
        title, at, address = text.rpartition("@")
        host, colon, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (at and colon and host and port.isascii() and port.isdecimal()):
            raise InvalidInput(f"{text!r} is not of the form AE_TITLE@host:port", code="remote")
        if not 0 < int(port) <= _MAX_PORT:
            raise InvalidInput(f"{port} is no port: 1 to {_MAX_PORT}", code="remote")
        return cls(check_ae_title(title), host, int(port))


Dial = Callable[[RemoteAe, DimseUse], Remote]
"""Says where a remote of the registry is reached for a use. Raises Forbidden or InvalidInput when it is not."""


def dialer(tls: Callable[[RemoteAe], ssl.SSLContext] | None = None) -> Dial:
    """Return a `Dial` by what the registry says; `tls` makes the context for remotes that want TLS."""

    def dial(remote: RemoteAe, use: DimseUse) -> Remote:
        if use not in remote.may_be_asked:
            raise Forbidden(f"the registry does not let {remote.ae_title} be asked for {use}", code="remote-use")
        if remote.host is None or remote.port is None:
            raise InvalidInput(f"{remote.ae_title} has no address in the registry", code="remote-address")
        context = None
        if remote.uses_tls:
            context = ssl.create_default_context() if tls is None else tls(remote)
        return Remote(remote.ae_title, remote.host, remote.port, context, remote.character_set)

    return dial


def check_ae_title(text: str) -> str:
    """Return the AE title without padding.

    Raises:
        InvalidInput: it is empty, longer than 16 characters, or has others than printable ASCII without backslash.

    Reference: PS3.5 §6.2 (AE)
    """
    title = text.strip(" ")
    if not 0 < len(title) <= _MAX_AE_TITLE_LENGTH:
        raise InvalidInput(f"an AE title has 1 to 16 characters, not {len(title)}", code="ae-title")
    if not all(" " <= each <= "~" and each != "\\" for each in title):
        raise InvalidInput("an AE title has printable ASCII characters only", code="ae-title")
    return title


async def call(
    remote: Remote,
    calling_ae_title: str,
    contexts: Sequence[ProposedContext],
    handler: MessageHandler,
    *,
    async_operations_window: AsyncOperationsWindow | None = None,
    role_selections: tuple[RoleSelection, ...] = (),
    extended_negotiations: tuple[ExtendedNegotiation, ...] = (),
) -> Association:
    """Return an association with the remote for the contexts proposed.

    Raises:
        Unavailable, Forbidden, RemoteProtocolError: as `open_association`.
    """
    request = AssociateRequest(
        called_ae_title=remote.ae_title,
        calling_ae_title=calling_ae_title,
        application_context_name=APPLICATION_CONTEXT,
        presentation_contexts=tuple(contexts),
        user_information=UserInformation(
            max_pdu_length=MAX_PDU_LENGTH_BYTES,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            async_operations_window=async_operations_window,
            role_selections=role_selections,
            extended_negotiations=extended_negotiations,
        ),
    )
    return await open_association(remote.host, remote.port, request, handler, tls=remote.tls)


@contextlib.asynccontextmanager
async def ended(association: Association) -> AsyncIterator[None]:
    """End the association with the block: by a release after success, or when whoever takes answers has enough of them;
    by an abort after an error.
    """
    try:
        yield
    except GeneratorExit:
        # What was asked has been cancelled, and the association can end in order.
        await association.release()
        raise
    except BaseException:
        association.abort()
        raise
    await association.release()
