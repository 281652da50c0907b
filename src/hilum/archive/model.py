"""Who owns instances, where they came from, and what the archive knows of each one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # the reader of headers is large, and not for those who only name what was read
    from hilum.dicom.header import Header

DicomJson: TypeAlias = dict[str, Any]
"""One data set in the DICOM JSON model (PS3.18 §F.2): eight-digit tag to {"vr", "Value" | ...}."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One party whose patients no other party sees."""

    tenant_id: int
    name: str


class Role(StrEnum):
    """What a user may do within a tenant. Each role includes the ones named before it."""

    READER = "reader"
    CONTRIBUTOR = "contributor"
    ADMINISTRATOR = "administrator"


class Permission(StrEnum):
    """An act a door asks for."""

    READ = "read"
    STORE = "store"
    DELETE = "delete"
    ADMINISTER = "administer"


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone who has proved who they are: a person or a program."""

    user_id: int
    name: str
    tenant: Tenant
    roles: frozenset[Role]


class OriginKind(StrEnum):
    """The door by which an instance entered."""

    DIMSE = "dimse"
    STOW = "stow"
    IMPORT = "import"
    DEMO = "demo"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an instance came from. AE titles are without padding; `peer` is an address without port."""

    kind: OriginKind
    calling_ae_title: str | None = None
    called_ae_title: str | None = None
    peer: str | None = None
    user_name: str | None = None


@dataclass(frozen=True, slots=True)
class BlobRef:
    """Where an instance's Part 10 file lies: `size_bytes` in all, the data set beginning at `data_set_offset`."""

    key: str
    size_bytes: int
    data_set_offset: int


@dataclass(frozen=True, slots=True)
class InstanceDraft:
    """An instance whose bytes are durable and whose index rows are not yet written.

    `digest` is the BLAKE3 digest of the data set as received, without file meta information.
    """

    header: Header
    blob: BlobRef
    digest: bytes
    origin: Origin
    received_at: datetime


class IngestStatus(StrEnum):
    """What became of a draft."""

    STORED = "stored"
    """A new instance."""
    IDENTICAL = "identical"
    """The same bytes were there already; nothing changed and the draft's blob is superfluous."""
    REPLACED = "replaced"
    """Other content was there; it is kept as an earlier version, this is now the current one."""
    REFUSED = "refused"
    """Other content was there and stays (policy `keep`); the draft's blob is superfluous."""


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """The index's answer for one draft. `patient_differs`: the study is there under another patient's identity."""

    status: IngestStatus
    patient_differs: bool = False


class DuplicatePolicy(StrEnum):
    """What happens to other content under a SOP Instance UID that is there already."""

    REPLACE = "replace"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """What retrieval needs to know of one instance; `frame_index` is `FrameIndex.to_bytes()` or None without pixels.

    `data_set_size_bytes` is `size_bytes - data_set_offset`; offsets of frames and bulk data count from the data set.
    """

    instance_key: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    blob: BlobRef
    frame_count: int
    has_bulk_data: bool
    frame_index: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SeriesMetadata:
    """The ready-made metadata answer of one series: a gzip-compressed JSON array of its instances' attributes.

    `stamp` tells whether it is still true: it equals the index's stamp of the series at the time it was made.
    `has_placeholders`: bulk data references in it begin with the placeholder and must be completed by the door.
    """

    gzip_json: bytes
    stamp: str
    has_placeholders: bool
