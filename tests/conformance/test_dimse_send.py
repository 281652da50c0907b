"""Other implementations as acceptors: DCMTK, pynetdicom and Orthanc receive what we send, over loopback.

PS3.4 Annexes A and B.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.request import urlopen

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from hilum.archive.sending import SendState
from hilum.kernel.errors import Forbidden
from hilum.scu.instances import OutgoingInstance, read_outgoing
from hilum.scu.remote import Remote
from hilum.scu.storage import SendResult, send_instances
from hilum.scu.verification import echo
from support.instances import ct_slice, part10
from support.peers import free_port, orthanc, running

_FAMILIES = [
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "MR_small_RLE.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "JPEG-lossy.dcm",
    "JPEG-LL.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "JPEG2000.dcm",
]


@dataclass(frozen=True)
class FileSource:
    """A file on disk."""

    path: Path

    @property
    def label(self) -> str:
        return str(self.path)

    def open(self) -> IO[bytes]:
        return self.path.open("rb")


def outgoing(path: Path) -> OutgoingInstance:
    return read_outgoing(FileSource(path))


def slices(folder: Path, count: int, side: int = 200) -> list[OutgoingInstance]:
    instances = []
    for number in range(count):
        path = folder / f"{number}.dcm"
        path.write_bytes(part10(ct_slice(number=number, side=side)))
        instances.append(outgoing(path))
    return instances


async def send_all(instances: list[OutgoingInstance], remote: Remote, **options: Any) -> list[SendResult]:
    return [result async for result in send_instances(instances, remote, **options)]


def data_set_of(path: Path) -> bytes:
    """Return the bytes of the data set, with the padding an odd one has to have."""
    content = path.read_bytes()[outgoing(path).data_set_offset :]
    return content + bytes(len(content) % 2)


class TestDcmtk:
    """DCMTK's storescp writes what it gets bit by bit (`+B`), so that data sets can be compared."""

    @asynccontextmanager
    async def storescp(self, folder: Path, *options: str) -> AsyncIterator[Remote]:
        port = free_port()
        received = folder / "received"
        received.mkdir()
        command = ["/usr/bin/storescp", *options, "-od", str(received), str(port)]
        async with running(port, *command, cwd=folder):
            yield Remote("STORESCP", "127.0.0.1", port)

    async def test_storescp_is_verified(self, tmp_path: Path) -> None:
        async with self.storescp(tmp_path) as remote:
            assert await echo(remote, calling_ae_title="HILUM") > 0

    @pytest.mark.parametrize("name", _FAMILIES)
    async def test_each_family_of_transfer_syntaxes_arrives_byte_for_byte(self, name: str, tmp_path: Path) -> None:
        path = Path(str(get_testdata_file(name)))
        async with self.storescp(tmp_path, "+B", "+xa") as remote:
            (result,) = await send_all([outgoing(path)], remote, calling_ae_title="HILUM")
        assert result.state is SendState.STORED, result.reason
        (received,) = (tmp_path / "received").iterdir()
        assert data_set_of(received) == data_set_of(path)
        meta = pydicom.filereader.read_file_meta_info(received)
        assert meta.TransferSyntaxUID == pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID

    @pytest.mark.parametrize("pdu", ["4096", "131072"])
    async def test_a_series_arrives_at_every_pdu_length(self, pdu: str, tmp_path: Path) -> None:
        instances = slices(tmp_path, 10)
        async with self.storescp(tmp_path, "+B", "--max-pdu", pdu) as remote:
            results = await send_all(instances, remote, calling_ae_title="HILUM")
        assert {each.state for each in results} == {SendState.STORED}
        received = {data_set_of(path) for path in (tmp_path / "received").iterdir()}
        assert received == {data_set_of(tmp_path / f"{number}.dcm") for number in range(10)}

    async def test_what_the_remote_accepts_in_no_context_is_refused_with_the_reason(self, tmp_path: Path) -> None:
        path = Path(str(get_testdata_file("JPEG2000.dcm")))
        async with self.storescp(tmp_path) as remote:
            results = await send_all([outgoing(path), *slices(tmp_path, 1)], remote, calling_ae_title="HILUM")
        assert [each.state for each in results] == [SendState.REFUSED, SendState.STORED]
        assert "accepts neither" in results[0].reason

    async def test_a_remote_that_refuses_every_association_is_named_so(self, tmp_path: Path) -> None:
        async with self.storescp(tmp_path, "--refuse") as remote:
            with pytest.raises(Forbidden):
                await echo(remote, calling_ae_title="HILUM")

    async def test_a_remote_that_aborts_in_the_middle_is_tried_again_and_given_up(self, tmp_path: Path) -> None:
        async with self.storescp(tmp_path, "--abort-during") as remote:
            (result,) = await send_all(
                slices(tmp_path, 1), remote, calling_ae_title="HILUM", attempts=2, retry_delay_s=0.05
            )
        assert result.state is SendState.FAILED

    async def test_corpus_files_sent_arrive_byte_for_byte(self, corpus: Path, tmp_path: Path) -> None:
        paths = sorted((corpus / "ct_phantom_study").rglob("*.dcm"))[:20]
        assert paths
        async with self.storescp(tmp_path, "+B", "+xa") as remote:
            results = await send_all([outgoing(path) for path in paths], remote, calling_ae_title="HILUM")
        assert {each.state for each in results} == {SendState.STORED}
        received = {data_set_of(path) for path in (tmp_path / "received").iterdir()}
        assert received == {data_set_of(path) for path in paths}


