"""One worker's share of telling subscribers of workitem events."""

from __future__ import annotations

from hilum.app.archive import Archive
from hilum.app.remotes import dial_with
from hilum.app.settings import Settings
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import HilumError
from hilum.observe.logs import get_logger
from hilum.scp.workitem_subscribers import PresentSubscribers
from hilum.scu.workitem_events import WorkitemEventSender
from hilum.services.workitem_events import WorkitemEventDelivery

_log = get_logger("workitems")


async def start_workitem_events(
    settings: Settings, archive: Archive, present: PresentSubscribers, *, is_first: bool
) -> WorkitemEventDelivery:
    """Deliver events to subscribers that are here, and to those that listen elsewhere; `close` stops it.

    The first worker of an installation tells all subscribers that the service is there again.
    """
    sender = WorkitemEventSender(present.find, archive.remotes, dial_with(settings), settings.dicom.ae_title)
    delivery = WorkitemEventDelivery(archive.workitem_store, sender, archive.notices, SystemClock())
    present.on_arrival = delivery.wake
    if is_first:
        try:
            await archive.workitems.announce_restart()
        except HilumError as error:
            _log.warning("subscribers are not told of the restart", exc=error)
    delivery.start()
    return delivery
