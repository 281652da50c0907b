"""Many associations at a time on one worker: what idle ones cost, and whether busy ones are all served."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hilum.dimse.messages import CStoreResponse
from hilum.ul.primitives import AssociateAccept, ProposedContext
from support.certificates import Authority
from support.dimse import CT_STORAGE, EXPLICIT, Peer, association_request, store_request
from support.instances import ct_slice, data_set_bytes, part10
from support.running import RunningHilum, running_hilum

IDLE, BUSY = 200, 50
INSTANCES_EACH = 8
MAX_IDLE_BYTES = 20_000_000
CONTEXTS = tuple(ProposedContext(2 * number + 1, CT_STORAGE, (EXPLICIT,)) for number in range(30))


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with TemporaryDirectory(prefix="hilum-test-") as folder:
        yield Authority(Path(folder))


@pytest.fixture(scope="module")
def hilum(authority: Authority) -> Iterator[RunningHilum]:
    """One worker that listens with TLS and without."""
    own = authority.issue("hilum")
    settings = {
        "HILUM_DICOM_TLS_ENABLED": "true",
        "HILUM_DICOM_TLS_PORT": "0",
        "HILUM_DICOM_TLS_CERTIFICATE": str(own.certificate),
        "HILUM_DICOM_TLS_KEY": str(own.key),
        "HILUM_DICOM_TLS_REQUIRE_CLIENT_CERTIFICATE": "false",
    }
    with running_hilum(environment=settings) as running:
        yield running


async def associated(hilum: RunningHilum, tls: ssl.SSLContext | None = None) -> Peer:
    peer = await Peer.connected(hilum.dicom_tls_port if tls else hilum.dicom_port, tls)
    peer.send(association_request(called=hilum.ae_title, contexts=CONTEXTS))
    assert isinstance(await peer.event(), AssociateAccept)
    return peer


@pytest.mark.parametrize("way", ["TCP", "TLS"])
async def test_200_idle_associations_cost_less_than_20_megabytes(
    hilum: RunningHilum, authority: Authority, way: str
) -> None:
    tls = ssl.create_default_context(cafile=str(authority.certificate)) if way == "TLS" else None
    (worker,) = hilum.workers()
    for _ in range(5):  # what the first ones load for all
        await (await associated(hilum, tls)).release()
    before = worker.memory_full_info().uss
    peers = [await associated(hilum, tls) for _ in range(IDLE)]
    grown = worker.memory_full_info().uss - before
    for peer in peers:
        await peer.release()
    assert grown < MAX_IDLE_BYTES


async def test_of_50_busy_associations_none_starves(hilum: RunningHilum) -> None:
    """When the first has had all its instances answered, no other is far behind."""
    answered: Counter[int] = Counter()
    when_first_was_done: list[Counter[int]] = []

    async def send(number: int, peer: Peer, slices: list[tuple[str, bytes]]) -> None:
        for message_id, (uid, data_set) in enumerate(slices, 1):
            peer.send_message(1, store_request(message_id, uid), data_set)
            response = await peer.response()
            assert isinstance(response, CStoreResponse)
            assert response.status == 0
            answered[number] += 1
        if not when_first_was_done:
            when_first_was_done.append(answered.copy())
        await peer.release()

    def made() -> list[tuple[str, bytes]]:
        first = ct_slice(side=128)
        slices = [
            ct_slice(study=first.StudyInstanceUID, series=first.SeriesInstanceUID, number=number, side=128)
            for number in range(INSTANCES_EACH)
        ]
        return [(str(each.SOPInstanceUID), data_set_bytes(part10(each))) for each in slices]

    content = [made() for _ in range(BUSY)]
    peers = [await associated(hilum) for _ in range(BUSY)]
    await asyncio.gather(*(send(number, *each) for number, each in enumerate(zip(peers, content, strict=True))))
    assert answered == Counter(dict.fromkeys(range(BUSY), INSTANCES_EACH))
    assert min(when_first_was_done[0][number] for number in range(BUSY)) >= INSTANCES_EACH // 4
