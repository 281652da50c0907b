"""However many workers send to a remote, it has no more associations than its entry in the registry says."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage

from hilum.app.archive import Archive, open_archive
from hilum.app.settings import Settings
from hilum.archive.sending import SendState
from hilum.index.embedded import EmbeddedPostgres
from support.in_process import in_process_archive

INSTANCES = 6


class Counted:
    """How many instances a remote is sent at a time, one on each association, and which."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0
        self.uids: list[str] = []

    def store(self, event: evt.Event) -> int:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.05)
        with self._lock:
            self.now -= 1
            self.uids.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000


async def test_two_workers_and_three_sends_keep_to_what_a_remote_takes(
    database: EmbeddedPostgres, tmp_path: Path
) -> None:
    counted, entity = Counted(), AE("WORKSTATION")
    entity.add_supported_context(CTImageStorage)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, counted.store)])
    assert server is not None
    try:
        async with in_process_archive(database, tmp_path) as one:
            for number in range(INSTANCES):
                dataset = dcmread(get_testdata_file("CT_small.dcm"))
                dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.5", "1.5.1"
                dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.5.1.{number + 1}"
                dcmwrite(tmp_path / "one.dcm", dataset)
                await one.store((tmp_path / "one.dcm").read_bytes())
            instances = await one.archive.index.find_instances(one.tenant_id, "1.5")
            remote = await one.register("WORKSTATION", server.socket.getsockname()[1], max_associations=2)

            async def send(archive: Archive) -> set[SendState]:
                return {sent.state async for sent in archive.sender.send(remote, instances, calling_ae_title="HILUM")}

            settings = Settings(data=str(tmp_path / "archive"))
            async with open_archive(settings, database.app_address()) as other, asyncio.timeout(60):
                states = await asyncio.gather(send(one.archive), send(other), send(other))
        assert states == [{SendState.STORED}] * 3
        assert sorted(counted.uids) == sorted([f"1.5.1.{number + 1}" for number in range(INSTANCES)] * 3)
        assert counted.most == 2
    finally:
        await asyncio.to_thread(server.shutdown)
