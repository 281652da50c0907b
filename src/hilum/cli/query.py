"""`hilum find`: what a remote archive has, or a worklist has planned."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import orjson
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hilum.app.loop import run
from hilum.app.remotes import resolve_remote
from hilum.archive.model import DicomJson
from hilum.archive.query import Level
from hilum.archive.remotes import DimseUse
from hilum.cli.options import ConfigOption, DataOption, settings_from
from hilum.cli.verification import CallingOption
from hilum.dicom.dictionary import path_keywords, path_of
from hilum.dicom.query_keys import identifier_of
from hilum.kernel.errors import InvalidInput
from hilum.scu.models import InformationModel
from hilum.scu.query import find as find_matches


class FindLevel(StrEnum):
    """What a match is."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"
    WORKLIST = "worklist"


_STEP: Final = "ScheduledProcedureStepSequence"
RETURN_KEYS: Final[Mapping[FindLevel, tuple[str, ...]]] = {
    FindLevel.PATIENT: ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "NumberOfPatientRelatedStudies"),
    FindLevel.STUDY: (
        "PatientName", "PatientID", "PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber",
        "ModalitiesInStudy", "StudyDescription", "NumberOfStudyRelatedInstances", "StudyInstanceUID",
    ),
    FindLevel.SERIES: (
        "SeriesNumber", "Modality", "SeriesDescription", "SeriesDate", "BodyPartExamined",
        "NumberOfSeriesRelatedInstances", "SeriesInstanceUID",
    ),
    FindLevel.INSTANCE: ("InstanceNumber", "SOPClassUID", "NumberOfFrames", "SOPInstanceUID"),
    FindLevel.WORKLIST: (
        f"{_STEP}.ScheduledProcedureStepStartDate", f"{_STEP}.ScheduledProcedureStepStartTime", f"{_STEP}.Modality",
        f"{_STEP}.ScheduledStationAETitle", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
        "AccessionNumber", "RequestedProcedureDescription", "RequestedProcedureID",
        f"{_STEP}.ScheduledProcedureStepID", "StudyInstanceUID",
    ),
}  # fmt: skip
"""What is asked for at each level besides the keys given."""


def find(
    remote: str,
    /,
    *,
    level: Annotated[FindLevel, Parameter(help="What to look for.")] = FindLevel.STUDY,
    key: Annotated[
        list[str] | None,
        Parameter(
            name=["--key", "-k"],
            help="Keyword=value to match (wildcards * and ?, ranges with -, lists with \\\\), or Keyword to be shown; "
            "repeat. Through sequences by dots.",
            negative="",
        ),
    ] = None,
    model: Annotated[
        InformationModel | None,
        Parameter(help="Hierarchy to ask in; by default patient for patients, study for what is below."),
    ] = None,
    fuzzy: Annotated[bool, Parameter(negative="", help="Ask for names to be matched by sound.")] = False,
    relational: Annotated[
        bool, Parameter(negative="", help="Ask below a study without naming it, where the remote allows.")
    ] = False,
    limit: Annotated[int, Parameter(help="Stop after so many matches.")] = 500,
    json: Annotated[bool, Parameter(negative="", help="Print a JSON array (DICOM JSON model).")] = False,
    calling: CallingOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Query a remote archive or worklist (C-FIND): a registered AE title, or AE_TITLE@host:port."""
    if limit < 1:
        raise InvalidInput("--limit is a number from 1", code="usage")
    settings = settings_from(config, data=str(data) if data else None)
    keys = dict(_split(text) for text in key or ())
    if model is None:
        model = {FindLevel.PATIENT: InformationModel.PATIENT, FindLevel.WORKLIST: InformationModel.WORKLIST}.get(
            level, InformationModel.STUDY
        )
    elif (level is FindLevel.WORKLIST) != (model is InformationModel.WORKLIST):
        raise InvalidInput("--level worklist and --model worklist belong together", code="usage")
    notes = Console(stderr=True, highlight=False)

    async def work() -> list[DicomJson]:
        use = DimseUse.WORKLIST if level is FindLevel.WORKLIST else DimseUse.QUERY
        who = await resolve_remote(settings, remote, use)
        matches = []
        found = find_matches(
            who,
            identifier_of(keys, RETURN_KEYS[level]),
            calling_ae_title=calling or settings.dicom.ae_title,
            level=Level[level.name] if level is not FindLevel.WORKLIST else Level.STUDY,
            model=model,
            is_relational=relational,
            is_fuzzy=fuzzy,
            on_warning=lambda meaning: notes.print(f"{remote}: {meaning}", markup=False),
        )
        async with contextlib.aclosing(found):
            async for match in found:
                matches.append(match)
                if len(matches) == limit:
                    notes.print(f"stopped after {limit:,} matches; --limit asks for more", markup=False)
                    break
        return matches

    matches = run(work())
    if json:
        print(orjson.dumps(matches, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(matches, tuple(dict.fromkeys((*RETURN_KEYS[level], *keys))))


def _split(text: str) -> tuple[str, str]:
    keyword, _, value = text.partition("=")
    try:
        path_of(keyword.strip())
    except InvalidInput as error:
        raise InvalidInput(f"--key {keyword}: there is no such attribute", code="usage") from error
    return keyword.strip(), value


def _show(matches: list[DicomJson], keys: tuple[str, ...]) -> None:
    # What is not read at a terminal is not broken into its lines.
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    paths = list(dict.fromkeys(path_of(key) for key in keys))
    # Columns nobody has a value for say nothing.
    shown = [path for path in paths if any(_text(match, path) for match in matches)]
    table = Table(*(path_keywords(path).rpartition(".")[2] for path in shown), row_styles=["", "dim"])
    for match in matches:
        table.add_row(*(Text(_text(match, path)) for path in shown))
    if matches:
        out.print(table)
    out.print(f"{len(matches):,} found" if matches else "nothing found")


def _text(match: DicomJson, path: tuple[str, ...]) -> str:
    """Return the values at a path as a person reads them."""
    values: list[Any] = match.get(path[0], {}).get("Value") or []
    if len(path) > 1:
        return ", ".join(filter(None, (_text(item, path[1:]) for item in values if item)))
    return ", ".join(
        "=".join(str(group) for group in value.values()) if isinstance(value, dict) else str(value)
        for value in values
        if value is not None
    )
