"""A PostgreSQL of the test run's own, and rows to put into it."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from hilum.archive.model import BlobRef, DicomJson, InstanceDraft, Origin, OriginKind
from hilum.dicom.dictionary import tag_of, vr_of
from hilum.dicom.header import Header
from hilum.index.address import DatabaseAddress
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.migrate import migrate

_numbers = itertools.count(1)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that the server's user may enter, also when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="hilum-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def migrated_server() -> Iterator[EmbeddedPostgres]:
    """An embedded server with the schema in it."""
    with open_folder() as folder:
        server = EmbeddedPostgres(folder / "data")
        server.start()
        try:
            asyncio.run(migrate(server.owner_address()))
            yield server
        finally:
            server.stop()


async def new_tenant(address: DatabaseAddress) -> int:
    """Make a tenant for one test alone."""
    connection = await asyncpg.connect(**address.connect_arguments())
    try:
        name = f"tenant {next(_numbers)}"
        return int(await connection.fetchval("INSERT INTO tenant (name) VALUES ($1) RETURNING tenant_id", name))
    finally:
        await connection.close()


def attributes_of(values: Mapping[str, Any]) -> DicomJson:
    """Return DICOM JSON from keyword and value or values; names are text with `=` between the groups."""
    attributes: DicomJson = {}
    for keyword, value in values.items():
        tag = tag_of(keyword)
        vr = vr_of(tag)
        found = [_member(vr, member) for member in (value if isinstance(value, list) else [value])]
        attributes[tag] = {"vr": vr, "Value": found} if value not in (None, "") else {"vr": vr}
    return dict(sorted(attributes.items()))


def _member(vr: str, value: Any) -> Any:
    if vr == "SQ":
        return attributes_of(value)
    if vr == "PN":
        return dict(zip(("Alphabetic", "Ideographic", "Phonetic"), value.split("="), strict=False))
    return value


def draft(
    study: str = "1.2.1",
    series: str = "1.2.1.1",
    instance: str = "1.2.1.1.1",
    *,
    content: str = "",
    blob_key: str | None = None,
    **values: Any,
) -> InstanceDraft:
    """Return a draft of a small CT instance; `content` tells instances with one UID apart."""
    attributes = attributes_of(
        {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
            "SOPInstanceUID": instance,
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series,
            "PatientID": "P1",
            "PatientName": "Doe^Jane",
            "StudyDate": "20260102",
            "StudyTime": "101500",
            "Modality": "CT",
            "SeriesNumber": 1,
            "InstanceNumber": 1,
        }
        | values
    )
    digest = hashlib.sha256(f"{attributes} {content}".encode()).digest()
    return InstanceDraft(
        header=Header("1.2.840.10008.1.2.1", attributes, {}, None, ()),
        blob=BlobRef(blob_key or f"blobs/{next(_numbers):032x}", 1000, 300),
        digest=digest,
        origin=Origin(OriginKind.DIMSE, calling_ae_title="CT1", called_ae_title="HILUM", peer="127.0.0.1"),
        received_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
