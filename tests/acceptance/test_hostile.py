"""Hostile peers: refused cheaply, memory flat, others keep working."""

from __future__ import annotations

import socket
import struct
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

from support.instances import ct_slice, data_set_bytes, multipart, part10
from support.running import RunningHilum, running_hilum
from support.wire import WirePeer

_GROWTH_BYTES = 200 * 1024 * 1024


@contextmanager
def memory_stays_flat(hilum: RunningHilum) -> Iterator[None]:
    """The same workers live on, none of them much larger."""
    before = {worker.pid: worker.memory_info().rss for worker in hilum.workers()}
    assert len(before) == 2
    yield
    after = {worker.pid: worker.memory_info().rss for worker in hilum.workers()}
    assert after.keys() == before.keys(), f"a worker died:\n{hilum.errors[-3000:]}"
    for pid, size in after.items():
        assert size - before[pid] < _GROWTH_BYTES


def store(hilum: RunningHilum, dataset: Dataset) -> Dataset:
    """C-STORE by pynetdicom and return the status."""
    entity = AE(ae_title="FRIEND")
    entity.add_requested_context(CTImageStorage, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", hilum.dicom_port, ae_title=hilum.ae_title)
    assert association.is_established
    status = association.send_c_store(dataset)
    if association.is_established:
        association.release()
    return status


def connect(hilum: RunningHilum) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", hilum.dicom_port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def is_ended(connection: socket.socket) -> bool:
    """The peer has closed or aborted."""
    try:
        received = connection.recv(65_536)
    except ConnectionError:
        return True
    return received == b"" or received[0] == 7


@pytest.mark.parametrize("kind", range(9))
def test_pdu_that_claims_four_gigabytes_ends_the_connection(hilum: RunningHilum, kind: int) -> None:
    with memory_stays_flat(hilum), connect(hilum) as connection:
        connection.sendall(struct.pack(">BxI", kind, 0xFFFFFFFF) + bytes(1024))
        assert is_ended(connection)
        assert store(hilum, ct_slice()).Status == 0


def test_ten_thousand_presentation_contexts_are_refused(hilum: RunningHilum) -> None:
    context = struct.pack(">BxHBxxx", 0x20, 4 + 4 + 17 + 4 + 17, 1)
    context += struct.pack(">BxH17s", 0x30, 17, b"1.2.840.10008.1.1") + struct.pack(
        ">BxH17s", 0x40, 17, b"1.2.840.10008.1.2"
    )
    body = struct.pack(">Hxx16s16s32x", 1, hilum.ae_title.ljust(16).encode(), b"X".ljust(16)) + context * 10_000
    with memory_stays_flat(hilum), connect(hilum) as connection:
        connection.sendall(struct.pack(">BxI", 1, len(body)) + body)
        assert is_ended(connection)
        assert store(hilum, ct_slice()).Status == 0


def test_three_hundred_half_open_associations_do_not_keep_others_out(hilum: RunningHilum) -> None:
    with memory_stays_flat(hilum), ExitStack() as stack:
        for _ in range(300):
            connection = stack.enter_context(connect(hilum))
            connection.sendall(b"\x01\x00\x00")  # the beginning of a head, and then nothing
        assert store(hilum, ct_slice()).Status == 0


def test_byte_by_byte_association_is_understood(hilum: RunningHilum) -> None:
    context = struct.pack(">BxHBxxx", 0x20, 4 + 4 + 17 + 4 + 17, 1)
    context += struct.pack(">BxH17s", 0x30, 17, b"1.2.840.10008.1.1") + struct.pack(
        ">BxH17s", 0x40, 17, b"1.2.840.10008.1.2"
    )
    user = struct.pack(">BxHI", 0x51, 4, 16384) + struct.pack(">BxH6s", 0x52, 6, b"2.25.1")
    body = struct.pack(">Hxx16s16s32x", 1, hilum.ae_title.ljust(16).encode(), b"SLOW".ljust(16))
    body += (
        struct.pack(">BxH21s", 0x10, 21, b"1.2.840.10008.3.1.1.1")
        + context
        + struct.pack(">BxH", 0x50, len(user))
        + user
    )
    with connect(hilum) as connection:
        for byte in struct.pack(">BxI", 1, len(body)) + body:
            connection.sendall(bytes([byte]))
        assert connection.recv(1) == b"\x02"


@pytest.mark.parametrize(
    "uid",
    ["../../../etc/passwd", "1.2.3/../4", "1.2\x003", "1." + "2" * 70, "..", "1.2.3\n4", "/abs", "\\\\host\\x", ""],
)
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_uid_that_is_none_is_refused_at_both_doors(hilum: RunningHilum, keyword: str, uid: str) -> None:
    dataset = ct_slice()
    with warnings.catch_warnings():  # pydicom warns of every one of them
        warnings.simplefilter("ignore")
        setattr(dataset, keyword, uid)
        file = part10(dataset)
        body, content_type = multipart([file])
        status = store(hilum, dataset) if keyword != "SOPInstanceUID" else None
    with hilum.client() as client:
        answer = client.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 409
    assert "00081198" in answer.json()
    if status is not None:
        assert status.Status & 0xF000 in (0xA000, 0xC000)
        assert keyword in status.ErrorComment
    assert not list(hilum.data.rglob("*passwd*"))


def _deep(depth: int, *, is_closed: bool) -> bytes:
    opening = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return opening * depth + (closing * depth if is_closed else b"")


@pytest.mark.parametrize("is_closed", [True, False])
def test_sequences_ten_thousand_deep_are_refused(hilum: RunningHilum, is_closed: bool) -> None:
    good = part10(ct_slice())
    start = len(good) - len(data_set_bytes(good))
    deep = good[:start] + _deep(10_000, is_closed=is_closed) + good[start:]
    other = part10(ct_slice())
    body, content_type = multipart([deep, other])
    with memory_stays_flat(hilum), hilum.client() as client:
        answer = client.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type})
        assert answer.status_code == 202
        assert len(answer.json()["00081198"]["Value"]) == 1
        assert len(answer.json()["00081199"]["Value"]) == 1


