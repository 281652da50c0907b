"""Storage Commitment with other implementations on the other side: PS3.4 Annex J."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from hilum.app.jobs import start_jobs
from hilum.app.settings import Settings
from hilum.archive.commitment import COMMITMENT_JOB, Commitment
from hilum.archive.jobs import Job, JobSelection
from hilum.archive.model import StoredInstance
from hilum.archive.query import InstanceSelection, Level, Query
from hilum.archive.remotes import RemoteAe
from hilum.dicom.uids import CT_IMAGE_STORAGE
from hilum.index.embedded import EmbeddedPostgres
from support.database import new_tenant
from support.in_process import InProcessArchive, in_process_archive
from support.instances import ct_slice, part10
from support.peers import free_port, orthanc

_WAIT_S = 30


@pytest.fixture
async def archive(database: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[InProcessArchive]:
    async with in_process_archive(database, tmp_path) as running:
        jobs = await start_jobs(Settings(data=str(tmp_path)), running.archive, database.app_address(), 0)
        try:
            yield running
        finally:
            await jobs.close(0)


@pytest.fixture
async def other(archive: InProcessArchive, database: EmbeddedPostgres) -> InProcessArchive:
    """The same archive as another tenant sees it, by an AE title of its own."""
    tenant_id = await new_tenant(database.app_address())
    ae_title = f"OTHER{tenant_id}"
    await archive.archive.accounts.assign_ae_title(ae_title, tenant_id)
    return InProcessArchive(archive.archive, archive.acceptor, tenant_id, ae_title)


def request(transaction_uid: str, *instances: str, sop_class_uid: str = CT_IMAGE_STORAGE) -> Dataset:
    """Return the data set of an N-ACTION."""
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    dataset.ReferencedSOPSequence = []
    for uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, uid
        dataset.ReferencedSOPSequence.append(item)
    return dataset


class Modality:
    """pynetdicom as the side that wants instances committed."""

    def __init__(self, archive: InProcessArchive, *, takes_answers_here: bool = True) -> None:
        self.answers: queue.Queue[tuple[int, Dataset]] = queue.Queue()
        self.statuses: list[int] = []
        self._archive = archive
        self._takes_answers_here = takes_answers_here

    def hear(self, event: evt.Event) -> tuple[int, None]:
        if event.assoc.is_requestor and not self._takes_answers_here:
            return 0x0110, None
        self.answers.put((event.event_type, event.event_information))
        return 0x0000, None

    def ask(self, *datasets: Dataset, stays: bool = True, action: int = 1) -> None:
        """Ask on one association; stay on it until there are as many answers as requests."""
        ae = AE("MODALITY")
        ae.add_requested_context(StorageCommitmentPushModel)
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, self.hear)]
        association = ae.associate(
            "127.0.0.1", self._archive.port, ae_title=self._archive.ae_title, evt_handlers=handlers
        )
        assert association.is_established
        for dataset in datasets:
            status, _ = association.send_n_action(
                dataset, action, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            self.statuses.append(status.Status)
        if stays:
            heard = [self.answers.get(timeout=_WAIT_S) for _ in datasets]
            for each in heard:
                self.answers.put(each)
        association.release()

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[int]:
        """Accept answers on associations of the archive's own; yields the port."""
        ae = AE("MODALITY")
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.hear)])
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            server.server_close()

    def answer(self) -> tuple[int, Dataset]:
        return self.answers.get(timeout=_WAIT_S)


async def stored(archive: InProcessArchive, count: int = 3) -> list[str]:
    """Store instances of one study and return their UIDs."""
    uids = []
    dataset = ct_slice(side=32)
    for _ in range(count):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        uids.append(await archive.store(part10(dataset)))
    return uids


