"""Instances brought in from remotes: C-GET with the archive's own C-STORE behind it, or C-MOVE to ourselves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum

from hilum.archive.model import Origin, OriginKind
from hilum.archive.query import Level
from hilum.archive.remotes import RemoteAe
from hilum.dicom.query_keys import identifier_of
from hilum.dimse.messages import CStoreRequest
from hilum.kernel.errors import Unavailable, Unsupported
from hilum.net.association import Association
from hilum.net.invocations import Invocations
from hilum.scp.calls import Call, Caller
from hilum.scp.store import InstanceStore, StoreOperation
from hilum.scu.answers import REMOTE_STATUS
from hilum.scu.incoming import COMMON_SOP_CLASSES, BeginIncoming, IncomingInstance
from hilum.scu.remote import Remote
from hilum.scu.retrieval import RetrieveProgress, get, move
from hilum.scu.survey import sop_classes_of_study


class Way(StrEnum):
    """How instances come."""

    AUTO = "auto"
    """By C-GET, or by C-MOVE from remotes that do not serve that."""
    GET = "get"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A study, one of its series, or one instance."""

    study_instance_uid: str
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None

    @property
    def level(self) -> Level:
        """What is named."""
        if self.sop_instance_uid is not None:
            return Level.INSTANCE
        return Level.STUDY if self.series_instance_uid is None else Level.SERIES

    @property
    def keys(self) -> dict[str, str]:
        """The unique keys."""
        keys = {
            "StudyInstanceUID": self.study_instance_uid,
            "SeriesInstanceUID": self.series_instance_uid,
            "SOPInstanceUID": self.sop_instance_uid,
        }
        return {key: uid for key, uid in keys.items() if uid is not None}


def taking_in(store: InstanceStore, caller: Caller) -> BeginIncoming:
    """Return what lets instances of a C-GET into a store, as if the remote had sent them by itself."""

    def begin(
        association: Association, context_id: int, request: CStoreRequest, invocations: Invocations
    ) -> IncomingInstance:
        return StoreOperation(Call(association, context_id, request, caller, invocations), request, store)

    return begin


async def pull(
    remote: Remote,
    wanted: Wanted,
    store: InstanceStore,
    *,
    tenant_id: int,
    own_ae_title: str,
    entry: RemoteAe | None = None,
    way: Way = Way.AUTO,
) -> AsyncGenerator[RetrieveProgress, None]:
    """Yield how the remote gets on with giving us what is wanted; closed early, it is cancelled.

    By C-GET, the SOP classes are asked for first, so that instances come as they are stored; when some fail, all is
    asked for once more with the commonest SOP classes proposed. What is there already is taken for what it is.

    Args:
        remote: whom to ask.
        wanted: what for.
        store: where it goes to; what comes by C-MOVE goes to whoever listens under `own_ae_title`.
        tenant_id: whose it will be.
        own_ae_title: who we say we are, and where the remote has to send to by C-MOVE.
        entry: the remote's entry in the registry.
        way: by which service.

    Raises:
        HilumError: as `scu.retrieval.get` and `move`.

    Reference: PS3.4 §C.4.2, §C.4.3
    """
    keys = identifier_of(wanted.keys)
    if way is not Way.MOVE:
        origin = Origin(OriginKind.DIMSE, remote.ae_title, own_ae_title, remote.host)
        begin = taking_in(store, Caller(tenant_id, origin, entry))
        known = await sop_classes_of_study(
            remote, wanted.study_instance_uid, wanted.series_instance_uid, calling_ae_title=own_ae_title
        )
        attempts = [known, COMMON_SOP_CLASSES] if known else [COMMON_SOP_CLASSES]
        try:
            while attempts:
                progress = get(
                    remote, keys, begin=begin, calling_ae_title=own_ae_title,
                    sop_class_uids=attempts.pop(0), level=wanted.level,
                )  # fmt: skip
                try:
                    async with contextlib.aclosing(progress):
                        async for each in progress:
                            yield each
                            has_failed = each.failed > 0
                    if not has_failed:
                        break
                except Unavailable as error:
                    if not attempts or error.reason_code != REMOTE_STATUS:
                        raise
        except Unsupported as error:
            if way is Way.GET or error.reason_code != "context-refused":
                raise
        else:
            return
    moved = move(remote, keys, destination=own_ae_title, calling_ae_title=own_ae_title, level=wanted.level)
    async with contextlib.aclosing(moved):
        async for each in moved:
            yield each
