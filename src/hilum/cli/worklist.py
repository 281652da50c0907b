"""`hilum worklist ...`: the procedure steps that modalities are to perform."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from hilum.app.loop import run
from hilum.archive.model import DicomJson
from hilum.archive.query import Match
from hilum.archive.worklist import FIELDS, OPEN_STATUSES, WorklistItem, WorklistQuery, values_at
from hilum.cli.archive import opened
from hilum.cli.options import ConfigOption, DataOption, settings_from
from hilum.dicom.conditions import parse_condition
from hilum.dicom.data_sets import read_data_set
from hilum.dicom.dictionary import vr_of
from hilum.dicom.part10 import read_file_meta
from hilum.kernel.errors import HilumError, InvalidInput
from hilum.kernel.limits import MAX_IDENTIFIER_BYTES
from hilum.services.worklist import WorklistEntry

worklist_app = cyclopts.App(name="worklist", help="The modality worklist: procedure steps that are to be performed.")


@worklist_app.command(name="add")
def add(
    *,
    patient_name: Annotated[str, Parameter(help="As DICOM has it: Doe^Jane.")],
    patient_id: str,
    modality: str,
    station: Annotated[list[str], Parameter(help="AE title it is scheduled for; repeat for several.")],
    start: Annotated[str, Parameter(help="Date and time, like 2026-01-31T10:15.")],
    description: Annotated[str, Parameter(help="What is to be done.")],
    birth_date: Annotated[date | None, Parameter(help="Birth date of the patient.")] = None,
    sex: Annotated[str | None, Parameter(help="M, F or O.")] = None,
    accession_number: str | None = None,
    referring_physician: str | None = None,
    study_uid: Annotated[str | None, Parameter(help="Study Instance UID; made when it is not given.")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Schedule a procedure step and print its id. Modalities find it at once."""
    day, _, hour = start.replace(" ", "T").partition("T")
    fields = {
        "patient_name": patient_name,
        "patient_id": patient_id,
        "modality": modality,
        "scheduled_station_ae_title": station,
        "scheduled_procedure_step_start_date": day.replace("-", ""),
        "scheduled_procedure_step_start_time": hour.replace(":", ""),
        "scheduled_procedure_step_description": description,
        "patient_birth_date": birth_date.strftime("%Y%m%d") if birth_date else None,
        "patient_sex": sex,
        "accession_number": accession_number,
        "referring_physician_name": referring_physician,
        "study_instance_uid": study_uid,
    }

    async def work() -> int:
        async with opened(settings_from(config, data=str(data) if data else None)) as archive:
            item = await archive.worklist.schedule(archive.tenant.tenant_id, WorklistEntry(fields))
            return item.item_key

    print(run(work()))


@worklist_app.command(name="import")
def import_(
    *files: Annotated[Path, Parameter(help="DICOM files with one item each, as wlmscpfs keeps them (*.wl).")],
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Take over items from files; those that cannot be taken over are named."""
    if not files:
        raise InvalidInput("name the files to take over", code="usage")

    async def work() -> int:
        failed = 0
        async with opened(settings_from(config, data=str(data) if data else None)) as archive:
            for path in files:
                try:
                    entry = WorklistEntry(attributes=_read(path))
                    item = await archive.worklist.schedule(archive.tenant.tenant_id, entry)
                except HilumError as error:
                    failed += 1
                    print(f"{path}: {error.message}", file=sys.stderr)
                else:
                    print(f"{item.item_key} {path}")
        return failed

    return 1 if run(work()) else 0


@worklist_app.command(name="list")
def list_items(
    *,
    day: Annotated[date | None, Parameter(help="Steps scheduled for this day.")] = None,
    modality: str | None = None,
    station: Annotated[str | None, Parameter(help="Steps scheduled for this AE title.")] = None,
    patient_id: str | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative=(), help="Steps of every status.")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """List the steps that are to be performed, earliest first."""
    texts = {
        "scheduled_procedure_step_start_date": day.strftime("%Y%m%d") if day else None,
        "modality": modality,
        "scheduled_station_ae_title": station,
        "patient_id": patient_id,
    }
    paths = {FIELDS[name]: text for name, text in texts.items() if text}
    matches = tuple(Match(path, parse_condition(vr_of(path[-1]), text)) for path, text in paths.items())
    query = WorklistQuery(matches, None if everything else OPEN_STATUSES, limit=None)

    async def work() -> Table:
        table = Table(
            "id",
            Column("start", no_wrap=True),
            "station",
            "modality",
            Column("patient", overflow="fold"),
            "step",
            "status",
        )
        async with opened(settings_from(config, data=str(data) if data else None)) as archive:
            async for item in archive.worklist.search(archive.tenant.tenant_id, query):
                table.add_row(*_row(item))
        return table

    Console().print(run(work()))


@worklist_app.command(name="remove")
def remove(item_id: int, /, *, data: DataOption = None, config: ConfigOption = None) -> None:
    """Remove a step; modalities do not find it any more."""

    async def work() -> None:
        async with opened(settings_from(config, data=str(data) if data else None)) as archive:
            await archive.worklist.remove(archive.tenant.tenant_id, item_id)

    run(work())


def _read(path: Path) -> DicomJson:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput("the file cannot be read", code="unreadable") from error
    if len(content) > MAX_IDENTIFIER_BYTES:
        raise InvalidInput("the file is no worklist item: it is too long", code="unreadable")
    meta = read_file_meta(content)
    return read_data_set(content[meta.data_set_offset :], meta.transfer_syntax_uid)


def _row(item: WorklistItem) -> Sequence[str | Text]:
    name = item.value("patient_name") or {}
    stations = values_at(item.attributes, FIELDS["scheduled_station_ae_title"])
    day, hour = item.text("scheduled_procedure_step_start_date"), item.text("scheduled_procedure_step_start_time")
    return (
        str(item.item_key),
        f"{day[:4]}-{day[4:6]}-{day[6:]} {hour[:2]}:{hour[2:4] or '00'}",
        Text(", ".join(str(title) for title in stations)),
        Text(item.text("modality")),
        Text(f"{item.text('patient_id')} {'='.join(name.values())}"),
        Text(item.text("scheduled_procedure_step_description")),
        item.status.value,
    )
