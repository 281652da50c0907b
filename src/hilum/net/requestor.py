"""Calling: from a host and port to an association."""

from __future__ import annotations

import asyncio
import ssl

from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import ASSOCIATE_TIMEOUT_S, CONNECT_TIMEOUT_S, KIB
from hilum.net.association import Association, MessageHandler
from hilum.net.connection import Connection, ReceiveBuffer, Timeouts
from hilum.net.reports import Observer, observe_nothing
from hilum.ul.core import Role
from hilum.ul.primitives import AssociateRequest

# Responses are small, and a requestor may hold many associations.
_RECEIVE_BYTES = 64 * KIB


async def open_association(
    host: str,
    port: int,
    request: AssociateRequest,
    handler: MessageHandler,
    *,
    tls: ssl.SSLContext | None = None,
    timeouts: Timeouts | None = None,
    observer: Observer = observe_nothing,
) -> Association:
    """Return an association the peer has accepted; whether it accepted any context stands in its `contexts`.

    Raises:
        Unavailable: nobody listens there, TLS does not come about, the peer does not answer in time or rejects for the
            moment.
        Forbidden: the peer rejects for good; the fact `reason` says why.
        RemoteProtocolError: what answers there is no DICOM application, or breaks the protocol.

    Reference: PS3.8 §7.1
    """
    association = Association(Role.REQUESTOR, observer)
    connection = Connection(Role.REQUESTOR, association, ReceiveBuffer(_RECEIVE_BYTES), timeouts or Timeouts())
    association.attach(connection)
    where = f"{host} port {port}"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.get_running_loop().create_connection(
                lambda: connection, host, port, ssl=tls, server_hostname=host if tls else None
            )
    except TimeoutError as error:
        raise Unavailable(f"{where} does not answer", code="connect", host=host, port=port) from error
    except ssl.SSLCertVerificationError as error:
        why = getattr(error, "verify_message", "") or error.args[-1]
        raise Unavailable(
            f"the certificate of {where} is not believed: {why}", code="tls-certificate", host=host, port=port
        ) from error
    except ssl.SSLError as error:
        raise Unavailable(f"no TLS with {where}: {error.reason or error}", code="tls", host=host, port=port) from error
    except OSError as error:
        raise Unavailable(f"cannot connect to {where}", code="connect", host=host, port=port) from error
    try:
        async with asyncio.timeout(ASSOCIATE_TIMEOUT_S):
            await association.open(request, handler)
    except TimeoutError as error:
        late = Unavailable(f"{where} does not answer the association request", code="associate-timeout")
        association.abort(late)
        connection.close()
        raise late from error
    except BaseException:
        connection.close()
        raise
    return association
