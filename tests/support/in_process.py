"""A real archive with its DIMSE listener within the test's own process, and a tenant of the test's own."""

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hilum.app.archive import Archive, open_archive
from hilum.app.dimse_server import start_dimse
from hilum.app.settings import DicomSettings, Settings
from hilum.archive.model import Origin, OriginKind
from hilum.archive.remotes import RemoteAe
from hilum.dicom.part10 import read_file_meta
from hilum.index.embedded import EmbeddedPostgres
from hilum.net.acceptor import Acceptor
from support.database import new_tenant

_titles = itertools.count(1)
_ORIGIN = Origin(OriginKind.IMPORT)


def data_set_of(file: bytes) -> bytes:
    """Return the data set of a Part 10 file, with the padding an odd one has to have."""
    content = file[read_file_meta(file).data_set_offset :]
    return content + bytes(len(content) % 2)


@dataclass
class InProcessArchive:
    """Where it listens and what it stands on."""

    archive: Archive
    acceptor: Acceptor
    tenant_id: int
    ae_title: str

    @property
    def port(self) -> int:
        return self.acceptor.addresses[0][1]

    async def store(self, file: bytes) -> str:
        """Store a Part 10 file and return its SOP Instance UID."""
        meta = read_file_meta(file)
        intake = self.archive.store.begin(
            tenant_id=self.tenant_id, transfer_syntax_uid=meta.transfer_syntax_uid, origin=_ORIGIN
        )
        waiting = intake.write(memoryview(file)[meta.data_set_offset :])
        if waiting is not None:
            await waiting
        return (await intake.commit()).sop_instance_uid

    async def register(self, ae_title: str, port: int | None, **options: object) -> RemoteAe:
        """Register a remote on this machine."""
        entry: Mapping[str, object] = {"host": "127.0.0.1", "port": port, **options}
        return await self.archive.remotes.save(RemoteAe(0, self.tenant_id, ae_title, **entry))  # type: ignore[arg-type]


@asynccontextmanager
async def in_process_archive(database: EmbeddedPostgres, folder: Path) -> AsyncIterator[InProcessArchive]:
    """An archive with its files below the folder, listening on a free port of 127.0.0.1."""
    tenant_id = await new_tenant(database.app_address())
    ae_title = f"HILUM{next(_titles)}"
    settings = Settings(data=str(folder / "archive"), dicom=DicomSettings(ae_title=ae_title))
    async with open_archive(settings, database.app_address()) as archive:
        await archive.accounts.assign_ae_title(ae_title, tenant_id)
        acceptor = await start_dimse(settings, archive, socket.create_server(("127.0.0.1", 0)), None)
        try:
            yield InProcessArchive(archive, acceptor, tenant_id, ae_title)
        finally:
            await acceptor.close(5)
