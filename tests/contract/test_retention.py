"""What ended long ago goes by itself while an archive runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hilum.app.jobs import start_jobs
from hilum.app.settings import Settings
from hilum.archive.worklist import StepStatus
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import open_index
from support.in_process import in_process_archive
from support.worklist import worklist_item

_WAIT_S = 30


async def test_old_items_go_while_the_archive_runs_and_others_stay(
    database: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.app.jobs.RETENTION_INTERVAL_S", 0.1)
    address = database.app_address()
    now = datetime.now(UTC)
    days = Settings().worklist.keep_ended_days
    async with in_process_archive(database, tmp_path) as running, open_index(address) as index:
        ages = {"old": days + 1, "young": days - 1}
        kept = {
            name: await index.worklist.add(
                running.tenant_id, replace(worklist_item(StepStatus.COMPLETED), changed_at=now - timedelta(days=age))
            )
            for name, age in ages.items()
        }
        jobs = await start_jobs(Settings(data=str(tmp_path)), running.archive, address, 0)
        try:
            async with asyncio.timeout(_WAIT_S):
                while await index.worklist.find(running.tenant_id, kept["old"].item_key) is not None:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.05)
        finally:
            await jobs.close(0)
        assert await index.worklist.find(running.tenant_id, kept["young"].item_key) is not None