def test_deflate_bomb_is_refused(hilum: RunningHilum) -> None:
    dataset = ct_slice()
    plain = data_set_bytes(part10(dataset))
    pixel_data = plain.rindex(b"\xe0\x7f\x10\x00OW")
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = compressor.compress(plain[:pixel_data] + b"\xe0\x7f\x10\x00OW\0\0\0\0\0\xf0")
    head += compressor.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers back: the same 16 MiB of zeros may be repeated without being compressed again.
    zeros = compressor.compress(bytes(16 * 1024 * 1024)) + compressor.flush(zlib.Z_FULL_FLUSH)
    pieces = [head, zeros * 240, compressor.flush()]
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    shell = part10_meta(dataset)
    body, content_type = multipart([shell + b"".join(pieces)])
    with memory_stays_flat(hilum), hilum.client() as client:
        answer = client.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type})
        assert answer.status_code == 409
        assert store(hilum, ct_slice()).Status == 0


def part10_meta(dataset: Dataset) -> bytes:
    """Preamble, prefix and file meta information of a data set."""
    from io import BytesIO

    from pydicom.filewriter import write_file_meta_info

    buffer = BytesIO()
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, dataset.file_meta, enforce_standard=True)
    return buffer.getvalue()


def _raw_http(hilum: RunningHilum, head: str, body: bytes) -> bytes:
    authorization = hilum.authorization["Authorization"]
    with socket.create_connection(("127.0.0.1", hilum.http_port), timeout=60) as connection:
        try:
            connection.sendall(f"{head}Host: x\r\nAuthorization: {authorization}\r\n\r\n".encode() + body)
            connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass
        received = b""
        try:
            while piece := connection.recv(65_536):
                received += piece
        except ConnectionError:
            pass
        return received


