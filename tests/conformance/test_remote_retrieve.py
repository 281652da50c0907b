"""Other implementations give us what they have, by C-GET and C-MOVE: DCMTK, Orthanc, pynetdicom, over loopback.

PS3.4 §C.4.2, §C.4.3.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from hilum.app.folder import FolderStore
from hilum.app.retrieval import pull, taking_in
from hilum.archive.model import Origin, OriginKind
from hilum.archive.pulling import RetrieveProgress, Wanted, Way
from hilum.archive.query import Level
from hilum.dicom.query_keys import identifier_of
from hilum.kernel.errors import InvalidInput, Unavailable, Unsupported
from hilum.scp.calls import Caller
from hilum.scu.instances import read_outgoing
from hilum.scu.remote import Remote
from hilum.scu.retrieval import get, move
from hilum.scu.storage import send_instances
from hilum.scu.survey import sop_classes_of_study
from support.dimse import CT_STORAGE, MemoryStore, running_archive
from support.instances import ct_slice, data_set_bytes, part10
from support.peers import dcmqrscp, orthanc

STUDY = "1.2.3.4.5"
CALLER = Caller(1, Origin(OriginKind.DIMSE, "REMOTE", "HILUM", "127.0.0.1"))
# With dcmqrscp's option to accept their transfer syntax.
SYNTAXES = {
    "MR_small_RLE.dcm": "+xr",
    "JPEG-LL.dcm": "+xs",
    "MR_small_jp2klossless.dcm": "+xv",
    "SC_rgb_jpeg_dcmtk.dcm": "+xy",
}


def study_files(folder: Path, count: int = 12, side: int = 64) -> list[Path]:
    paths = []
    for number in range(count):
        path = folder / f"{number}.dcm"
        series = f"{STUDY}.{number % 3}"
        path.write_bytes(part10(ct_slice(study=STUDY, series=series, number=number, side=side)))
        paths.append(path)
    return paths


def data_sets(paths: list[Path]) -> dict[str, bytes]:
    """The data sets of files by SOP Instance UID."""
    return {str(pydicom.dcmread(path).SOPInstanceUID): data_set_bytes(path.read_bytes()) for path in paths}


def received(store: MemoryStore) -> dict[str, bytes]:
    return {str(each.sop_instance_uid): bytes(each.content) for each in store.instances}


async def run_get(remote: Remote, store: MemoryStore | FolderStore, **options: Any) -> list[RetrieveProgress]:
    keys = identifier_of(options.pop("keys", {"StudyInstanceUID": STUDY}))
    progress = get(remote, keys, begin=taking_in(store, CALLER), calling_ae_title="HILUM", **options)
    return [each async for each in progress]


async def run_move(remote: Remote, destination: str = "HILUM", **options: Any) -> list[RetrieveProgress]:
    keys = identifier_of(options.pop("keys", {"StudyInstanceUID": STUDY}))
    return [each async for each in move(remote, keys, destination=destination, calling_ae_title="HILUM", **options)]


async def run_pull(remote: Remote, store: MemoryStore, **options: Any) -> list[RetrieveProgress]:
    wanted = options.pop("wanted", Wanted(STUDY))
    progress = pull(remote, wanted, store, tenant_id=1, own_ae_title="HILUM", **options)
    return [each async for each in progress]


async def load(remote: Remote, paths: list[Path]) -> None:
    outgoing = [read_outgoing(OnDisk(path)) for path in paths]
    async for result in send_instances(outgoing, remote, calling_ae_title="HILUM"):
        assert result.status == 0, result


class OnDisk:
    """A file on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label = str(path)

    def open(self) -> Any:
        return self.path.open("rb")


def assert_counts(progress: list[RetrieveProgress], total: int) -> None:
    """Counts grow, add up as long as the remote gives all of them, and end with everything done."""
    for before, after in pairwise(progress):
        assert after.completed >= before.completed
    for each in progress:
        if each.remaining:
            assert each.completed + each.failed + each.warning + each.remaining == total
    last = progress[-1]
    assert (last.status, last.completed, last.failed, last.remaining) == (0, total, 0, 0)


def assert_same_pixels(store: MemoryStore, dataset: Dataset) -> None:
    """The one instance is in the syntax of the data set and has its fragments.

    These remotes write data sets anew: other elements get the VR of their dictionary, and pixels that of theirs.
    """
    (instance,) = store.instances
    assert instance.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID
    assert dataset.PixelData.rstrip(b"\0") in bytes(instance.content)


