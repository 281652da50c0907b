"""`hilum scrub`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hilum.app.loop import run
from hilum.app.scrubbing import open_scrub
from hilum.cli.options import ConfigOption, DataOption, settings_from
from hilum.services.scrub import ScrubReport

_SHOWN = 20


def scrub(
    *,
    hours: Annotated[float, Parameter(help="Age from which a blob without rows is an orphan.")] = 24.0,
    remove: Annotated[bool, Parameter(negative="", help="Remove orphans.")] = False,
    force: Annotated[bool, Parameter(negative="", help="Remove them even when they are the most.")] = False,
    verify: Annotated[
        bool, Parameter(negative="", help="Read all instances and compare them with their digests.")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Find blobs no instance points to, and with --verify instances whose bytes are gone or have changed.

    Orphans are what a power cut left; they are only told of unless --remove is given. It may run beside a server, and
    goes through all tenants. The exit code is 1 when orphans are left or anything is damaged.
    """
    settings = settings_from(config, data=str(data) if data else None)
    report = ScrubReport()

    async def work() -> None:
        words = TextColumn("{task.fields[blobs]:,} blobs, {task.fields[verified]:,} verified")
        with Progress(words, TimeElapsedColumn(), console=Console(stderr=True, highlight=False)) as bar:
            task = bar.add_task("", total=None, blobs=0, verified=0)

            def tell() -> None:
                bar.update(task, blobs=report.blob_count, verified=report.verified_count)

            async with open_scrub(settings, hours * 3600) as service:
                await service.find_orphans(report, tell)
                if remove:
                    await service.remove_orphans(report, even_most=force)
                if verify:
                    await service.verify(report, tell)

    try:
        run(work())
    finally:
        _tell(report, is_verified=verify)
    return 1 if report.orphan_count > report.removed_count or report.damaged_count else 0


def _tell(report: ScrubReport, *, is_verified: bool) -> None:
    out = Console(highlight=False, soft_wrap=True)
    table = Table(show_header=False, box=None)
    table.add_column(justify="right")
    table.add_row(f"{report.blob_count:,}", f"blobs, {report.size_bytes / 1e9:,.1f} GB")
    table.add_row(f"{report.known_count:,}", "that instances point to")
    table.add_row(f"{report.orphan_count:,}", f"orphans, {report.orphan_bytes / 1e6:,.1f} MB")
    table.add_row(f"{report.removed_count:,}", "of them removed")
    table.add_row(f"{report.young_count:,}", "without rows, but too new to tell")
    table.add_row(f"{report.foreign_count:,}", "files that are no blobs, left alone")
    if is_verified:
        table.add_row(f"{report.verified_count:,}", "compared with their digests")
        table.add_row(f"{report.damaged_count:,}", "gone, cut short or changed")
    out.print(table)
    for title, keys in (("orphan", report.orphans if not report.removed_count else []), ("damaged", report.damaged)):
        for key in keys[:_SHOWN]:
            out.print(f"  {title}  {key}", markup=False)
        if len(keys) > _SHOWN:
            out.print(f"  and {len(keys) - _SHOWN:,} more", markup=False)
