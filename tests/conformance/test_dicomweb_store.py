"""STOW-RS on a running Hilum: every instance gets its own answer (PS3.18 §10.5)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import httpx2
import pytest
from pydicom.uid import generate_uid

from support.dicomweb import BOUNDARY, STOW_TYPE, data_set_of, parts_of, stow, stow_body
from support.instances import ct_slice, part10
from support.running import RunningHilum

STUDIES = "/dicom-web/studies"
RETRIEVE_URL, FAILED, REFERENCED, OTHER = "00081190", "00081198", "00081199", "0008119A"
REASON, INSTANCE_UID = "00081197", "00081155"


@pytest.fixture(scope="module")
def client(hilum: RunningHilum) -> Iterator[httpx2.Client]:
    with hilum.client() as opened:
        yield opened


def reasons(response: httpx2.Response, sequence: str = FAILED) -> list[int]:
    return [item[REASON]["Value"][0] for item in response.json().get(sequence, {"Value": []})["Value"]]


def stored(response: httpx2.Response) -> list[str]:
    return [item[INSTANCE_UID]["Value"][0] for item in response.json().get(REFERENCED, {"Value": []})["Value"]]


class TestMultipart:
    """PS3.18 §10.5.1."""

    def test_instances_are_kept_byte_for_byte_and_named_in_the_answer(self, client: httpx2.Client) -> None:
        study = generate_uid()
        files = [part10(ct_slice(study=study, number=number)) for number in range(1, 20)]
        response = stow(client, files)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/dicom+json"
        assert len(stored(response)) == len(files)
        url = response.json()[RETRIEVE_URL]["Value"][0]
        assert url == str(client.base_url.join(f"{STUDIES}/{study}"))
        kept = {data_set_of(content) for _, content in parts_of(client.get(url))}
        assert kept == {data_set_of(file) for file in files}

    def test_one_bad_instance_costs_no_other(self, client: httpx2.Client) -> None:
        good, bad = ct_slice(), ct_slice()
        del bad.StudyInstanceUID
        response = stow(client, [part10(good), b"no DICOM at all", part10(bad), b""])
        assert response.status_code == 202
        assert stored(response) == [good.SOPInstanceUID]
        assert reasons(response) == [0xC000]
        assert reasons(response, OTHER) == [0xC000, 0xC000]

    def test_nothing_stored_is_a_conflict(self, client: httpx2.Client) -> None:
        response = stow(client, [b"no DICOM"])
        assert response.status_code == 409
        assert REFERENCED not in response.json()

    def test_the_same_again_is_success_without_change(self, client: httpx2.Client) -> None:
        instance = ct_slice()
        for _ in range(2):
            assert stow(client, [part10(instance)]).status_code == 200
        found = client.get(f"{STUDIES}/{instance.StudyInstanceUID}/instances").json()
        assert len(found) == 1

    def test_instance_of_another_study_is_refused_where_the_path_names_one(self, client: httpx2.Client) -> None:
        mine, other = ct_slice(), ct_slice()
        response = stow(client, [part10(mine), part10(other)], f"{STUDIES}/{mine.StudyInstanceUID}")
        assert response.status_code == 202
        assert stored(response) == [mine.SOPInstanceUID]
        assert reasons(response) == [0xA900]

    def test_a_transfer_syntax_that_is_no_uid_is_refused(self, client: httpx2.Client) -> None:
        file = part10(ct_slice()).replace(b"1.2.840.10008.1.2.1\x00", b"1.2\r\nX-Injected: y\x00")
        response = stow(client, [file])
        assert response.status_code == 409
        assert reasons(response) == [0xC000]

    def test_parts_of_another_type_are_refused_one_by_one(self, client: httpx2.Client) -> None:
        body = stow_body([part10(ct_slice())], "image/jpeg")
        response = client.post(STUDIES, content=body, headers={"Content-Type": STOW_TYPE})
        assert response.status_code == 409

    def test_what_was_complete_before_the_body_broke_is_stored_and_named(self, client: httpx2.Client) -> None:
        first, second = ct_slice(), ct_slice()
        body = stow_body([part10(first), part10(second)])[:-2000]
        response = client.post(STUDIES, content=body, headers={"Content-Type": STOW_TYPE})
        assert response.status_code == 202
        assert stored(response) == [first.SOPInstanceUID]
        assert reasons(response, OTHER) == [0xC000]
        assert client.get(f"{STUDIES}/{second.StudyInstanceUID}").status_code == 404

    def test_chunked_body_of_unknown_length_is_taken(self, client: httpx2.Client) -> None:
        instance = ct_slice()
        body = stow_body([part10(instance)])
        pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
        response = client.post(STUDIES, content=pieces, headers={"Content-Type": STOW_TYPE})
        assert stored(response) == [instance.SOPInstanceUID]

    def test_large_instance_streams_through(self, client: httpx2.Client) -> None:
        instance = ct_slice(side=3000, seed=1)
        file = part10(instance)
        assert stow(client, [file]).status_code == 200
        (part,) = parts_of(client.get(f"{STUDIES}/{instance.StudyInstanceUID}"))
        assert data_set_of(part[1]) == data_set_of(file)


class TestSinglePart:
    """PS3.18 §8.6.1.1."""

    def test_one_instance_may_come_alone(self, client: httpx2.Client) -> None:
        instance = ct_slice()
        response = client.post(STUDIES, content=part10(instance), headers={"Content-Type": "application/dicom"})
        assert response.status_code == 200
        assert stored(response) == [instance.SOPInstanceUID]

    def test_garbage_alone_is_a_conflict(self, client: httpx2.Client) -> None:
        response = client.post(STUDIES, content=b"x" * 100_000, headers={"Content-Type": "application/dicom"})
        assert response.status_code == 409


class TestRequest:
    """PS3.18 §10.5.3."""

    @pytest.mark.parametrize(
        ("content_type", "body", "status"),
        [
            ("text/plain", b"x", 415),
            ('multipart/related; type="application/dicom+json"; boundary=b', b"--b--", 415),
            ('multipart/form-data; boundary="b"', b"--b--", 415),
            ('multipart/related; type="application/dicom"', b"--b--", 400),
            (STOW_TYPE, f"--{BOUNDARY}--".encode(), 400),
            (STOW_TYPE, b"garbage without a boundary", 400),
            (STOW_TYPE, f"--{BOUNDARY}\r\nX: ".encode() + b"y" * 100_000, 413),
            (STOW_TYPE, b"z" * 1_000_000, 413),
            ("nonsense", b"x", 400),
        ],
    )
    def test_request_that_cannot_be_read_is_answered_with_a_problem(
        self, client: httpx2.Client, content_type: str, body: bytes, status: int
    ) -> None:
        response = client.post(STUDIES, content=body, headers={"Content-Type": content_type})
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status

    def test_answer_comes_as_xml_when_asked(self, client: httpx2.Client) -> None:
        response = client.post(
            STUDIES,
            content=part10(ct_slice()),
            headers={"Content-Type": "application/dicom", "Accept": "application/dicom+xml"},
        )
        assert response.headers["content-type"] == "application/dicom+xml"
        assert ElementTree.fromstring(response.content).tag.endswith("NativeDicomModel")

    def test_answer_in_no_form_we_have_is_refused_before_anything_is_stored(self, client: httpx2.Client) -> None:
        instance = ct_slice()
        response = client.post(
            STUDIES, content=part10(instance), headers={"Content-Type": "application/dicom", "Accept": "text/csv"}
        )
        assert response.status_code == 406
        assert client.get(f"{STUDIES}/{instance.StudyInstanceUID}").status_code == 404


def test_whole_corpus_is_stored_or_refused_with_a_reason(client: httpx2.Client, corpus: Any) -> None:
    names = sorted(path for path in (corpus / "broken").iterdir() if path.stat().st_size)
    response = stow(client, [path.read_bytes() for path in names])
    assert response.status_code == 202
    accepted, refused = len(stored(response)), len(reasons(response)) + len(reasons(response, OTHER))
    assert accepted + refused == len(names)
    assert accepted
    assert refused


class TestHostileClients:
    """Clients that go away, lie about lengths or never end."""

    @staticmethod
    def connect(hilum: RunningHilum, body: bytes, announced: int) -> socket.socket:
        """Begin a store request that announces another length than it has."""
        head = f"POST {STUDIES} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {STOW_TYPE}\r\n"
        head += f"Authorization: {hilum.authorization['Authorization']}\r\nContent-Length: {announced}\r\n\r\n"
        connection = socket.create_connection(("127.0.0.1", hilum.http_port), timeout=20)
        connection.sendall(head.encode() + body)
        return connection

    def test_what_is_complete_is_stored_before_the_request_ends_and_stays_when_the_client_leaves(
        self, hilum: RunningHilum, client: httpx2.Client
    ) -> None:
        first, second = ct_slice(), ct_slice()
        body = stow_body([part10(first), part10(second)])
        with self.connect(hilum, body[:-1500], len(body)):
            deadline = time.monotonic() + 20
            while client.get(f"{STUDIES}/{first.StudyInstanceUID}").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert client.get(f"{STUDIES}/{first.StudyInstanceUID}").status_code == 200
        assert client.get(f"{STUDIES}/{second.StudyInstanceUID}").status_code == 404

    def test_body_announced_beyond_all_bounds_is_refused_unread(self, hilum: RunningHilum) -> None:
        with self.connect(hilum, b"--", 1 << 50) as connection:
            assert b" 413 " in connection.recv(65536).split(b"\r\n")[0]

    def test_endless_part_headers_are_refused_and_memory_stays_flat(self, hilum: RunningHilum) -> None:
        before = sum(worker.memory_info().rss for worker in hilum.workers())
        body = f"--{BOUNDARY}\r\nX: ".encode() + b"y" * 20_000_000
        with hilum.client() as own:
            try:
                assert own.post(STUDIES, content=body, headers={"Content-Type": STOW_TYPE}).status_code == 413
            except httpx2.WriteError:
                pass  # refused while we were still sending
        assert sum(worker.memory_info().rss for worker in hilum.workers()) - before < 50_000_000

    def test_instance_of_hundreds_of_megabytes_streams_in_flat_memory(self, hilum: RunningHilum) -> None:
        instance = ct_slice()
        file = part10(instance)
        # Trailing padding makes any data set as long as one likes (PS3.10 §7.2).
        head = (
            f"--{BOUNDARY}\r\n\r\n".encode()
            + file
            + b"\xfc\xff\xfc\xffOB\x00\x00"
            + (300_000_000).to_bytes(4, "little")
        )

        def body() -> Iterator[bytes]:
            yield head
            for _ in range(300):
                yield bytes(1_000_000)
            yield f"\r\n--{BOUNDARY}--\r\n".encode()

        before = sum(worker.memory_info().rss for worker in hilum.workers())
        with hilum.client() as own:
            response = own.post(STUDIES, content=body(), headers={"Content-Type": STOW_TYPE})
            assert stored(response) == [instance.SOPInstanceUID]
            assert sum(worker.memory_info().rss for worker in hilum.workers()) - before < 60_000_000
            assert len(own.get(f"{STUDIES}/{instance.StudyInstanceUID}").content) > 300_000_000
