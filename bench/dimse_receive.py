"""How fast the DIMSE and network part receives C-STORE when the store itself costs nothing.

A sender in a process of its own writes PDUs encoded beforehand over raw sockets, so that only the receiver is
measured. The store's sink copies each piece into memory, as the real one does, and drops it.

    python bench/dimse_receive.py --associations 1 --instances 2000 --size 524288 --pdu 131072
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import multiprocessing
import pstats
import resource
import socket
import threading
import time

import uvloop

from hilum.archive.model import Origin, Tenant
from hilum.dicom.uids import APPLICATION_CONTEXT, CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN
from hilum.dimse.fragments import fragment_command, fragment_data_set
from hilum.dimse.messages import CStoreRequest
from hilum.kernel.limits import MAX_ASSOCIATIONS, STAGING_MEMORY_BYTES
from hilum.net.acceptor import Acceptor
from hilum.net.association import Association
from hilum.scp.negotiation import ScpSettings
from hilum.scp.service import Admission, ArchiveScp
from hilum.scp.store import StorageService
from hilum.ul.codec import encode
from hilum.ul.primitives import (
    AssociateRequest,
    Buffer,
    ProposedContext,
    ReleaseRequest,
    UserInformation,
)


class DroppingIntake:
    """Copies what it gets into memory, and forgets it."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, data: Buffer) -> None:
        if len(self._content) < STAGING_MEMORY_BYTES:
            self._content += data

    async def commit(self) -> None:
        self._content = bytearray()

    async def discard(self) -> None:
        self._content = bytearray()


class DroppingStore:
    """A store whose instances vanish."""

    def begin(
        self, *, tenant_id: int, transfer_syntax_uid: str, origin: Origin, **expected: str | None
    ) -> DroppingIntake:
        return DroppingIntake()


async def tenant_of(_ae_title: str) -> Tenant:
    return Tenant(1, "bench")


async def admit(_tenant: Tenant, _request: AssociateRequest, _association: Association) -> Admission:
    return Admission()


def receive(ready: multiprocessing.connection.Connection, profile: bool) -> None:
    """Serve until told to stop; answer with the CPU seconds used."""

    async def serve() -> None:
        services = [StorageService(DroppingStore(), ScpSettings())]
        scp = ArchiveScp(services=services, tenant_of=tenant_of, admit=admit)
        acceptor = Acceptor(scp, max_associations=MAX_ASSOCIATIONS)
        await acceptor.listen("127.0.0.1", 0)
        before = resource.getrusage(resource.RUSAGE_SELF)
        ready.send(acceptor.addresses[0])
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        await asyncio.to_thread(ready.recv)
        if profile:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
        after = resource.getrusage(resource.RUSAGE_SELF)
        ready.send((after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, after.ru_maxrss))
        await acceptor.close(1.0)

    uvloop.run(serve())


def read_pdu(sock: socket.socket) -> bytes:
    header = sock.recv(6, socket.MSG_WAITALL)
    return header + sock.recv(int.from_bytes(header[2:], "big"), socket.MSG_WAITALL)


def send(address: tuple[str, int], instances: int, size: int, pdu: int) -> None:
    """Send instances one after the other, each after the response to the one before."""
    sock = socket.create_connection(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = AssociateRequest(
        "HILUM",
        "BENCH",
        APPLICATION_CONTEXT,
        (ProposedContext(1, CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,)),),
        UserInformation(16384, "1.2.3"),
    )
    sock.sendall(b"".join(encode(request)))
    assert read_pdu(sock)[0] == 2
    command = CStoreRequest(message_id=1, affected_sop_class_uid=CT_IMAGE_STORAGE, affected_sop_instance_uid="1.2.3.4")
    fragments = [*fragment_command(1, command, pdu), *fragment_data_set(1, bytes(size), pdu - 6, is_end=True)]
    message = b"".join(bytes(part) for each in fragments for part in encode(each))
    for _ in range(instances):
        sock.sendall(message)
        assert read_pdu(sock)[0] == 4
    sock.sendall(b"".join(encode(ReleaseRequest())))
    assert read_pdu(sock)[0] == 6
    sock.close()


def main() -> None:
    """Run one measurement and print it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--associations", type=int, default=1)
    arguments.add_argument("--instances", type=int, default=1000)
    arguments.add_argument("--size", type=int, default=512 * 1024)
    arguments.add_argument("--pdu", type=int, default=256 * 1024)
    arguments.add_argument("--profile", action="store_true")
    chosen = arguments.parse_args()
    here, there = multiprocessing.Pipe()
    receiver = multiprocessing.Process(target=receive, args=(there, chosen.profile), daemon=True)
    receiver.start()
    address = here.recv()
    share = chosen.instances // chosen.associations
    senders = [
        threading.Thread(target=send, args=(address, share, chosen.size, chosen.pdu))
        for _ in range(chosen.associations)
    ]
    began = time.perf_counter()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    elapsed = time.perf_counter() - began
    here.send(None)
    user, system, peak_kib = here.recv()
    count = share * chosen.associations
    print(
        f"{count / elapsed:8.0f} instances/s  {count * chosen.size / elapsed / 1e6:7.0f} MB/s  "
        f"receiver CPU per instance: {user / count * 1e3:.3f} ms user + {system / count * 1e3:.3f} ms system, "
        f"peak {peak_kib / 1024:.0f} MiB"
    )
    receiver.join()


if __name__ == "__main__":
    main()
