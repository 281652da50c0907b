"""Instances brought in from remotes: C-GET with the archive's own C-STORE behind it, or C-MOVE to ourselves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Final

from hilum.archive.model import DicomJson, Origin, OriginKind
from hilum.archive.pulling import RetrieveProgress, Wanted, Way
from hilum.archive.query import Level
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.dicom.dictionary import tag_of
from hilum.dicom.query_keys import identifier_of
from hilum.dimse.messages import CStoreRequest
from hilum.kernel.errors import NotFound, Unavailable, Unsupported
from hilum.kernel.limits import PROMPT_QUERY_SILENCE_S
from hilum.net.association import Association
from hilum.net.invocations import Invocations
from hilum.scp.calls import Call, Caller
from hilum.scp.store import InstanceStore, StoreOperation
from hilum.scu.answers import REMOTE_STATUS
from hilum.scu.incoming import COMMON_SOP_CLASSES, BeginIncoming, IncomingInstance
from hilum.scu.models import InformationModel
from hilum.scu.query import find
from hilum.scu.remote import Dial, Remote
from hilum.scu.retrieval import get, move
from hilum.scu.survey import sop_classes_of_study


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
                has_failed = False
                try:
                    async with contextlib.aclosing(progress):
                        async for each in progress:
                            has_failed = each.failed > 0
                            yield each
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


_COUNTS: Final = {Level.STUDY: "NumberOfStudyRelatedInstances", Level.SERIES: "NumberOfSeriesRelatedInstances"}


class RegisteredArchives:
    """Remotes of the registry as archives to ask and to bring in from: the `RemoteArchive` of services and console.

    Args:
        dial: how they are reached.
        store: where it goes to what they send.
        own_ae_title: who we say we are.
    """

    def __init__(self, dial: Dial, store: InstanceStore, own_ae_title: str) -> None:
        self._dial = dial
        self._store = store
        self._own_ae_title = own_ae_title

    def find(
        self,
        remote: RemoteAe,
        keys: DicomJson,
        *,
        level: Level = Level.STUDY,
        is_worklist: bool = False,
        is_fuzzy: bool = False,
        on_warning: Callable[[str], object] = lambda meaning: None,
    ) -> AsyncGenerator[DicomJson, None]:
        """Yield the matches of a query while somebody waits for them; see `scu.query.find`."""
        model = InformationModel.PATIENT if level is Level.PATIENT else InformationModel.STUDY
        return find(
            self._dial(remote, DimseUse.WORKLIST if is_worklist else DimseUse.QUERY),
            keys,
            calling_ae_title=self._own_ae_title,
            level=level,
            model=InformationModel.WORKLIST if is_worklist else model,
            is_fuzzy=is_fuzzy,
            silence_s=PROMPT_QUERY_SILENCE_S,
            on_warning=on_warning,
        )

    async def count_instances(self, remote: RemoteAe, wanted: Wanted) -> int | None:
        """Return how many instances the remote has of what is wanted. See `archive.pulling.RemoteArchive`."""
        count_key = _COUNTS.get(wanted.level, "SOPClassUID")
        matches = self.find(remote, identifier_of(wanted.keys, (count_key,)), level=wanted.level)
        async with contextlib.aclosing(matches):
            async for match in matches:
                if wanted.level is Level.INSTANCE:
                    return 1
                counts = match.get(tag_of(count_key), {}).get("Value") or [None]
                return counts[0] if isinstance(counts[0], int) else None
        raise NotFound("the remote has no such study, series or instance", code="no-instances")

    def pull(self, remote: RemoteAe, wanted: Wanted, way: Way) -> AsyncGenerator[RetrieveProgress, None]:
        """Yield how the remote gets on with giving us what is wanted. See `archive.pulling.RemoteArchive`."""
        return pull(
            self._dial(remote, DimseUse.RETRIEVE),
            wanted,
            self._store,
            tenant_id=remote.tenant_id,
            own_ae_title=self._own_ae_title,
            entry=remote,
            way=way,
        )
