"""What Hilum sends, against its own acceptor with a store in memory and against peers that misbehave."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

import pytest

from hilum.archive.sending import SendState
from hilum.kernel.errors import Forbidden, InvalidInput, RemoteProtocolError, Unavailable, Unsupported
from hilum.kernel.limits import SEND_CHUNK_BYTES
from hilum.net.association import Association, Welcome
from hilum.net.reports import Outcome
from hilum.scp.negotiation import ScpSettings
from hilum.scp.service import ArchiveScp
from hilum.scu.contexts import InstanceKind, plan_contexts
from hilum.scu.instances import OutgoingInstance, read_outgoing
from hilum.scu.remote import Remote
from hilum.scu.storage import SendResult, send_instances
from hilum.scu.verification import echo
from hilum.ul.primitives import AssociateReject, AssociateRequest
from support.dimse import CT_STORAGE, EXPLICIT, MemoryStore, RunningArchive, archive_scp, running_archive, until
from support.instances import ct_slice, data_set_bytes, part10


@dataclass(frozen=True)
class InMemory:
    """A file that lies in memory."""

    content: bytes
    label: str = "in memory"

    def open(self) -> IO[bytes]:
        return BytesIO(self.content)


@dataclass(frozen=True)
class Vanished:
    """A file that was there when it was looked at."""

    label: str = "vanished"

    def open(self) -> IO[bytes]:
        raise FileNotFoundError(self.label)


def ct(number: int = 1, side: int = 64) -> OutgoingInstance:
    return read_outgoing(InMemory(part10(ct_slice(number=number, side=side))))


def content_of(instance: OutgoingInstance) -> bytes:
    assert isinstance(instance.source, InMemory)
    return data_set_bytes(instance.source.content)


def remote(archive: RunningArchive, title: str = "HILUM") -> Remote:
    return Remote(title, "127.0.0.1", archive.port)


async def send(
    instances: list[OutgoingInstance], to: Remote, *, retry_delay_s: float = 0.01, **options: object
) -> list[SendResult]:
    results = send_instances(instances, to, calling_ae_title="SENDER", retry_delay_s=retry_delay_s, **options)
    return [result async for result in results]


@asynccontextmanager
async def misbehaving(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Remote]:
    """A remote that does what the test says with each connection."""

    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await behave(reader, writer)
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield Remote("ODD", "127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await asyncio.gather(*served)


class TestEcho:
    """PS3.4 Annex A."""

    async def test_a_remote_that_serves_verification_is_verified(self) -> None:
        async with running_archive() as archive:
            assert await echo(remote(archive), calling_ae_title="ME") > 0
            await until(lambda: archive.outcomes == [Outcome.ACCEPTED, Outcome.RELEASED])
            assert archive.reports[0].calling_ae_title == "ME"

    async def test_a_rejection_for_good_says_why(self) -> None:
        async with running_archive() as archive:
            with pytest.raises(Forbidden, match="called ae title not recognized") as caught:
                await echo(remote(archive, "NOBODY"), calling_ae_title="ME")
            assert caught.value.facts["source"] == "service_user"

    async def test_a_rejection_for_the_moment_can_be_tried_again(self) -> None:
        async with running_archive(max_associations=0) as archive:
            with pytest.raises(Unavailable, match="local limit exceeded"):
                await echo(remote(archive), calling_ae_title="ME")

    async def test_a_port_nobody_listens_on_is_unavailable(self) -> None:
        async with running_archive() as archive:
            nowhere = remote(archive)
        with pytest.raises(Unavailable, match="cannot connect"):
            await echo(nowhere, calling_ae_title="ME")

    async def test_a_peer_that_answers_with_something_else_breaks_the_protocol(self) -> None:
        async def web_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with misbehaving(web_server) as odd:
            with pytest.raises(RemoteProtocolError):
                await echo(odd, calling_ae_title="ME")

    async def test_a_peer_that_closes_at_once_is_unavailable(self) -> None:
        async def closer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)

        async with misbehaving(closer) as odd:
            with pytest.raises(Unavailable):
                await echo(odd, calling_ae_title="ME")

    async def test_a_peer_that_never_answers_is_unavailable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hilum.net.requestor.ASSOCIATE_TIMEOUT_S", 0.1)

        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with misbehaving(mute) as odd:
            with pytest.raises(Unavailable, match="does not answer the association request"):
                await echo(odd, calling_ae_title="ME")

    async def test_a_remote_without_verification_is_not_verified(self) -> None:
        class NoVerification(ArchiveScp):
            async def answer(self, association: Association, request: AssociateRequest) -> Welcome | AssociateReject:
                refused = type(request.presentation_contexts[0])(1, "1.2.840.10008.1.1", ("1.2.3",))
                object.__setattr__(request, "presentation_contexts", (refused,))
                return await super().answer(association, request)

        scp = archive_scp(MemoryStore(), kind=NoVerification)
        async with running_archive(answering=scp) as archive:
            with pytest.raises(Unsupported):
                await echo(remote(archive), calling_ae_title="ME")


class TestReading:
    """PS3.10 §7.1."""

    def test_the_uids_of_the_data_set_count_and_not_those_of_the_file_meta(self) -> None:
        dataset = ct_slice()
        file = bytearray(part10(dataset))
        dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        other = read_outgoing(InMemory(part10_with_meta(dataset)))
        assert other.sop_instance_uid == dataset.SOPInstanceUID
        assert other.sop_class_uid == CT_STORAGE
        assert other.transfer_syntax_uid == EXPLICIT
        assert read_outgoing(InMemory(bytes(file))).sop_instance_uid == dataset.SOPInstanceUID

    def test_what_is_no_dicom_file_is_refused(self) -> None:
        with pytest.raises(InvalidInput):
            read_outgoing(InMemory(b"\xff\xd8\xff\xe0 a photograph" * 100))

    def test_a_file_that_cannot_be_read_is_unavailable(self) -> None:
        with pytest.raises(Unavailable):
            read_outgoing(Vanished())

    def test_contexts_are_one_for_each_kind_and_at_most_128_an_association(self) -> None:
        kinds = [InstanceKind(f"1.2.{number}", (EXPLICIT,)) for number in range(300)]
        plans = plan_contexts([*kinds, *kinds])
        assert [len(plan) for plan in plans] == [128, 128, 44]
        assert [context.context_id for (context,) in plans[0].values()] == list(range(1, 256, 2))
        carried = {kind: context for plan in plans for kind, (context,) in plan.items()}
        assert carried.keys() == set(kinds)
        assert all(
            (context.abstract_syntax, context.transfer_syntaxes) == (kind.sop_class_uid, kind.transfer_syntaxes)
            for kind, context in carried.items()
        )

    def test_kinds_of_one_sop_class_share_the_contexts_they_can_fall_back_on(self) -> None:
        first = InstanceKind("1.2", ("1.2.4.70", EXPLICIT, "1.2.840.10008.1.2"))
        second = InstanceKind("1.2", ("1.2.4.90", EXPLICIT, "1.2.840.10008.1.2"))
        (plan,) = plan_contexts([first, second])
        assert [each.context_id for each in plan[first]] == [1, 3, 5]
        assert [each.context_id for each in plan[second]] == [7, 3, 5]


def part10_with_meta(dataset: object) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)  # type: ignore[attr-defined]
    return buffer.getvalue()


class TestStore:
    """PS3.4 Annex B."""

    @pytest.mark.parametrize("associations", [1, 4])
    async def test_instances_arrive_byte_for_byte_and_each_has_its_answer(self, associations: int) -> None:
        instances = [ct(number) for number in range(12)]
        async with running_archive() as archive:
            results = await send(instances, remote(archive), associations=associations)
            assert {each.state for each in results} == {SendState.STORED}
            assert {each.instance for each in results} == set(instances)
            stored = {each.sop_instance_uid: bytes(each.content) for each in archive.store.instances}
            assert stored == {each.sop_instance_uid: content_of(each) for each in instances}
            assert archive.outcomes.count(Outcome.ACCEPTED) == associations

    async def test_a_large_instance_is_streamed_from_its_file(self, tmp_path: Path) -> None:
        file = part10(ct_slice(side=1800))
        assert len(file) > 3 * SEND_CHUNK_BYTES
        instance = read_outgoing(InMemory(file))
        async with running_archive() as archive:
            (result,) = await send([instance], remote(archive))
            assert result.state is SendState.STORED
            assert bytes(archive.store.instances[0].content) == data_set_bytes(file)

    async def test_nothing_to_send_needs_no_association(self) -> None:
        assert await send([], Remote("X", "127.0.0.1", 1)) == []

    async def test_an_instance_the_remote_does_not_accept_is_refused_and_the_others_arrive(self) -> None:
        private = OutgoingInstance(ct().source, "1.2.3.4.5", "1.2.3", EXPLICIT, 0)
        async with running_archive(settings=ScpSettings(accept_unknown_sop_classes=False)) as archive:
            results = await send([private, ct()], remote(archive))
            assert [each.state for each in results] == [SendState.REFUSED, SendState.STORED]
            assert "accepts neither" in results[0].reason

    async def test_more_kinds_than_one_association_holds_take_several(self) -> None:
        source = ct()
        instances = [
            OutgoingInstance(source.source, f"1.2.3.{number}", f"1.2.4.{number}", EXPLICIT, source.data_set_offset)
            for number in range(130)
        ]
        async with running_archive() as archive:
            results = await send(instances, remote(archive))
            assert {each.state for each in results} == {SendState.STORED}
            assert archive.outcomes.count(Outcome.ACCEPTED) == 2
            assert len(archive.store.instances) == 130

    async def test_a_refusal_carries_status_and_comment(self) -> None:
        async with running_archive() as archive:
            archive.store.commit_error = InvalidInput("StudyInstanceUID is missing")
            (result,) = await send([ct()], remote(archive))
            assert (result.state, result.status) == (SendState.REFUSED, 0xC000)
            assert "StudyInstanceUID is missing" in result.comment
            assert "StudyInstanceUID" not in result.reason

    async def test_a_turn_that_is_over_lets_others_in_and_the_rest_goes_in_the_next(self) -> None:
        sent = [ct(number) for number in range(7)]
        turns = 0

        @asynccontextmanager
        async def short_turn(_is_wanted: Callable[[], bool]) -> AsyncIterator[Callable[[], bool] | None]:
            nonlocal turns
            turns += 1
            asked = itertools.count(1)
            yield lambda: next(asked) > 3

        async with running_archive() as archive:
            results = await send(sent, remote(archive), turn=short_turn)
            assert {each.state for each in results} == {SendState.STORED}
            assert len(archive.store.instances) == 7
            assert len(archive.outcomes) == 2 * turns > 2
            assert archive.outcomes.count(Outcome.RELEASED) == turns

    async def test_what_is_wanted_no_more_while_it_waits_for_its_turn_is_not_sent(self) -> None:
        is_stopped = False

        @asynccontextmanager
        async def no_turn(is_wanted: Callable[[], bool]) -> AsyncIterator[Callable[[], bool] | None]:
            nonlocal is_stopped
            assert is_wanted()
            is_stopped = True
            assert not is_wanted()
            yield None

        async with running_archive() as archive:
            results = await send([ct()], remote(archive), turn=no_turn, is_stopped=lambda: is_stopped)
        assert results == []
        assert archive.outcomes == []

    async def test_a_file_that_vanished_fails_alone(self) -> None:
        known = ct()
        gone = OutgoingInstance(Vanished(), known.sop_class_uid, "1.2.3", known.transfer_syntax_uid, 0)
        async with running_archive() as archive:
            results = await send([gone, known], remote(archive))
            assert [each.state for each in results] == [SendState.FAILED, SendState.STORED]

    async def test_what_was_not_answered_on_a_broken_association_is_sent_on_a_new_one(self) -> None:
        instances = [ct(number) for number in range(6)]
        async with running_archive() as archive:
            results = []
            async for result in send_instances(
                instances, remote(archive), calling_ae_title="SENDER", retry_delay_s=0.5
            ):
                results.append(result)
                if len(results) == 3:
                    archive.store.commit_error = ZeroDivisionError("fells this association")
                    asyncio.get_running_loop().call_later(0.3, setattr, archive.store, "commit_error", None)
            assert {each.state for each in results} == {SendState.STORED}
            assert {each.instance for each in results} == set(instances)
            assert {each.sop_instance_uid for each in archive.store.instances} == {
                each.sop_instance_uid for each in instances
            }
            assert archive.outcomes.count(Outcome.ACCEPTED) <= 2

    async def test_an_instance_that_fells_the_remote_each_time_fails_and_the_others_arrive(self) -> None:
        poison, good = ct(1), ct(2)

        class Felled(MemoryStore):
            def begin(self, **expected: object) -> object:  # type: ignore[override]
                if expected["expected_sop_instance_uid"] == poison.sop_instance_uid:
                    raise ZeroDivisionError("fells this association")
                return super().begin(**expected)  # type: ignore[arg-type]

        store = Felled()
        scp = archive_scp(store)
        async with running_archive(answering=scp) as archive:
            results = await send([poison, good], remote(archive))
            assert {each.instance.sop_instance_uid: each.state for each in results} == {
                poison.sop_instance_uid: SendState.FAILED,
                good.sop_instance_uid: SendState.STORED,
            }

    async def test_a_remote_that_is_away_fails_everything_after_the_attempts(self) -> None:
        async with running_archive() as archive:
            nowhere = remote(archive)
        results = await send([ct(1), ct(2)], nowhere, attempts=2, associations=2)
        assert [each.state for each in results] == [SendState.FAILED, SendState.FAILED]
        assert "cannot connect" in results[0].reason

    async def test_a_remote_that_rejects_refuses_everything_at_once(self) -> None:
        async with running_archive() as archive:
            results = await send([ct(1), ct(2)], remote(archive, "NOBODY"))
            assert [each.state for each in results] == [SendState.REFUSED, SendState.REFUSED]
            assert archive.outcomes == [Outcome.REJECTED]

    async def test_a_remote_that_does_not_respond_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hilum.net.invocations.RESPONSE_TIMEOUT_S", 0.1)
        async with running_archive() as archive:
            archive.store.commit_gate = asyncio.Event()
            (result,) = await send([ct()], remote(archive), attempts=2)
            assert result.state is SendState.FAILED
            assert "does not answer" in result.reason
            archive.store.commit_gate.set()


class TestTls:
    """PS3.15 Annex B."""

    @pytest.fixture
    def contexts(self, tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """A server and a client context with a certificate made for this test."""
        folder = tmp_path
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        except FileNotFoundError:
            pytest.skip("needs openssl: apt-get install openssl")
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(certificate, key)
        client = ssl.create_default_context(cafile=str(certificate))
        return server, client

    async def test_instances_travel_over_tls_unharmed(self, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        server, client = contexts
        instances = [ct(number, side=700) for number in range(4)]
        async with running_archive(tls=server) as archive:
            to = Remote("HILUM", "127.0.0.1", archive.port, client)
            assert await echo(to, calling_ae_title="ME") > 0
            results = await send(instances, to, associations=2)
            assert {each.state for each in results} == {SendState.STORED}
            stored = {each.sop_instance_uid: bytes(each.content) for each in archive.store.instances}
            assert stored == {each.sop_instance_uid: content_of(each) for each in instances}

    async def test_a_certificate_nobody_vouches_for_is_refused(
        self, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
    ) -> None:
        async with running_archive(tls=contexts[0]) as archive:
            stranger = Remote("HILUM", "127.0.0.1", archive.port, ssl.create_default_context())
            with pytest.raises(Unavailable, match="is not believed"):
                await echo(stranger, calling_ae_title="ME")
