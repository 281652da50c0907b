"""One worker process: the DIMSE and HTTP doors on one event loop, sharing the archive with the other workers.

Started by the supervisor with its order on standard input. Standard input stays open: its end means that the
supervisor is gone, and the worker drains and stops.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

from starlette.types import ASGIApp

from hilum.app.archive import Archive, open_archive
from hilum.app.dimse_server import start_dimse
from hilum.app.http import http_application
from hilum.app.http_server import HttpServer
from hilum.app.jobs import start_jobs
from hilum.app.launch import LaunchOrder, bind_socket
from hilum.app.loop import run
from hilum.app.remotes import echo_with
from hilum.app.workitems import start_workitem_events
from hilum.archive.model import Principal, Role
from hilum.console.api import ConsoleServices
from hilum.console.commitments import CommitmentServices
from hilum.console.remote_archives import RemoteArchiveServices
from hilum.console.remotes import RemoteServices
from hilum.console.worklist import WorklistServices
from hilum.dicomweb import DicomwebServices
from hilum.index.address import DatabaseAddress
from hilum.kernel.errors import HilumError
from hilum.observe.logs import configure_logs, get_logger
from hilum.scp.workitem_subscribers import PresentSubscribers

_log = get_logger("worker")


async def serve_until_told(order: LaunchOrder) -> None:
    """Serve as ordered until SIGTERM, or until the supervisor is gone; then finish what is under way.

    Raises:
        Unavailable: a port, the database or the storage cannot be used, or the HTTP listener ended by itself: the
            supervisor starts a worker anew.
    """
    settings = order.settings
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    watching = asyncio.create_task(_watch_supervisor(stop))
    address = DatabaseAddress.from_json(order.database)
    async with open_archive(settings, address) as archive:
        http_socket = bind_socket(settings.http.host, order.http_port, is_shared=True)
        plain, tls = (
            None if port is None else bind_socket(settings.dicom_host, port, is_shared=True)
            for port in (order.dicom_port, order.dicom_tls_port)
        )
        http = HttpServer(
            _application(order, archive), trusted_proxies=settings.http.trusted_proxies, drain_s=settings.drain_s
        )
        subscribers = PresentSubscribers()
        acceptor = await start_dimse(settings, archive, plain, tls, subscribers)
        jobs = await start_jobs(settings, archive, address, order.worker)
        events = await start_workitem_events(settings, archive, subscribers, is_first=order.worker == 0)
        try:
            await http.start([http_socket])
            # What is there now stays: the collector need not look at it again with every few thousand new objects.
            gc.collect()
            gc.freeze()
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await http.serve_until(stop)
            _log.info("stopping", worker=order.worker)
        finally:
            await asyncio.gather(
                http.stop(), acceptor.close(settings.drain_s), jobs.close(settings.drain_s), events.close()
            )
    watching.cancel()


def _application(order: LaunchOrder, archive: Archive) -> ASGIApp:
    settings = order.settings
    everyone = None
    if not settings.auth.enabled:
        everyone = Principal(0, "everyone", archive.tenant, frozenset({Role.ADMINISTRATOR}))

    async def is_ready() -> None:
        await archive.accounts.default_tenant()

    return http_application(
        console=ConsoleServices(
            identity=archive.identity,
            remotes=RemoteServices(archive.remotes, echo_with(settings)),
            remote_archives=RemoteArchiveServices(archive.remotes, archive.remote_archives.find, archive.pulling),
            worklist=WorklistServices(archive.worklist, archive.procedure_steps, archive.search),
            jobs=archive.jobs,
            forwarding=archive.forwarding,
            prefetch=archive.prefetch,
            commitments=CommitmentServices(
                archive.commitment, archive.remotes, archive.retrieve, settings.dicom.ae_title
            ),
            ae_title=settings.dicom.ae_title,
            dicom_port=order.dicom_port or order.dicom_tls_port or 0,
            session_seconds=int(settings.auth.session_hours * 3600),
        ),
        dicomweb=DicomwebServices(
            store=archive.store,
            retrieve=archive.retrieve,
            search=archive.search,
            render=archive.render,
            transcode=archive.transcode,
            workitems=archive.workitems,
        ),
        is_ready=is_ready,
        everyone=everyone,
        has_proxy=bool(settings.http.trusted_proxies),
        open_metrics=settings.http.open_metrics,
    )


async def _watch_supervisor(stop: asyncio.Event) -> None:
    """Set `stop` at the end of standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4096):
        pass
    stop.set()


def main() -> None:
    """Entry of the process."""
    line = sys.stdin.buffer.readline()
    if not line:
        return  # the supervisor has given up before it had an order
    order = LaunchOrder.from_line(line)
    configure_logs(level=order.settings.log.level, style=order.settings.log.style)
    try:
        run(serve_until_told(order))
    except HilumError as error:
        _log.error("worker cannot serve", exc=error, worker=order.worker)
        sys.exit(1)


if __name__ == "__main__":
    main()