class TestPynetdicomAsks:
    """PS3.4 §J.3.2 and §J.3.3, the archive as SCP."""

    async def test_what_is_kept_is_committed_on_the_association_of_the_request(self, archive: InProcessArchive) -> None:
        uids = await stored(archive)
        modality = Modality(archive)
        transaction = generate_uid()
        await asyncio.to_thread(modality.ask, request(transaction, *uids))
        assert modality.statuses == [0x0000]
        event_type, answer = modality.answer()
        assert event_type == 1
        assert answer.TransactionUID == transaction
        assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == uids
        assert "FailedSOPSequence" not in answer
        assert answer.RetrieveAETitle == archive.ae_title

    async def test_what_is_missing_of_another_class_or_damaged_is_named_with_its_reason(
        self, archive: InProcessArchive, tmp_path: Path
    ) -> None:
        good, damaged, gone = await stored(archive)
        blobs = sorted((tmp_path / "archive" / "blobs").rglob("*.dcm"), key=lambda path: path.stat().st_mtime_ns)
        content = bytearray(blobs[1].read_bytes())
        content[-1] ^= 1
        blobs[1].write_bytes(content)
        blobs[2].unlink()
        wanted = request(generate_uid(), good, damaged, gone, "1.2.3.4")
        other = Dataset()
        other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", good
        wanted.ReferencedSOPSequence.append(other)
        modality = Modality(archive)
        await asyncio.to_thread(modality.ask, wanted)
        event_type, answer = modality.answer()
        assert event_type == 2
        assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [good]
        failures = [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in answer.FailedSOPSequence]
        assert failures == [(damaged, 0x0110), (gone, 0x0110), ("1.2.3.4", 0x0112), (good, 0x0119)]

    async def test_a_modality_that_has_gone_is_answered_on_a_new_association(self, archive: InProcessArchive) -> None:
        uids = await stored(archive)
        modality = Modality(archive)
        with modality.listening() as port:
            await archive.register("MODALITY", port)
            transaction = generate_uid()
            await asyncio.to_thread(modality.ask, request(transaction, *uids), stays=False)
            event_type, answer = await asyncio.to_thread(modality.answer)
        assert (event_type, answer.TransactionUID) == (1, transaction)
        await told(archive)

    async def test_an_answer_refused_on_the_association_of_the_request_is_brought_on_a_new_one(
        self, archive: InProcessArchive
    ) -> None:
        uids = await stored(archive)
        modality = Modality(archive, takes_answers_here=False)
        with modality.listening() as port:
            await archive.register("MODALITY", port)
            await asyncio.to_thread(modality.ask, request(generate_uid(), *uids))
            await told(archive)

    async def test_a_modality_that_is_off_is_answered_when_it_is_back(self, archive: InProcessArchive) -> None:
        uids = await stored(archive)
        modality = Modality(archive)
        port = free_port()
        await archive.register("MODALITY", port)
        await asyncio.to_thread(modality.ask, request(generate_uid(), *uids), stays=False)
        queue_ = archive.archive.jobs
        async with asyncio.timeout(_WAIT_S):
            while not any(job.error for job in await jobs_of(archive)):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.1)
        with modality.listening(port):
            await queue_.retry(archive.tenant_id, JobSelection(kind=COMMITMENT_JOB))
            event_type, _ = await asyncio.to_thread(modality.answer)
        assert event_type == 1

    async def test_the_same_request_again_is_answered_again_and_the_uid_serves_no_other(
        self, archive: InProcessArchive
    ) -> None:
        uids = await stored(archive)
        modality = Modality(archive)
        transaction = generate_uid()
        for _ in range(2):
            await asyncio.to_thread(modality.ask, request(transaction, *uids))
            assert modality.answer()[0] == 1
        await asyncio.to_thread(modality.ask, request(transaction, uids[0]), stays=False)
        assert modality.statuses == [0x0000, 0x0000, 0x0115]

    async def test_a_request_that_says_too_little_is_refused(self, archive: InProcessArchive) -> None:
        modality = Modality(archive)
        nameless = request("", "1.2.3")
        await asyncio.to_thread(modality.ask, nameless, request(generate_uid()), stays=False)
        await asyncio.to_thread(modality.ask, request(generate_uid(), "1.2.3"), stays=False, action=7)
        assert modality.statuses == [0x0115, 0x0115, 0x0123]