class TestPynetdicom:
    """pynetdicom 3 as acceptor."""

    @contextmanager
    def scp_with(self, store: Callable[[evt.Event], int]) -> Iterator[Remote]:
        ae = AE("PYNETDICOM")
        ae.supported_contexts = AllStoragePresentationContexts
        ae.add_supported_context(Verification)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
        try:
            yield Remote("PYNETDICOM", "127.0.0.1", server.socket.getsockname()[1])
        finally:
            server.shutdown()

    @contextmanager
    def scp(self, status: int = 0) -> Iterator[tuple[Remote, list[bytes]]]:
        received: list[bytes] = []
        lock = threading.Lock()

        def store(event: evt.Event) -> int:
            with lock:
                received.append(event.request.DataSet.getvalue())
            return status

        with self.scp_with(store) as remote:
            yield remote, received

    async def test_it_is_verified(self) -> None:
        with self.scp() as (remote, _):
            assert await echo(remote, calling_ae_title="HILUM") > 0

    async def test_instances_arrive_byte_for_byte_over_several_associations(self, tmp_path: Path) -> None:
        instances = slices(tmp_path, 8)
        with self.scp() as (remote, received):
            results = await send_all(instances, remote, calling_ae_title="HILUM", associations=3)
        assert {each.state for each in results} == {SendState.STORED}
        assert set(received) == {data_set_of(tmp_path / f"{number}.dcm") for number in range(8)}

    @pytest.mark.parametrize(
        ("status", "state"), [(0xB000, SendState.STORED), (0xA700, SendState.REFUSED), (0x0122, SendState.REFUSED)]
    )
    async def test_its_status_is_told(self, status: int, state: SendState, tmp_path: Path) -> None:
        with self.scp(status) as (remote, _):
            (result,) = await send_all(slices(tmp_path, 1), remote, calling_ae_title="HILUM")
        assert (result.state, result.status) == (state, status)
        assert result.reason

    async def test_a_remote_that_ends_each_association_early_gets_everything_in_the_end(self, tmp_path: Path) -> None:
        instances = slices(tmp_path, 12)
        received: list[bytes] = []
        ends = 0

        def store(event: evt.Event) -> int:
            nonlocal ends
            received.append(event.request.DataSet.getvalue())
            if len(received) % 4 == 0:
                ends += 1
                event.assoc.abort()
            return 0

        with self.scp_with(store) as remote:
            results = await send_all(instances, remote, calling_ae_title="HILUM", retry_delay_s=0.05)
        assert {each.state for each in results} == {SendState.STORED}
        assert len(results) == 12
        assert set(received) == {data_set_of(tmp_path / f"{number}.dcm") for number in range(12)}
        assert ends >= 3

    async def test_late_answers_and_warnings_are_taken_as_they_are(self, tmp_path: Path) -> None:
        def store(event: evt.Event) -> int:
            time.sleep(0.1)
            return 0xB007 if event.request.AffectedSOPInstanceUID == odd else 0

        instances = slices(tmp_path, 4)
        odd = instances[2].sop_instance_uid
        with self.scp_with(store) as remote:
            results = await send_all(instances, remote, calling_ae_title="HILUM", associations=2)
        assert {each.state for each in results} == {SendState.STORED}
        assert [each.instance.sop_instance_uid for each in results if each.reason] == [odd]


class TestOrthanc:
    """Debian's Orthanc as receiver."""

    async def test_a_series_arrives_and_is_there(self, tmp_path: Path) -> None:
        instances = slices(tmp_path, 10)
        async with orthanc(tmp_path) as (remote, url):
            assert await echo(remote, calling_ae_title="HILUM") > 0
            results = await send_all(instances, remote, calling_ae_title="HILUM", associations=2)
            assert {each.state for each in results} == {SendState.STORED}, results
            with pytest.raises(Forbidden, match="called ae title not recognized"):
                await echo(Remote("NOBODY", "127.0.0.1", remote.port), calling_ae_title="HILUM")
            statistics = await asyncio.to_thread(_get_json, f"{url}/statistics")
            assert statistics["CountInstances"] == 10


def _get_json(url: str) -> dict[str, int]:
    with urlopen(url, timeout=20) as answer:
        content: dict[str, int] = json.load(answer)
        return content
