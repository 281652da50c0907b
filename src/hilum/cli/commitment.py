"""`hilum commitment ...`: storage commitment asked of others, and how it stands both ways."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from hilum.app.loop import run
from hilum.archive.commitment import Commitment, CommitmentDirection
from hilum.cli.archive import opened
from hilum.cli.options import ConfigOption, DataOption, settings_from
from hilum.kernel.errors import NotFound

commitment_app = cyclopts.App(
    name="commitment", help="Storage commitment: who answers for which instances. Needs a running server."
)


@commitment_app.command(name="ask")
def ask(
    remote: str,
    /,
    *,
    study: Annotated[str, Parameter(help="Study Instance UID.")],
    series: Annotated[str | None, Parameter(help="Series Instance UID.")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Ask a registered application entity to commit itself to a study or series it has got from us.

    The running server carries the request there and hears the answer; `hilum commitment show` tells it.
    """
    settings = settings_from(config, data=str(data) if data else None)

    async def work() -> Commitment:
        async with opened(settings) as archive:
            tenant_id = archive.tenant.tenant_id
            entry = await archive.remotes.find(tenant_id, remote)
            if entry is None:
                raise NotFound(f"{remote} is not registered", code="no-such-remote")
            instances = await archive.retrieve.instances(tenant_id, study, series)
            return await archive.commitment.ask(tenant_id, entry, settings.dicom.ae_title, instances)

    _tell(run(work()))


@commitment_app.command(name="show")
def show(commitment_id: int, /, *, data: DataOption = None, config: ConfigOption = None) -> int:
    """Tell how a transaction stands. The exit code is 1 while instances are not committed."""
    settings = settings_from(config, data=str(data) if data else None)

    async def work() -> Commitment:
        async with opened(settings) as archive:
            return await archive.commitment.find(archive.tenant.tenant_id, commitment_id)

    commitment = run(work())
    _tell(commitment)
    return 1 if commitment.verdicts is None or commitment.failures else 0


@commitment_app.command(name="list")
def list_(*, data: DataOption = None, config: ConfigOption = None) -> None:
    """List the latest transactions, newest first."""
    settings = settings_from(config, data=str(data) if data else None)

    async def work() -> list[Commitment]:
        async with opened(settings) as archive:
            return await archive.commitment.recent(archive.tenant.tenant_id)

    table = Table("id", "who answers", "remote", "requested", "told")
    for each in run(work()):
        table.add_row(
            str(each.commitment_id),
            _who(each),
            each.remote_ae_title,
            f"{each.requested_at:%Y-%m-%d %H:%M}",
            f"{each.sent_at:%Y-%m-%d %H:%M}" if each.sent_at else "not yet",
        )
    Console(highlight=False).print(table)


def _who(commitment: Commitment) -> str:
    return "we" if commitment.direction is CommitmentDirection.WE_COMMIT else commitment.remote_ae_title


def _tell(commitment: Commitment) -> None:
    out = Console(highlight=False, soft_wrap=True)
    count = len(commitment.references)
    head = f"commitment {commitment.commitment_id}: {_who(commitment)} for {count:,} instances, "
    if commitment.verdicts is None:
        out.print(head + ("asked, no answer yet" if commitment.sent_at else "on its way"), markup=False)
        return
    out.print(head + f"{count - len(commitment.failures):,} committed", markup=False)
    for each in commitment.failures:
        out.print(f"  not committed  {each.reference.sop_instance_uid}: {each.failure_reason:04X}", markup=False)
