"""`hilum move` and `hilum get`: a remote archive gives back what it has, to somebody else or to us."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from hilum.app.folder import FolderStore
from hilum.app.loop import run
from hilum.app.remotes import resolve_remote
from hilum.app.retrieval import pull
from hilum.archive.pulling import RetrieveProgress, Wanted, Way
from hilum.archive.remotes import DimseUse
from hilum.cli.archive import opened
from hilum.cli.options import ConfigOption, DataOption, progress_bar, settings_from
from hilum.cli.verification import CallingOption
from hilum.dicom.query_keys import identifier_of
from hilum.kernel.errors import InvalidInput
from hilum.scu.remote import check_ae_title
from hilum.scu.retrieval import move as move_instances

StudyOption = Annotated[str, Parameter(help="Study Instance UID.")]
SeriesOption = Annotated[str | None, Parameter(help="Series Instance UID, for one series of the study.")]
InstanceOption = Annotated[str | None, Parameter(help="SOP Instance UID, for one instance of the series.")]


def move(
    remote: str,
    /,
    *,
    to: Annotated[str, Parameter(help="AE title to send to; the remote has to know it.")],
    study: StudyOption,
    series: SeriesOption = None,
    instance: InstanceOption = None,
    calling: CallingOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Let a remote archive send a study to an AE title (C-MOVE): a registered AE title, or AE_TITLE@host:port.

    The exit code is 1 when something was not sent.
    """
    settings = settings_from(config, data=str(data) if data else None)
    wanted = _wanted(study, series, instance)
    destination = check_ae_title(to)

    async def work() -> RetrieveProgress:
        who = await resolve_remote(settings, remote, DimseUse.RETRIEVE)
        return await _watch(
            "moving",
            move_instances(
                who,
                identifier_of(wanted.keys),
                destination=destination,
                calling_ae_title=calling or settings.dicom.ae_title,
                level=wanted.level,
            ),
        )

    return _tell(run(work()), f"sent to {destination} by {remote}")


def get(
    remote: str,
    /,
    *,
    study: StudyOption,
    series: SeriesOption = None,
    instance: InstanceOption = None,
    folder: Annotated[Path | None, Parameter(help="Write files into this folder instead of the archive.")] = None,
    way: Annotated[
        Way, Parameter(help="By C-GET, or by C-MOVE to ourselves while `hilum serve` runs; auto tries C-GET first.")
    ] = Way.AUTO,
    calling: CallingOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Bring a study in from a remote archive: a registered AE title, or AE_TITLE@host:port.

    The exit code is 1 when something did not come.
    """
    settings = settings_from(config, data=str(data) if data else None)
    wanted = _wanted(study, series, instance)
    own_ae_title = calling or settings.dicom.ae_title
    if folder is not None and way is Way.MOVE:
        raise InvalidInput("what comes by C-MOVE goes into the archive: leave out --folder", code="usage")

    async def work() -> RetrieveProgress:
        who = await resolve_remote(settings, remote, DimseUse.RETRIEVE)
        if folder is not None:
            into_folder = FolderStore(folder)
            return await _watch(
                "getting", pull(who, wanted, into_folder, tenant_id=0, own_ae_title=own_ae_title, way=Way.GET)
            )
        async with opened(settings) as archive:
            return await _watch(
                "getting",
                pull(
                    who, wanted, archive.store, tenant_id=archive.tenant.tenant_id,
                    own_ae_title=own_ae_title, way=way,
                ),
            )  # fmt: skip

    return _tell(run(work()), f"received from {remote}")


def _wanted(study: str, series: str | None, instance: str | None) -> Wanted:
    if instance is not None and series is None:
        raise InvalidInput("--instance needs --series", code="usage")
    return Wanted(study, series, instance)


async def _watch(title: str, progress: AsyncGenerator[RetrieveProgress, None]) -> RetrieveProgress:
    """Show a bar while a retrieval goes on, and return how it ended."""
    last = RetrieveProgress()
    with progress_bar() as bar:
        task = bar.add_task(title, total=None, rate="")
        async with contextlib.aclosing(progress):
            async for last in progress:
                done = last.completed + last.failed + last.warning
                bar.update(task, completed=done, total=None if last.remaining is None else done + last.remaining)
    return last


def _tell(last: RetrieveProgress, what: str) -> int:
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"{last.completed + last.warning:,} {what}", markup=False)
    if last.warning:
        out.print(f"  {last.warning:,} of these with a warning", markup=False)
    if last.failed:
        out.print(f"  {last.failed:,} failed", markup=False)
    for uid in last.failed_instances:
        out.print(f"  failed  {uid}", markup=False)
    return 1 if last.failed else 0