class TestDcmtk:
    """dcmqrscp."""

    async def test_a_study_comes_byte_for_byte_by_get(self, tmp_path: Path) -> None:
        files = study_files(tmp_path)
        store = MemoryStore()
        async with dcmqrscp(tmp_path, files) as remote:
            assert_counts(await run_get(remote, store), 12)
        assert received(store) == data_sets(files)

    async def test_a_study_comes_byte_for_byte_by_move(self, tmp_path: Path) -> None:
        files = study_files(tmp_path)
        async with (
            running_archive() as archive,
            dcmqrscp(tmp_path, files, destinations={"HILUM": archive.port}) as remote,
        ):
            assert_counts(await run_move(remote), 12)
            assert received(archive.store) == data_sets(files)

    @pytest.mark.parametrize("name", SYNTAXES)
    async def test_compressed_instances_come_as_they_are_stored(self, name: str, tmp_path: Path) -> None:
        path = Path(str(get_testdata_file(name)))
        dataset = pydicom.dcmread(path)
        store = MemoryStore()
        async with dcmqrscp(tmp_path, [path], SYNTAXES[name]) as remote:
            await run_pull(remote, store, wanted=Wanted(str(dataset.StudyInstanceUID)))
        assert_same_pixels(store, dataset)

    async def test_the_level_says_what_comes(self, tmp_path: Path) -> None:
        files = study_files(tmp_path)
        store = MemoryStore()
        one = str(pydicom.dcmread(files[4]).SOPInstanceUID)
        async with dcmqrscp(tmp_path, files) as remote:
            keys = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.1"}
            assert_counts(await run_get(remote, store, keys=keys, level=Level.SERIES), 4)
            assert received(store) == data_sets(files[1::3])
            store.instances.clear()
            assert_counts(await run_get(remote, store, keys=keys | {"SOPInstanceUID": one}, level=Level.INSTANCE), 1)
        assert set(received(store)) == {one}

    async def test_an_unknown_destination_is_told(self, tmp_path: Path) -> None:
        async with dcmqrscp(tmp_path, study_files(tmp_path)) as remote:
            with pytest.raises(Unavailable, match=r"A801: .*destination unknown"):
                await run_move(remote, "NOBODY")

    async def test_a_study_that_is_not_there_brings_nothing(self, tmp_path: Path) -> None:
        store = MemoryStore()
        async with dcmqrscp(tmp_path, study_files(tmp_path)) as remote:
            (last,) = await run_get(remote, store, keys={"StudyInstanceUID": "1.9.9"})
        assert (last.status, last.completed, store.instances) == (0, 0, [])

    async def test_what_we_refuse_counts_as_failed_and_is_asked_for_once_more(self, tmp_path: Path) -> None:
        files = study_files(tmp_path, 3)
        store = MemoryStore()
        store.commit_error = InvalidInput("not today")
        told: list[RetrieveProgress] = []
        async with dcmqrscp(tmp_path, files) as remote:
            with pytest.raises(Unavailable, match="A702"):
                async for each in pull(remote, Wanted(STUDY), store, tenant_id=1, own_ae_title="HILUM"):
                    told.append(each)
        assert (told[-1].failed, told[-1].completed) == (3, 0)
        assert set(told[-1].failed_instances) == set(data_sets(files))
        assert len(store.begun) == 6

    async def test_a_folder_takes_what_comes(self, tmp_path: Path) -> None:
        files = study_files(tmp_path, 3, side=900)
        async with dcmqrscp(tmp_path, files) as remote:
            assert_counts(await run_get(remote, FolderStore(tmp_path / "in")), 3)
        written = sorted((tmp_path / "in").iterdir())
        assert data_sets(written) == data_sets(files)
        assert {path.stem for path in written} == set(data_sets(files))
        assert pydicom.dcmread(written[0]).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


class TestOrthanc:
    """Debian's Orthanc."""

    async def test_a_study_comes_byte_for_byte_by_get_and_by_move(self, tmp_path: Path) -> None:
        files = study_files(tmp_path)
        async with running_archive() as archive, orthanc(tmp_path, modalities={"HILUM": archive.port}) as (remote, _):
            await load(remote, files)
            assert await sop_classes_of_study(remote, STUDY, calling_ae_title="HILUM") == (CT_STORAGE,)
            store = MemoryStore()
            assert_counts(await run_get(remote, store), 12)
            assert received(store) == data_sets(files)
            assert (await run_move(remote))[-1].status == 0
            assert received(archive.store) == data_sets(files)

    @pytest.mark.parametrize("name", SYNTAXES)
    async def test_compressed_instances_come_as_they_are_stored(self, name: str, tmp_path: Path) -> None:
        path = Path(str(get_testdata_file(name)))
        dataset = pydicom.dcmread(path)
        store = MemoryStore()
        async with orthanc(tmp_path) as (remote, _):
            await load(remote, [path])
            await run_pull(remote, store, wanted=Wanted(str(dataset.StudyInstanceUID)))
        assert_same_pixels(store, dataset)


