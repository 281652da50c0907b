"""What the services need from the world: an index, a blob store, accounts. Adapters implement these protocols."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from hilum.archive.model import (
    DicomJson,
    DuplicatePolicy,
    IngestOutcome,
    InstanceDraft,
    Principal,
    Role,
    SeriesMetadata,
    StoredInstance,
    Tenant,
)
from hilum.archive.remotes import RemoteAe
from hilum.kernel.files import OpenFile

if TYPE_CHECKING:  # what queries match by is large, and not for those who only sign in
    from hilum.archive.query import InstanceSelection, Query


class InstanceIndex(Protocol):
    """The database of what is there. Every call is about one tenant and sees nothing of another.

    All methods raise Unavailable when the database does not answer.
    """

    def prepare(self, draft: InstanceDraft) -> InstanceDraft:
        """Return the draft with all that can be worked out before its bytes are durable, to be given to `ingest`."""
        ...

    async def ingest(
        self, tenant_id: int, drafts: Sequence[InstanceDraft], policy: DuplicatePolicy
    ) -> list[IngestOutcome]:
        """Write the rows of all drafts in one transaction; once it returns they are durable and visible.

        The outcomes stand in the order of the drafts. Two drafts of one batch may carry the same SOP Instance UID.
        """
        ...

    def search(self, tenant_id: int, query: Query) -> AsyncIterator[DicomJson]:
        """Yield the matching entities as DICOM JSON, in the query's order, from a cursor (flat memory)."""
        ...

    def search_batches(self, tenant_id: int, query: Query) -> AsyncGenerator[list[DicomJson]]:
        """Yield the same in lists of at most `limits.FIND_BATCH_RESULTS`; closing the iterator ends the search."""
        ...

    async def count(self, tenant_id: int, query: Query) -> int:
        """Return how many entities match, whatever limit and offset say."""
        ...

    async def unsupported_matches(self, query: Query) -> list[str]:
        """Return the dotted tag paths of matching keys this index cannot match at the query's level."""
        ...

    async def find_instances(
        self,
        tenant_id: int,
        study_instance_uid: str,
        series_instance_uid: str | None = None,
        sop_instance_uid: str | None = None,
        *,
        with_frame_index: bool = False,
    ) -> list[StoredInstance]:
        """Return current instances ordered by series number, instance number, UID; [] when there are none."""
        ...

    async def select_instances(self, tenant_id: int, selection: InstanceSelection, limit: int) -> list[StoredInstance]:
        """Return the current instances of a selection, no more than `limit`, study by study in the order of reading.

        Those larger than `limits.RETRIEVE_READ_AHEAD_BYTES` come with their frame index, by which they can be converted
        piece by piece.
        """
        ...

    async def read_attributes(self, tenant_id: int, instance_keys: Sequence[int]) -> list[bytes]:
        """Return the instances' attributes as DICOM JSON text in the order of the keys."""
        ...

    async def series_stamp(self, tenant_id: int, study_instance_uid: str, series_instance_uid: str) -> str | None:
        """Return a value that changes whenever the series' set of current instances changes; None: no such series."""
        ...

    async def read_series_metadata(
        self, tenant_id: int, study_instance_uid: str, series_instance_uid: str
    ) -> SeriesMetadata | None:
        """Return the ready-made metadata when there is one and its stamp still holds."""
        ...

    async def write_series_metadata(
        self, tenant_id: int, study_instance_uid: str, series_instance_uid: str, metadata: SeriesMetadata
    ) -> None:
        """Keep ready-made metadata for the series, in place of any earlier one."""
        ...

    async def known_blob_keys(self, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that an instance version of any tenant points to (for start-up repair)."""
        ...


class BlobStore(Protocol):
    """Durable bytes by key. Keys are ours (hexadecimal words and slashes), never made from a peer's text.

    All methods raise Unavailable when the store does not answer, NotFound for a key that is not there.
    """

    def put(self, key: str, parts: Sequence[bytes | bytearray | memoryview]) -> Awaitable[None]:
        """Keep the concatenated parts under a new key; durable once the awaitable returns. Work may begin at once."""
        ...

    async def put_file(self, key: str, path: str) -> None:
        """Keep a staged file's content under a new key; durable once it returns. The file may be gone afterwards."""
        ...

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `offset`, or all to the end."""
        ...

    async def read_many(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of each (offset, length)."""
        ...

    def stream(self, key: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks of about a mebibyte, flat in memory."""
        ...

    async def open_files(self, keys: Sequence[str]) -> Sequence[OpenFile] | None:
        """Return blobs as open files, which the caller closes; None from a store that has none to give now."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the blob; a key that is not there is no error."""
        ...


@dataclass(frozen=True, slots=True)
class User:
    """An account. `password_hash` is an encoded argon2id hash, or None for accounts that only use tokens."""

    user_id: int
    name: str
    tenant: Tenant
    roles: frozenset[Role]
    password_hash: str | None
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token as listed: never its secret."""

    token_id: int
    name: str
    user_name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class TenantSummary:
    """A tenant as listed: the AE titles it answers to and how many accounts it has."""

    tenant: Tenant
    ae_titles: tuple[str, ...]
    user_count: int


class Accounts(Protocol):
    """Tenants, their AE titles, users, bearer tokens and sessions. Secrets come in as SHA-256 digests only."""

    async def default_tenant(self) -> Tenant:
        """Return the tenant that a fresh installation has."""
        ...

    async def find_tenant(self, name: str) -> Tenant | None:
        """Return the tenant of that name, or None."""
        ...

    async def add_tenant(self, name: str) -> Tenant:
        """Make a tenant. Raises Conflict when the name is taken."""
        ...

    async def list_tenants(self) -> list[TenantSummary]:
        """Return all tenants, oldest first."""
        ...

    async def tenant_of_ae_title(self, called_ae_title: str) -> Tenant | None:
        """Return the tenant that answers to this AE title, or None."""
        ...

    async def assign_ae_title(self, ae_title: str, tenant_id: int) -> None:
        """Let the tenant answer to the AE title. Raises Conflict when another tenant does."""
        ...

    async def count_users(self) -> int:
        """Return how many accounts exist in all tenants."""
        ...

    async def find_user(self, name: str) -> User | None:
        """Return the account of that name, or None. Names are compared without case."""
        ...

    async def create_user(self, name: str, tenant_id: int, roles: frozenset[Role], password_hash: str | None) -> User:
        """Create an account. Raises Conflict when the name is taken."""
        ...

    async def set_password_hash(self, user_id: int, password_hash: str) -> None:
        """Change the password; all sessions of the user end."""
        ...

    async def create_session(self, user_id: int, secret_digest: bytes, expires_at: datetime) -> None:
        """Open a session known by the digest of its cookie."""
        ...

    async def principal_of_session(self, secret_digest: bytes, now: datetime) -> Principal | None:
        """Return whose live session this is, or None."""
        ...

    async def end_session(self, secret_digest: bytes) -> None:
        """End the session; unknown digests are no error."""
        ...

    async def create_token(self, user_id: int, name: str, secret_digest: bytes, expires_at: datetime | None) -> Token:
        """Register a bearer token."""
        ...

    async def principal_of_token(self, secret_digest: bytes, now: datetime) -> Principal | None:
        """Return whose live token this is, or None; notes the time of use (to the minute)."""
        ...

    async def list_tokens(self) -> list[Token]:
        """Return all tokens, newest first."""
        ...

    async def revoke_token(self, token_id: int) -> bool:
        """Remove a token; False when there is none of that id."""
        ...


class Remotes(Protocol):
    """The registry of remote application entities. All methods raise Unavailable when it does not answer."""

    async def find(self, tenant_id: int, ae_title: str) -> RemoteAe | None:
        """Return the application entity of that title, or None."""
        ...

    async def list(self, tenant_id: int) -> Sequence[RemoteAe]:
        """Return all, by AE title."""
        ...

    async def save(self, remote: RemoteAe) -> RemoteAe:
        """Keep a new entry (its `remote_id` is 0) or the changed one of that id, and return it as kept.

        Raises Conflict when another entry has the AE title, NotFound when the entry of that id is gone.
        """
        ...

    async def remove(self, tenant_id: int, ae_title: str) -> bool:
        """Remove the entry of that title; False when there is none."""
        ...


class Notices(Protocol):
    """What other processes tell of what they change."""

    @property
    def is_listening(self) -> bool:
        """Whether every notice arrives now; while not, nothing that they would correct may be remembered."""
        ...

    def subscribe(self, topic: str, note: Callable[[str | None], None]) -> None:
        """Let `note` be called with the text of each notice on the topic, and None when some may have been missed."""
        ...
