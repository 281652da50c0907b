"""`hilum serve`: starts the database and the workers, keeps them running, and stops them in order.

The supervisor serves nothing itself. A worker or a PostgreSQL that dies is started again; SIGTERM lets the workers
finish what they are receiving before anything stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.app.bootstrap import FirstStart, prepare_archive
from hilum.app.database import Database
from hilum.app.launch import LaunchOrder, port_of, reserve_port
from hilum.app.settings import Settings
from hilum.app.tls import check_tls
from hilum.kernel.errors import HilumError, Unavailable
from hilum.observe.logs import get_logger
from hilum.observe.metrics import forget_process

_log = get_logger("supervisor")

_START_TIMEOUT_S = 60.0
_WATCH_INTERVAL_S = 0.5
_LONGEST_DELAY_S = 10.0


@dataclass(frozen=True, slots=True)
class Serving:
    """Told once everything accepts connections."""

    http_host: str
    http_port: int
    dicom_host: str
    dicom_port: int | None
    dicom_tls_port: int | None
    ae_title: str


class Supervisor:
    """One running Hilum: the database, N workers, and the will to keep them."""

    def __init__(
        self,
        settings: Settings,
        *,
        announce: Callable[[Serving], None],
        announce_first_start: Callable[[FirstStart], None],
        with_samples: bool = False,
    ) -> None:
        self._settings = settings
        self._announce = announce
        self._announce_first_start = announce_first_start
        self._with_samples = with_samples
        self._metrics = settings.data_directory / "run" / "metrics"
        self._stop = asyncio.Event()
        self._workers: dict[int, Process] = {}
        self._waiting: dict[int, Process] = {}
        self._companions: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            Unavailable: a port is taken, the database does not start, or workers die before they serve.
            InvalidInput: the data folder or a file of the TLS settings cannot be used.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        settings = self._settings
        check_tls(settings)
        with contextlib.ExitStack() as ports:
            http = port_of(ports.enter_context(reserve_port(settings.http.host, settings.http.port)))
            plain = tls = None
            if settings.dicom.plain:
                plain = port_of(ports.enter_context(reserve_port(settings.dicom_host, settings.dicom.port)))
            if settings.dicom.tls.enabled:
                tls = port_of(ports.enter_context(reserve_port(settings.dicom_host, settings.dicom.tls.port)))
            await asyncio.to_thread(_empty_folder, self._metrics)
            try:
                # Workers load while the database starts, and wait for their orders.
                for worker in range(settings.workers):
                    await self._spawn(worker)
                async with Database(settings) as database:
                    first_start = await prepare_archive(settings, database)
                    if first_start is not None:
                        self._announce_first_start(first_start)
                    orders = [
                        LaunchOrder(
                            settings=settings,
                            database=database.serving.to_json(),
                            http_port=http,
                            dicom_port=plain,
                            dicom_tls_port=tls,
                            worker=worker,
                        )
                        for worker in range(settings.workers)
                    ]
                    try:
                        await self._serve(orders, database)
                    finally:
                        await self._stop_all()
            finally:
                await self._stop_all()

    async def _serve(self, orders: list[LaunchOrder], database: Database) -> None:
        first = orders[0]
        await self._start_all(orders)
        self._announce(
            Serving(
                http_host=first.settings.http.host,
                http_port=first.http_port,
                dicom_host=first.settings.dicom_host,
                dicom_port=first.dicom_port,
                dicom_tls_port=first.dicom_tls_port,
                ae_title=first.settings.dicom.ae_title,
            )
        )
        await self._watch(orders, database)

    async def _start_all(self, orders: list[LaunchOrder]) -> None:
        starting: asyncio.Future[Any] = asyncio.gather(*(self._start(order) for order in orders))
        stopping: asyncio.Future[Any] = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            starting.result()
        else:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)

    async def _spawn(self, worker: int) -> Process:
        """Let a worker's process begin; it does nothing until it has its order, and ends when that never comes."""
        environment = _environment() | {"PROMETHEUS_MULTIPROC_DIR": str(self._metrics)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hilum.app.worker", stdin=PIPE, stdout=PIPE, env=environment,
            start_new_session=True,
        )  # fmt: skip
        self._workers[worker] = self._waiting[worker] = process
        return process

    async def _start(self, order: LaunchOrder) -> None:
        process = self._waiting.pop(order.worker, None)
        if process is None or process.returncode is not None:
            process = await self._spawn(order.worker)
            del self._waiting[order.worker]
        if process.stdin is None or process.stdout is None:
            raise Unavailable("a worker has no pipes", code="worker-start")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(order.to_line())
            await process.stdin.drain()
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if line != b"ready\n":
            raise Unavailable("a worker ended before it served; the log above says why", code="worker-start")
        _log.info("worker ready", worker=order.worker, pid=process.pid)

    async def _watch(self, orders: list[LaunchOrder], database: Database) -> None:
        """Start again what ends, until told to stop; each failure in a row waits longer."""
        if self._with_samples:
            self._accompany(self._store_samples())
        for order in orders:
            self._accompany(self._keep_worker(order))
        self._accompany(self._keep_database(database))
        await self._stop.wait()
        for task in self._companions:
            task.cancel()
        await asyncio.gather(*self._companions, return_exceptions=True)

    def _accompany(self, work: Coroutine[Any, Any, None]) -> None:
        self._companions.add(asyncio.create_task(work))

    async def _keep_worker(self, order: LaunchOrder) -> None:
        delay_s = 0.1
        while True:
            process = self._workers[order.worker]
            exit_code = await process.wait()
            forget_process(process.pid, str(self._metrics))
            if self._stop.is_set():
                return
            _log.error("worker ended; starting it again", worker=order.worker, pid=process.pid, exit_code=exit_code)
            await asyncio.sleep(delay_s)
            try:
                await self._start(order)
                delay_s = 0.1
            except (HilumError, OSError) as error:  # OSError: the machine has no process or memory to spare
                delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
                _log.error("worker does not start", exc=error, worker=order.worker, delay_s=delay_s)
                with contextlib.suppress(ProcessLookupError):
                    self._workers[order.worker].kill()

    async def _keep_database(self, database: Database) -> None:
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if await database.is_alive():
                continue
            _log.error("PostgreSQL ended; starting it again")
            try:
                await database.restart()
            except HilumError as error:
                _log.error("PostgreSQL does not start", exc=error)
                await asyncio.sleep(2.0)

    async def _store_samples(self) -> None:
        """Let a companion process make the sample studies, so that serving does not wait for them."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hilum", "demo", "--if-empty", "--data", str(self._settings.data_directory),
            stdout=sys.stderr.fileno(), env=_environment(),
        )  # fmt: skip
        try:
            await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise

    async def _stop_all(self) -> None:
        running = [process for process in self._workers.values() if process.returncode is None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if not running:
            return
        _, late = await asyncio.wait(
            [asyncio.create_task(process.wait()) for process in running], timeout=self._settings.drain_s + 5.0
        )
        if late:
            _log.warning("workers did not stop in time", count=len(late))
            for process in running:
                if process.returncode is None:
                    process.kill()
            await asyncio.wait(late)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "HILUM_ADMIN_PASSWORD"}


def _empty_folder(folder: Path) -> None:
    """Make way for this run's counters: those of an earlier run would be summed with them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