class TestTwoTenants:
    """Each tenant is answered for its own instances, by its own AE title, where its own registry says."""

    async def test_what_another_tenant_keeps_is_not_committed(
        self, archive: InProcessArchive, other: InProcessArchive, tmp_path: Path
    ) -> None:
        theirs, shared = await stored(archive, count=2)
        # The same UID is there in both; the other tenant's bytes are its own.
        dataset = ct_slice(side=32)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = shared
        await other.store(part10(dataset))
        modality = Modality(other)
        await asyncio.to_thread(modality.ask, request(generate_uid(), theirs, shared))
        event_type, answer = modality.answer()
        assert event_type == 2
        assert answer.RetrieveAETitle == other.ae_title
        assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [shared]
        failures = [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in answer.FailedSOPSequence]
        assert failures == [(theirs, 0x0112)]
        (blob,) = (tmp_path / "archive" / "blobs" / f"t{other.tenant_id}").rglob("*.dcm")
        content = bytearray(blob.read_bytes())
        content[-1] ^= 1
        blob.write_bytes(content)
        for owner, expected in ((archive, 1), (other, 2)):
            modality = Modality(owner)
            await asyncio.to_thread(modality.ask, request(generate_uid(), shared))
            assert modality.answer()[0] == expected

    async def test_the_answer_goes_to_the_modality_of_the_tenant_that_was_asked(
        self, archive: InProcessArchive, other: InProcessArchive
    ) -> None:
        """Both know a MODALITY, each another one, and use the same transaction UID."""
        transaction = generate_uid()
        ours, theirs = Modality(archive), Modality(other)
        with ours.listening() as our_port, theirs.listening() as their_port:
            await archive.register("MODALITY", our_port)
            await other.register("MODALITY", their_port)
            (uid,) = await stored(archive, count=1)
            await asyncio.to_thread(theirs.ask, request(transaction, uid), stays=False)
            await asyncio.to_thread(ours.ask, request(transaction, uid), stays=False)
            assert ours.statuses == theirs.statuses == [0x0000]
            assert (await asyncio.to_thread(ours.answer))[0] == 1
            assert (await asyncio.to_thread(theirs.answer))[0] == 2
            await told(archive)
            await told(other)
        assert ours.answers.empty()
        assert theirs.answers.empty()
        assert [each.own_ae_title for each in await other.archive.commitment.recent(other.tenant_id)] == [
            other.ae_title
        ]

    async def test_what_a_remote_has_committed_to_one_tenant_counts_for_no_other(
        self, archive: InProcessArchive, other: InProcessArchive
    ) -> None:
        """As SCU: an answer is heard by the tenant that asked, whomever else the remote tells."""
        dataset = ct_slice(side=32)
        uid = await archive.store(part10(dataset))
        await other.store(part10(dataset))
        statuses: list[int] = []

        def tell(asked: Dataset, ae_title: str) -> None:
            answer = Dataset()
            answer.TransactionUID = asked.TransactionUID
            answer.ReferencedSOPSequence = asked.ReferencedSOPSequence
            ae = AE("OTHER")
            ae.add_requested_context(StorageCommitmentPushModel)
            role = build_role(StorageCommitmentPushModel, scp_role=True)
            association = ae.associate("127.0.0.1", archive.port, ae_title=ae_title, ext_neg=[role])
            status, _ = association.send_n_event_report(
                answer, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            statuses.append(status.Status)
            association.release()

        def accept(event: evt.Event) -> tuple[int, None]:
            asked = event.action_information

            def tell_both() -> None:
                tell(asked, other.ae_title)
                tell(asked, archive.ae_title)

            threading.Timer(0.2, tell_both).start()
            return 0x0000, None

        ae = AE("OTHER")
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, accept)])
        try:
            await other.register("OTHER", server.server_address[1])
            decided = await ask(archive, await archive.register("OTHER", server.server_address[1]))
        finally:
            server.shutdown()
            server.server_close()
        assert [each.failure_reason for each in decided.verdicts or ()] == [None]
        assert statuses[0] != 0x0000
        committed = archive.archive.commitment.committed_elsewhere
        assert await committed(archive.tenant_id, await kept(archive)) == {uid: frozenset({"OTHER"})}
        assert await committed(other.tenant_id, await kept(other)) == {}


class TestWeAskPynetdicom:
    """PS3.4 §J.3.2 and §J.3.3, the archive as SCU."""

    @pytest.mark.parametrize("answers", ["on the same association", "on a new association"])
    async def test_the_answer_is_heard_however_it_comes(self, archive: InProcessArchive, answers: str) -> None:
        first, second, _ = await stored(archive)
        titles = (archive.ae_title, archive.port)

        def report(asked: Dataset, association: Any) -> None:
            answer = Dataset()
            answer.TransactionUID = asked.TransactionUID
            answer.ReferencedSOPSequence = [
                item for item in asked.ReferencedSOPSequence if item.ReferencedSOPInstanceUID == first
            ]
            answer.FailedSOPSequence = [
                item for item in asked.ReferencedSOPSequence if item.ReferencedSOPInstanceUID != first
            ]
            for item in answer.FailedSOPSequence:
                item.FailureReason = 0x0112
            status, _ = association.send_n_event_report(
                answer, 2, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            assert status.Status == 0x0000

        def call_back(asked: Dataset) -> None:
            ae = AE("OTHER")
            ae.add_requested_context(StorageCommitmentPushModel)
            role = build_role(StorageCommitmentPushModel, scp_role=True)
            association = ae.associate("127.0.0.1", titles[1], ae_title=titles[0], ext_neg=[role])
            assert association.is_established
            report(asked, association)
            association.release()

        def accept(event: evt.Event) -> tuple[int, None]:
            asked = event.action_information
            if answers == "on a new association":
                threading.Timer(0.2, call_back, [asked]).start()
            else:
                threading.Timer(0.2, report, [asked, event.assoc]).start()
            return 0x0000, None

        ae = AE("OTHER")
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, accept)])
        try:
            remote = await archive.register("OTHER", server.server_address[1])
            decided = await ask(archive, remote)
        finally:
            server.shutdown()
            server.server_close()
        assert decided.verdicts is not None
        reasons = {each.reference.sop_instance_uid: each.failure_reason for each in decided.verdicts}
        assert (reasons[first], reasons[second]) == (None, 0x0112)
        elsewhere = await archive.archive.commitment.committed_elsewhere(archive.tenant_id, await kept(archive))
        assert elsewhere == {first: frozenset({"OTHER"})}


