"""What C-FIND answers equals what the matching oracle finds, from the identifier's bytes to the answers'.

PS3.4 §C.2.2.2, §C.4.1.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hilum.archive.model import DicomJson, DuplicatePolicy
from hilum.archive.query import Level, Match, MomentMatch, Query
from hilum.dicom.dictionary import path_of, tag_of, vr_of
from hilum.dicom.levels import DATE_TIME_PAIRS, UNIQUE_KEYS, level_of
from hilum.dicom.matching import Range, Universal, parse_condition
from hilum.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, PATIENT_ROOT_FIND
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import open_index
from hilum.kernel.errors import InvalidInput
from hilum.services.search import SearchService
from support.database import draft, new_tenant
from support.finding import FindingPeer, Found, close, find_archive
from support.searching import ASKED, PATHS, archives, found_by_oracle

LEVELS = {"PATIENT": Level.PATIENT, "STUDY": Level.STUDY, "SERIES": Level.SERIES, "IMAGE": Level.INSTANCE}


@dataclass(frozen=True)
class Question:
    """A relational C-FIND: keys by path in words, and which other options are negotiated."""

    level: str
    keys: tuple[tuple[str, str], ...]
    moments: bool
    fuzzy: bool

    @property
    def options(self) -> bytes:
        return bytes((1, self.moments, self.fuzzy))

    def attributes(self) -> dict[str, Any]:
        """The identifier by keyword, with the unique keys of all levels down to the one asked for."""
        unique = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        found: dict[str, Any] = {"LEVEL": self.level, **dict.fromkeys(unique[: LEVELS[self.level] + 1], "")}
        for path, text in self.keys:
            *sequence, last = path.split(".")
            if sequence:
                found.setdefault(sequence[0], [{}])[0][last] = text
            else:
                found[last] = text
        return found

    def query(self) -> Query | None:
        """The same as the oracle understands it; None if a value is none."""
        try:
            conditions = {
                path_of(path): parse_condition(vr_of(path_of(path)[-1]), text, fuzzy=self.fuzzy)
                for path, text in self.keys
            }
        except InvalidInput:
            return None
        moments = []
        for date, time in DATE_TIME_PAIRS.items():
            pair = conditions.get((date,)), conditions.get((time,))
            if self.moments and isinstance(pair[0], Range) and isinstance(pair[1], Range):
                dates, times = pair[0], pair[1]
                if (dates.low is None, dates.high is None) == (times.low is None, times.high is None):
                    moments.append(MomentMatch(date, time, dates, times))
                    del conditions[date,], conditions[time,]
        matches = tuple(Match(path, c) for path, c in conditions.items() if not isinstance(c, Universal))
        return Query(LEVELS[self.level], matches, moments=tuple(moments))


PAIRED = ["StudyDate", "StudyTime", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"]


@st.composite
def questions(draw: st.DrawFn) -> Question:
    paths = draw(st.lists(st.sampled_from([*PATHS, *PAIRED, *PAIRED]), min_size=1, max_size=4, unique=True))
    texts = [draw(st.sampled_from(ASKED.get(vr_of(path_of(path)[-1]), ASKED["*"]))) for path in paths]
    level = draw(st.sampled_from(list(LEVELS)))
    keys = tuple(zip(paths, texts, strict=True))
    return Question(level, keys, draw(st.booleans()), draw(st.booleans()))


def words(attributes: DicomJson, tag: str) -> list[str]:
    """The values of an attribute as text, as a data set has them."""
    values = attributes.get(tag, {}).get("Value", [])
    texts = [
        "=".join(v.get(g, "") for g in ("Alphabetic", "Ideographic", "Phonetic")) if isinstance(v, dict) else str(v)
        for v in values
        if v is not None
    ]
    return [part.strip().rstrip("=") for text in texts for part in text.split("\\")]


async def answered(
    database: EmbeddedPostgres, archive: list[dict[str, Any]], asked: list[Question]
) -> list[tuple[Found, list[DicomJson]]]:
    address = database.app_address()
    tenant_id = await new_tenant(address)
    answers = []
    async with open_index(address) as index:
        drafts = [draft(i["StudyInstanceUID"], i["SeriesInstanceUID"], i["SOPInstanceUID"], **i) for i in archive]
        await index.ingest(tenant_id, drafts, DuplicatePolicy.REPLACE)
        async with find_archive(SearchService(index), tenant_id=tenant_id) as port:
            for question in asked:
                peer = FindingPeer()
                await peer.connect(
                    port, model=PATIENT_ROOT_FIND, options=question.options, syntax=IMPLICIT_VR_LITTLE_ENDIAN
                )
                answers.append((await peer.ask(**question.attributes()), peer.answers()))
                await close(peer)
    return answers


@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(archive=archives(), asked=st.lists(questions(), min_size=5, max_size=20))
def test_c_find_finds_what_the_oracle_finds(
    database: EmbeddedPostgres, archive: list[dict[str, Any]], asked: list[Question]
) -> None:
    results = asyncio.run(answered(database, archive, asked))
    for question, (found, answers) in zip(asked, results, strict=True):
        query = question.query()
        if query is None:
            assert found.status == 0xA900, question
            continue
        assert found.status == 0x0000, (question, found.final)
        unique = UNIQUE_KEYS[query.level]
        assert sorted(words(a, unique)[0] for a in answers) == sorted(found_by_oracle(archive, query)), question
        for answer in answers:
            of_it = [drafted(i) for i in archive if words(drafted(i), unique) == words(answer, unique)]
            for path, _ in question.keys:
                tag = tag_of(path.split(".")[0])
                if "." not in path and path != "ModalitiesInStudy" and level_of(tag) <= query.level:
                    assert words(answer, tag) == words(of_it[0], tag), question


def drafted(instance: dict[str, Any]) -> DicomJson:
    uids = (instance["StudyInstanceUID"], instance["SeriesInstanceUID"], instance["SOPInstanceUID"])
    return draft(*uids, **instance).header.attributes
