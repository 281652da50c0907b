"""Stored instances to remote application entities: the archive's `InstanceSender`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from hilum.archive.model import StoredInstance
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.archive.sending import InstanceSent, InstanceSource, MoveOriginator, SendState, Transcoder, Turns, never
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.dimse.messages import Priority
from hilum.kernel.errors import HilumError
from hilum.kernel.files import Content
from hilum.scu.contexts import InstanceKind
from hilum.scu.remote import Dial
from hilum.scu.storage import always, send_instances

# What every application entity has to take (PS3.5 §10), the richer one first.
_FALLBACKS = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


class StoredDataSets(Protocol):
    """What sending needs of retrieval."""

    async def data_set(self, instance: StoredInstance) -> Content:
        """Return the stored data set, of even length."""
        ...


@dataclass(frozen=True, slots=True)
class StoredOutgoing:
    """A stored instance on its way out."""

    instance: StoredInstance
    kind: InstanceKind
    stored: StoredDataSets
    transcoder: Transcoder | None

    @property
    def sop_class_uid(self) -> str:
        """Its SOP class."""
        return self.instance.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """Its own UID."""
        return self.instance.sop_instance_uid

    async def data_set(self, transfer_syntax_uid: str) -> Content:
        """Return the stored bytes, in their file or streamed when they are many, or those the transcoder makes of them.

        Raises:
            Unsupported, CorruptData: they cannot be had in this syntax.
            HilumError: they cannot be read.
        """
        if transfer_syntax_uid == self.instance.transfer_syntax_uid:
            return await self.stored.data_set(self.instance)
        # Only what the transcoder can is proposed.
        assert self.transcoder is not None
        return await self.transcoder.data_set(self.instance, transfer_syntax_uid)


class RemoteSender:
    """Sends what is stored, by C-STORE, to remotes of the registry.

    Args:
        stored: gives the bytes.
        dial: how a remote is reached.
        transcoder: makes other syntaxes of what a remote does not take as it is; without one that is refused.
        turns: keep to the associations a remote takes, with whoever else sends; without them only each call does.
    """

    def __init__(
        self, stored: StoredDataSets, dial: Dial, transcoder: Transcoder | None = None, turns: Turns | None = None
    ) -> None:
        self._stored = stored
        self._dial = dial
        self._transcoder = transcoder
        self._turns = turns

    def giving(self, source: InstanceSource) -> RemoteSender:
        """Return what sends instances that the source gives, in turn with this one."""
        return RemoteSender(source, self._dial, source, self._turns)

    async def send(
        self,
        remote: RemoteAe,
        instances: Sequence[StoredInstance],
        *,
        calling_ae_title: str,
        originator: MoveOriginator | None = None,
        priority: int = Priority.MEDIUM,
        transfer_syntax_uid: str | None = None,
        associations: int | None = None,
        max_bytes_per_s: float | None = None,
        is_stopped: Callable[[], bool] = never,
    ) -> AsyncGenerator[InstanceSent, None]:
        """Yield what became of each instance. See `archive.sending.InstanceSender`.

        Reference: PS3.4 Annex B
        """
        wanted = ((transfer_syntax_uid,) if transfer_syntax_uid else ()) + remote.transfer_syntaxes
        outgoing = [
            StoredOutgoing(each, self._kind(each, wanted, transfer_syntax_uid), self._stored, self._transcoder)
            for each in instances
        ]
        try:
            where = self._dial(remote, DimseUse.STORE)
        except HilumError as error:
            for each in instances:
                yield InstanceSent(each, SendState.FAILED, reason=error.message)
            return
        results = send_instances(
            outgoing,
            where,
            calling_ae_title=calling_ae_title,
            associations=min(associations or remote.max_associations, remote.max_associations),
            originator=originator,
            priority=priority,
            max_bytes_per_s=max_bytes_per_s,
            is_stopped=is_stopped,
            turn=always if self._turns is None else partial(self._turns.wait, remote),
        )
        async with contextlib.aclosing(results):
            async for result in results:
                yield InstanceSent(result.instance.instance, result.state, result.status, result.reason)

    def _kind(self, instance: StoredInstance, wanted: tuple[str, ...], asked: str | None) -> InstanceKind:
        """Return the syntaxes to offer an instance in, best first.

        As it is stored comes first, unless another was asked for or the remote has wishes and this is none of them.
        """
        stored = instance.transfer_syntax_uid
        if asked in (None, stored) and (not wanted or stored in wanted):
            wanted = (stored, *wanted)
        syntaxes = dict.fromkeys((*wanted, stored, *_FALLBACKS))
        possible = tuple(each for each in syntaxes if each == stored or self._can(stored, each))
        return InstanceKind(instance.sop_class_uid, possible)

    def _can(self, stored: str, target: str) -> bool:
        return self._transcoder is not None and self._transcoder.can(stored, target)