class TestOrthanc:
    """Orthanc on either side."""

    async def test_orthanc_gets_our_commitment(self, archive: InProcessArchive, tmp_path: Path) -> None:
        folder = tmp_path / "orthanc"
        folder.mkdir()
        async with orthanc(folder, modalities={archive.ae_title: archive.port}) as (remote, url):
            await archive.register(remote.ae_title, remote.port)
            async with httpx2.AsyncClient(base_url=url, timeout=_WAIT_S) as client:
                uids = []
                for _ in range(2):
                    uploaded = (await client.post("/instances", content=part10(ct_slice(side=32)))).json()
                    await client.post(f"/modalities/{archive.ae_title}/store", json=[uploaded["ID"]])
                    tags = (await client.get(f"/instances/{uploaded['ID']}/simplified-tags")).json()
                    uids.append(tags["SOPInstanceUID"])
                asked = {"DicomInstances": [[CT_IMAGE_STORAGE, uid] for uid in [*uids, "1.2.3"]]}
                answer = (await client.post(f"/modalities/{archive.ae_title}/storage-commitment", json=asked)).json()
                async with asyncio.timeout(_WAIT_S):
                    while True:
                        report = (await client.get(answer["Path"])).json()
                        if report["Status"] != "Pending":
                            break
                        await asyncio.sleep(0.1)
        assert report["Status"] == "Failure"
        assert [each["SOPInstanceUID"] for each in report["Success"]] == uids
        assert [each["SOPInstanceUID"] for each in report["Failures"]] == ["1.2.3"]

    async def test_orthanc_gives_us_its_commitment(self, archive: InProcessArchive, tmp_path: Path) -> None:
        sent, *others = await stored(archive)
        folder = tmp_path / "orthanc"
        folder.mkdir()
        async with orthanc(folder, modalities={archive.ae_title: archive.port}) as (remote, _):
            entry = await archive.register(remote.ae_title, remote.port)
            instances = [each for each in await kept(archive) if each.sop_instance_uid == sent]
            async for result in archive.archive.sender.send(entry, instances, calling_ae_title=archive.ae_title):
                assert result.status == 0
            decided = await ask(archive, entry)
        assert {each.reference.sop_instance_uid: each.failure_reason for each in decided.verdicts or ()} == {
            sent: None,
            **dict.fromkeys(others, 0x0112),
        }


async def kept(archive: InProcessArchive) -> list[StoredInstance]:
    """Return all instances of the archive."""
    found = [each async for each in archive.archive.search.search(archive.tenant_id, Query(Level.INSTANCE))]
    uids = tuple(each["00080018"]["Value"][0] for each in found)
    return await archive.archive.retrieve.select(archive.tenant_id, InstanceSelection(sop_instance_uids=uids))


async def ask(archive: InProcessArchive, remote: RemoteAe) -> Commitment:
    """Ask a remote about all instances, and wait for its answer."""
    commitment = archive.archive.commitment
    asked = await commitment.ask(archive.tenant_id, remote, archive.ae_title, await kept(archive))
    async with asyncio.timeout(_WAIT_S):
        while (found := await commitment.find(archive.tenant_id, asked.commitment_id)).verdicts is None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
    return found


async def told(archive: InProcessArchive) -> None:
    """Wait until the other side has heard of the only transaction."""
    async with asyncio.timeout(_WAIT_S):
        while (await archive.archive.commitment.recent(archive.tenant_id))[0].sent_at is None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)


async def jobs_of(archive: InProcessArchive) -> list[Job]:
    return await archive.archive.jobs.select(archive.tenant_id, JobSelection(kind=COMMITMENT_JOB), limit=10)