def test_body_shorter_than_its_content_length_stores_nothing_half(hilum: RunningHilum) -> None:
    whole, cut = ct_slice(side=256), ct_slice(side=256)
    body, content_type = multipart([part10(whole), part10(cut)])
    body = body[: -len(part10(cut)) // 2]
    head = f"POST /dicom-web/studies HTTP/1.1\r\nContent-Type: {content_type}\r\nContent-Length: {10**9}\r\n"
    with memory_stays_flat(hilum):
        _raw_http(hilum, head, body)
    with hilum.client() as client:
        path = f"/dicom-web/studies/{cut.StudyInstanceUID}/series"
        assert client.get(path).status_code in (204, 404)
    blobs = sum(1 for path in (hilum.data / "blobs").rglob("*") if path.is_file())
    with hilum.client() as client:
        count = len(client.get("/dicom-web/instances", params={"limit": 5000}).json())
    assert blobs == count


def test_multipart_header_without_end_is_refused(hilum: RunningHilum) -> None:
    head = "POST /dicom-web/studies HTTP/1.1\r\nContent-Length: 50000000\r\n"
    head += 'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
    with memory_stays_flat(hilum):
        answer = _raw_http(hilum, head, b"--b\r\nContent-Type: " + b"a" * 50_000_000)
    assert answer == b"" or answer.split(b" ", 2)[1] in (b"400", b"413")


def test_http_head_without_end_is_refused(hilum: RunningHilum) -> None:
    with memory_stays_flat(hilum), socket.create_connection(("127.0.0.1", hilum.http_port), timeout=60) as connection:
        answer = b""
        try:
            for _ in range(2000):
                connection.sendall(b"GET / HTTP/1.1\r\n" if not answer and _ == 0 else b"X-A: " + b"b" * 8000 + b"\r\n")
        except ConnectionError:
            return
        try:
            answer = connection.recv(100)
        except ConnectionError:
            return
        assert answer == b"" or b" 400 " in answer


def test_one_byte_at_a_time_over_both_doors_does_not_hold_up_others(hilum: RunningHilum) -> None:
    slow = ct_slice()
    body, content_type = multipart([part10(slow)])
    head = (
        f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: {hilum.authorization['Authorization']}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with memory_stays_flat(hilum), ExitStack() as stack:
        uploads = [
            stack.enter_context(socket.create_connection(("127.0.0.1", hilum.http_port), timeout=30)) for _ in range(20)
        ]
        peers = [stack.enter_context(WirePeer(hilum)) for _ in range(20)]
        for upload in uploads:
            upload.sendall(head.encode())
        contents = [peer.begin(ct_slice()) for peer in peers]
        for second in range(3):
            for upload in uploads:
                upload.sendall(body[second : second + 1])
            for peer, content in zip(peers, contents, strict=True):
                peer.send(content[second : second + 1])
            assert store(hilum, ct_slice()).Status == 0
            with hilum.client() as client:
                fast, fast_type = multipart([part10(ct_slice())])
                answer = client.post("/dicom-web/studies", content=fast, headers={"Content-Type": fast_type})
                assert answer.status_code == 200
        # They are slow, not wrong: what comes whole in the end is kept.
        peers[0].send(contents[0][3:], is_last=True)
        assert peers[0].status() == 0
        uploads[0].sendall(body[3:])
        assert uploads[0].recv(4096).startswith(b"HTTP/1.1 200 ")


def test_associations_beyond_the_limit_get_the_transient_rejection_until_others_end() -> None:
    rejected_transient_local_limit = bytes((0, 2, 3, 2))
    with (
        running_hilum("--workers", "1", environment={"HILUM_DICOM_MAX_ASSOCIATIONS": "5"}) as hilum,
        ExitStack() as stack,
    ):
        held = [stack.enter_context(WirePeer(hilum)) for _ in range(5)]
        assert all(peer.is_established for peer in held)
        for _ in range(50):
            with WirePeer(hilum) as refused:
                assert (refused.answer, refused.answer_body) == (3, rejected_transient_local_limit)
        held[0].release()
        held[0].socket.close()
        deadline = time.monotonic() + 30
        while True:
            with WirePeer(hilum) as peer:
                if peer.is_established:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_two_hundred_idle_associations_cost_less_than_100_kilobytes_each(hilum: RunningHilum) -> None:
    def size() -> int:
        return sum(worker.memory_info().rss for worker in hilum.workers())

    with ExitStack() as stack:
        for _ in range(20):  # what every first association brings along is not counted
            stack.enter_context(WirePeer(hilum))
        before = size()
        peers = [stack.enter_context(WirePeer(hilum)) for _ in range(200)]
        assert all(peer.is_established for peer in peers)
        assert size() - before < 200 * 100 * 1024
        assert store(hilum, ct_slice()).Status == 0


@pytest.mark.parametrize(
    "target, header",
    [
        ("/dicom-web/studies", "Accept: " + "application/dicom+json;q=0.1," * 2000),
        ("/dicom-web/studies", "Accept: multipart/related;" + 'type="a";' * 5000),
        ("/dicom-web/studies?" + "PatientName=*a" * 3000, "Accept: application/json"),
        ("/dicom-web/studies?" + "PatientName=*%3f&" * 3000, "Accept: application/json"),
        ("/dicom-web/studies?includefield=" + "00100010," * 6000, "Accept: application/json"),
        ("/dicom-web/studies?StudyInstanceUID=" + "1.2.3," * 9000, "Accept: application/json"),
        ("/dicom-web/studies?" + "0040A730." * 6000 + "00100010=1", "Accept: application/json"),
        ("/dicom-web/studies?limit=" + "9" * 5000, "Accept: application/json"),
        ("/dicom-web/studies/" + "1." * 20000, "Accept: application/json"),
        ("/dicom-web/studies/1.2/series/1.2/instances/1.2/frames/" + "1," * 20000 + "1", "Accept: */*"),
        ("/" + "../" * 10000 + "etc/passwd", "Accept: */*"),
        ("/dicom-web/studies", "Cookie: " + "hilum_session=x;" * 3000),
    ],
    ids=lambda value: value[:40],
)
def test_endless_text_in_requests_is_answered_cheaply(hilum: RunningHilum, target: str, header: str) -> None:
    with memory_stays_flat(hilum):
        answer = _raw_http(hilum, f"GET {target} HTTP/1.1\r\n{header}\r\nConnection: close\r\n", b"")
    assert answer == b"" or answer.split(b" ", 2)[1] in (b"200", b"204", b"400", b"404", b"406", b"413", b"414", b"431")
