"""`hilum import` and `hilum demo`: verbs that open the archive of a data folder, whether or not it is being served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from hilum.app.archive import Archive, open_archive
from hilum.app.bootstrap import prepare_archive, prepare_data_directory
from hilum.app.database import Database
from hilum.app.importing import ImportReport, import_sources
from hilum.app.loop import run
from hilum.app.settings import Settings
from hilum.app.sources import Source, Unreadable, find_sources
from hilum.archive.model import IngestStatus, Origin, OriginKind
from hilum.archive.query import Level, Query
from hilum.cli.options import ConfigOption, DataOption, TenantOption, progress_bar, settings_from
from hilum.kernel.errors import InvalidInput


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Archive]:
    """Yield the archive of the data folder, whether or not it is being served."""
    prepare_data_directory(settings)
    async with Database(settings) as database:
        first = await prepare_archive(settings, database)
        if first is not None and first.password is not None:
            Console(stderr=True, highlight=False).print(
                f"created the administrator {first.user_name!r} with the password {first.password}", markup=False
            )
        async with open_archive(settings, database.serving) as archive:
            yield archive


def import_(
    *paths: Path,
    data: DataOption = None,
    parallel: Annotated[int, Parameter(help="Files stored at a time.")] = 8,
    tenant: TenantOption = None,
    config: ConfigOption = None,
) -> int:
    """Store files, folders, ZIP archives and what DICOMDIRs name.

    Can be run again safely: what is there already is left as it is. The exit code is 1 when something was refused.
    """
    if not paths:
        raise InvalidInput("name at least one file or folder to import", code="usage")
    if not 1 <= parallel <= 64:
        raise InvalidInput("--parallel is a number from 1 to 64", code="usage")
    settings = settings_from(config, data=str(data) if data else None, tenant=tenant)

    async def work() -> ImportReport:
        sources = _look(list(paths))
        async with opened(settings) as archive:
            with progress_bar() as bar:
                task = bar.add_task("storing", total=len(sources), rate="")

                def show(report: ImportReport) -> None:
                    elapsed = bar.tasks[task].elapsed or 0.0
                    if elapsed > 0:
                        rate = (
                            f"{report.done_count / elapsed:,.0f} files/s {report.size_bytes / elapsed / 1e6:,.0f} MB/s"
                        )
                        bar.update(task, completed=report.done_count, rate=rate)

                return await import_sources(
                    archive.store, archive.tenant.tenant_id, iter(sources), Origin(OriginKind.IMPORT),
                    progress=show, parallel=parallel,
                )  # fmt: skip

    report = run(work())
    _tell(report)
    return 1 if report.refused_count else 0


def demo(
    *,
    data: DataOption = None,
    if_empty: Annotated[bool, Parameter(negative="", help="Do nothing when the archive holds studies.")] = False,
    small: Annotated[bool, Parameter(negative="", help="Few and small pictures, for a quick try.")] = False,
    config: ConfigOption = None,
) -> int:
    """Store sample studies of our own making: CT, MR, ultrasound, radiograph, mammogram, ECG, report and more."""
    # Making pictures takes large libraries, which the other verbs do without.
    from hilum.app.sampling import store_samples

    settings = settings_from(config, data=str(data) if data else None)

    async def work() -> ImportReport | None:
        async with opened(settings) as archive:
            tenant_id = archive.tenant.tenant_id
            if if_empty and await archive.index.count(tenant_id, Query(Level.STUDY)):
                return None
            with progress_bar() as bar:
                task = bar.add_task("sample studies", total=None, rate="")
                return await store_samples(
                    archive.store, tenant_id, small=small,
                    progress=lambda report: bar.update(task, completed=report.done_count),
                )  # fmt: skip

    report = run(work())
    if report is not None:
        _tell(report)
        return 1 if report.refused_count else 0
    return 0


def _look(paths: list[Path]) -> list[Source | Unreadable]:
    console = Console(stderr=True, highlight=False)
    with console.status("looking for files") as status:
        found: list[Source | Unreadable] = []
        for source in find_sources(paths):
            found.append(source)
            if len(found) % 500 == 0:
                status.update(f"looking for files: {len(found):,}")
    return found


def _tell(report: ImportReport) -> None:
    out = Console(highlight=False, soft_wrap=True)
    table = Table(show_header=False, box=None)
    words = {
        IngestStatus.STORED: "stored",
        IngestStatus.IDENTICAL: "there already",
        IngestStatus.REPLACED: "replaced other content (kept as an earlier version)",
        IngestStatus.REFUSED: "other content is there and stays",
    }
    for status, word in words.items():
        if report.by_status[status] or status is IngestStatus.STORED:
            table.add_row(f"{report.by_status[status]:,}", word)
    if report.flagged_count:
        table.add_row(f"{report.flagged_count:,}", "of these damaged, kept and flagged")
    if report.patient_differs_count:
        table.add_row(f"{report.patient_differs_count:,}", "of these under another patient identity than their study")
    if report.skipped_count:
        table.add_row(f"{report.skipped_count:,}", "DICOMDIR, not an instance")
    if report.refused_count:
        table.add_row(f"{report.refused_count:,}", "refused")
    out.print(table)
    for label, reason in report.refused:
        out.print(f"  refused  {label}: {reason}", markup=False)
    if report.refused_count > len(report.refused):
        out.print(f"  ... and {report.refused_count - len(report.refused):,} more")