class TestPynetdicom:
    """pynetdicom 3, which does what the test says."""

    @contextmanager
    def scp(
        self,
        *,
        on_get: Callable[[evt.Event], Iterator[Any]] | None = None,
        on_move: Callable[[evt.Event], Iterator[Any]] | None = None,
    ) -> Iterator[Remote]:
        ae = AE("PYNETDICOM")
        handlers: list[Any] = []
        if on_get is not None:
            ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
            ae.add_supported_context(CTImageStorage, scu_role=False, scp_role=True)
            handlers.append((evt.EVT_C_GET, on_get))
        if on_move is not None:
            ae.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
            handlers.append((evt.EVT_C_MOVE, on_move))
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        try:
            yield Remote("PYNETDICOM", "127.0.0.1", server.socket.getsockname()[1])
        finally:
            server.shutdown()

    async def test_what_it_sends_arrives_and_its_failures_are_named(self) -> None:
        slices = [ct_slice(number=number) for number in range(4)]
        other = ct_slice()
        other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.128"  # for which there is no context

        def on_get(event: evt.Event) -> Iterator[Any]:
            yield 5
            for each in (*slices, other):
                yield 0xFF00, each

        store = MemoryStore()
        with self.scp(on_get=on_get) as remote:
            progress = await run_get(remote, store)
        assert (progress[-1].status, progress[-1].completed, progress[-1].failed) == (0xB000, 4, 1)
        assert progress[-1].failed_instances == (other.SOPInstanceUID,)
        assert set(received(store)) == {each.SOPInstanceUID for each in slices}

    async def test_a_remote_without_get_is_asked_to_move(self) -> None:
        async with running_archive() as archive:

            def on_move(event: evt.Event) -> Iterator[Any]:
                assert event.move_destination == "HILUM"
                yield "127.0.0.1", archive.port, {"contexts": [_ct_context()]}
                yield 2
                for number in (1, 2):
                    yield 0xFF00, ct_slice(number=number)

            store = MemoryStore()
            with self.scp(on_move=on_move) as remote:
                progress = await run_pull(remote, store)
                assert (progress[-1].status, progress[-1].completed) == (0, 2)
                with pytest.raises(Unsupported):
                    await run_pull(remote, store, way=Way.GET)
            assert store.instances == []
            assert len(archive.store.instances) == 2

    async def test_closed_early_it_is_cancelled(self) -> None:
        cancelled = threading.Event()

        def on_get(event: evt.Event) -> Iterator[Any]:
            yield 2000
            for number in range(2000):
                if event.is_cancelled:
                    cancelled.set()
                    yield 0xFE00, None
                    return
                yield 0xFF00, ct_slice(number=number, side=8)

        store = MemoryStore()
        with self.scp(on_get=on_get) as remote:
            progress = get(
                remote,
                identifier_of({"StudyInstanceUID": STUDY}),
                begin=taking_in(store, CALLER),
                calling_ae_title="HILUM",
            )
            async with aclosing(progress):
                while (await anext(progress)).completed < 3:
                    pass
            assert cancelled.wait(10)
        assert 3 <= len(store.instances) < 2000

    async def test_a_remote_that_drops_the_association_in_the_middle_is_told(self) -> None:
        def on_get(event: evt.Event) -> Iterator[Any]:
            yield 10
            yield 0xFF00, ct_slice()
            event.assoc.abort()
            time.sleep(0.2)
            yield 0xFF00, ct_slice()

        store = MemoryStore()
        with self.scp(on_get=on_get) as remote, pytest.raises(Unavailable):
            await run_get(remote, store)
        assert len(store.instances) == 1

    async def test_a_remote_at_work_is_not_taken_for_silent_and_a_silent_one_is(self) -> None:
        def on_get(event: evt.Event) -> Iterator[Any]:
            yield 3
            for number in range(3):
                time.sleep(0.4)
                yield 0xFF00, ct_slice(number=number)

        with self.scp(on_get=on_get) as remote:
            assert_counts(await run_get(remote, MemoryStore(), silence_s=2.0), 3)
            with pytest.raises(Unavailable, match="does not answer"):
                await run_get(remote, MemoryStore(), silence_s=0.1)
            await asyncio.sleep(1.5)  # its thread ends before the server does


def _ct_context() -> Any:
    from pynetdicom import build_context

    return build_context(CTImageStorage, ExplicitVRLittleEndian)
