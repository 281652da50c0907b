"""DICOM over TLS with DCMTK, pynetdicom and OpenSSL as peers, both ways: PS3.15 §B.10, §B.11, §B.12."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification

from hilum.kernel.errors import HilumError, InvalidInput, Unavailable
from hilum.net.tls import TlsFiles, TlsIdentity, TlsProfile
from hilum.scu.remote import Remote
from hilum.scu.verification import echo
from support.certificates import Authority, Issued
from support.dimse import RunningArchive, running_archive
from support.peers import free_port, running

CT = str(get_testdata_file("CT_small.dcm"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def identity(authority: Authority, own: Issued, revocations: Path | None = None, **options: Any) -> TlsIdentity:
    return TlsIdentity(TlsFiles(own.certificate, own.key, authority.certificate, revocations), **options)


@asynccontextmanager
async def tls_archive(authority: Authority, **options: Any) -> AsyncIterator[RunningArchive]:
    """An archive with a certificate of the authority's, which callers have to have too."""
    own = authority.issue("hilum", is_rsa=True)
    async with running_archive(tls=identity(authority, own, **options).server_context()) as archive:
        yield archive


async def call(program: str, *options: str, port: int, files: tuple[str, ...] = ()) -> tuple[int, str]:
    """Let a program of DCMTK call and return its exit code and words."""
    path = Path("/usr/bin") / program
    if not path.exists():
        pytest.skip(f"needs DCMTK's {program}: apt-get install dcmtk")
    process = await asyncio.create_subprocess_exec(
        str(path), "-v", "-aec", "HILUM", *options, "127.0.0.1", str(port), *files,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode("latin-1")


def showing(own: Issued, authority: Authority) -> list[str]:
    """Return DCMTK's options to show a certificate and to trust an authority."""
    return ["+tls", str(own.key), str(own.certificate), "+cf", str(authority.certificate)]


class TestAcceptor:
    """Others call."""

    @pytest.mark.parametrize("profile", list(TlsProfile))
    @pytest.mark.parametrize("theirs", ["+py", "+px", "+pz"])
    async def test_dcmtk_stores_over_tls_with_each_of_its_profiles(
        self, authority: Authority, profile: TlsProfile, theirs: str
    ) -> None:
        options = showing(authority.issue("modality"), authority)
        async with tls_archive(authority, profile=profile) as archive:
            code, said = await call("storescu", *options, theirs, port=archive.port, files=(CT,))
            assert code == 0, said
            assert len(archive.store.instances) == 1

    @pytest.mark.parametrize(
        ("profile", "suite", "is_taken"),
        [
            (TlsProfile.BCP_195, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", True),
            (TlsProfile.BCP_195, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", True),
            (TlsProfile.BCP_195, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", False),
            (TlsProfile.BCP_195, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", False),
            (TlsProfile.NON_DOWNGRADING, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", True),
            (TlsProfile.NON_DOWNGRADING, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", True),
            (TlsProfile.NON_DOWNGRADING, "TLS_RSA_WITH_AES_128_CBC_SHA", False),
            (TlsProfile.EXTENDED, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", True),
            (TlsProfile.EXTENDED, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", True),
            (TlsProfile.EXTENDED, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", False),
            (TlsProfile.EXTENDED, "TLS_RSA_WITH_AES_128_CBC_SHA", False),
        ],
    )
    async def test_a_profile_takes_its_cipher_suites_and_no_others(
        self, authority: Authority, profile: TlsProfile, suite: str, is_taken: bool
    ) -> None:
        options = showing(authority.issue("modality"), authority)
        async with tls_archive(authority, profile=profile) as archive:
            # DCMTK adds a suite to those of a profile; this one, which is retired, has none that we take.
            code, said = await call("echoscu", *options, "+pa", "+cs", suite, port=archive.port)
            assert (code == 0) is is_taken, said

    async def test_a_caller_without_certificate_is_refused(self, authority: Authority) -> None:
        options = ["+tla", "+cf", str(authority.certificate)]
        async with tls_archive(authority) as archive:
            code, said = await call("echoscu", *options, port=archive.port)
            assert code != 0, said
            assert archive.reports == []

    async def test_a_caller_without_certificate_is_let_in_where_none_is_required(self, authority: Authority) -> None:
        options = ["+tla", "+cf", str(authority.certificate)]
        async with tls_archive(authority, requires_peer_certificate=False) as archive:
            code, said = await call("echoscu", *options, port=archive.port)
            assert code == 0, said

    async def test_a_certificate_of_another_authority_is_refused(self, authority: Authority, tmp_path: Path) -> None:
        stranger = Authority(tmp_path, "stranger").issue("stranger-modality")
        for requires in (True, False):
            async with tls_archive(authority, requires_peer_certificate=requires) as archive:
                code, said = await call("echoscu", *showing(stranger, authority), port=archive.port)
                assert code != 0, said

    async def test_a_caller_without_tls_gets_nothing(self, authority: Authority) -> None:
        async with tls_archive(authority) as archive:
            code, _ = await call("echoscu", port=archive.port)
            assert code != 0
            assert archive.reports == []

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_pynetdicom_stores_over_each_version_of_tls(
        self, authority: Authority, version: ssl.TLSVersion
    ) -> None:
        own = authority.issue("modality")
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.load_cert_chain(own.certificate, own.key)
        context.minimum_version = context.maximum_version = version

        def store(port: int) -> int:
            entity = AE("MODALITY")
            entity.add_requested_context(CTImageStorage)
            association = entity.associate("127.0.0.1", port, ae_title="HILUM", tls_args=(context, "127.0.0.1"))
            assert association.is_established
            status = association.send_c_store(Path(CT))
            association.release()
            return int(status.Status)

        async with tls_archive(authority) as archive:
            assert await asyncio.to_thread(store, archive.port) == 0
            assert len(archive.store.instances) == 1

    async def test_tls_1_1_is_not_spoken(self, authority: Authority) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(authority.certificate)
        with pytest.warns(DeprecationWarning):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        async with tls_archive(authority, requires_peer_certificate=False) as archive:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", archive.port, ssl=context)


class TestChangedFiles:
    """Certificates are changed while we listen."""

    async def shown(self, authority: Authority, own: Issued, port: int) -> bytes:
        """Return the certificate the archive shows."""
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.load_cert_chain(own.certificate, own.key)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return bytes(certificate)

    async def test_the_next_handshake_shows_a_new_certificate_and_open_associations_go_on(
        self, authority: Authority
    ) -> None:
        modality = authority.issue("modality")

        def associate(port: int) -> Any:
            context = ssl.create_default_context(cafile=str(authority.certificate))
            context.load_cert_chain(modality.certificate, modality.key)
            entity = AE("MODALITY")
            entity.add_requested_context(Verification)
            return entity.associate("127.0.0.1", port, ae_title="HILUM", tls_args=(context, "127.0.0.1"))

        async with tls_archive(authority) as archive:
            association = await asyncio.to_thread(associate, archive.port)
            assert association.is_established
            before = await self.shown(authority, modality, archive.port)
            authority.issue("hilum")
            after = await self.shown(authority, modality, archive.port)
            assert before != after
            assert (await asyncio.to_thread(association.send_c_echo)).Status == 0
            await asyncio.to_thread(association.release)

    async def test_files_that_cannot_be_used_leave_the_former_certificate_in_force(self, authority: Authority) -> None:
        modality = authority.issue("modality")
        complaints: list[HilumError] = []
        async with tls_archive(authority, complain=complaints.append) as archive:
            before = await self.shown(authority, modality, archive.port)
            whole = authority.issue("hilum")
            text = whole.certificate.read_bytes()
            whole.certificate.write_bytes(text[: len(text) // 2])
            assert await self.shown(authority, modality, archive.port) == before
            assert await self.shown(authority, modality, archive.port) == before
            assert len(complaints) == 1
            assert str(whole.certificate) in complaints[0].message
            whole.certificate.write_bytes(text)
            assert await self.shown(authority, modality, archive.port) != before

    async def test_an_authority_no_longer_named_is_no_longer_trusted(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        other = Authority(tmp_path, "other")
        modality, newcomer = authority.issue("modality"), other.issue("newcomer")
        async with tls_archive(authority) as archive:
            assert (await call("echoscu", *showing(modality, authority), port=archive.port))[0] == 0
            own = authority.certificate.read_bytes()
            authority.certificate.write_bytes(other.certificate.read_bytes())
            assert (await call("echoscu", *showing(modality, authority), port=archive.port))[0] != 0
            trusting_us = tmp_path / "former.pem"
            trusting_us.write_bytes(own)
            options = ["+tls", str(newcomer.key), str(newcomer.certificate), "+cf", str(trusting_us)]
            code, said = await call("echoscu", *options, port=archive.port)
            assert code == 0, said

    def test_files_that_cannot_be_used_at_the_start_are_named(self, authority: Authority, tmp_path: Path) -> None:
        own, locked = authority.issue("hilum"), authority.issue("locked", password=b"secret")
        missing = tmp_path / "missing.pem"
        for files, name in (
            (TlsFiles(missing, own.key, authority.certificate), "missing.pem"),
            (TlsFiles(own.certificate, authority.issue("other").key, authority.certificate), "other.key"),
            (TlsFiles(locked.certificate, locked.key, authority.certificate), "locked.key"),
            (TlsFiles(own.certificate, own.key, missing), "missing.pem"),
            (TlsFiles(own.certificate, own.key), "dicom.tls.ca"),
            (TlsFiles(None, None, authority.certificate), "dicom.tls.certificate"),
        ):
            with pytest.raises(InvalidInput, match=name):
                TlsIdentity(files).server_context()


class TestResumption:
    """A certificate is looked at in each handshake."""

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    async def test_no_session_is_resumed(self, authority: Authority, tmp_path: Path, version: str) -> None:
        modality, kept = authority.issue("modality"), tmp_path / "session.pem"

        async def connect(port: int, *options: str) -> str:
            process = await asyncio.create_subprocess_exec(
                "openssl", "s_client", version, "-connect", f"127.0.0.1:{port}", "-CAfile", str(authority.certificate),
                "-cert", str(modality.certificate), "-key", str(modality.key), *options,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            async with asyncio.timeout(30):
                # Bytes that are no DICOM: the archive closes, having said all it has to say on the session.
                output, _ = await process.communicate(b"GET / HTTP/1.0\r\n\r\n")
            return output.decode("latin-1")

        async with tls_archive(authority) as archive:
            first = await connect(archive.port, "-sess_out", str(kept))
            assert "Verify return code: 0 (ok)" in first
            assert "New, TLSv1." in first
            if version == "-tls1_2":
                again = await connect(archive.port, "-sess_in", str(kept))
                assert "Reused" not in again
                assert "New, TLSv1.2" in again
            else:
                assert not kept.exists()

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("what", ["expired", "revoked", "distrusted"])
    async def test_who_was_let_in_before_is_refused_when_its_certificate_no_longer_holds(
        self, authority: Authority, tmp_path: Path, version: ssl.TLSVersion, what: str
    ) -> None:
        until = datetime.now(UTC) + timedelta(seconds=4) if what == "expired" else None
        modality = authority.issue("modality", until=until)
        lists = authority.revoke()
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.load_cert_chain(modality.certificate, modality.key)
        context.maximum_version = version

        def connect(port: int, session: ssl.SSLSession | None = None) -> ssl.SSLSession | None:
            with socket.create_connection(("127.0.0.1", port)) as plain:
                plain.settimeout(0.5)
                with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as secured:
                    try:
                        secured.recv(1)  # the server's last word on the handshake, if it has one
                    except TimeoutError:
                        return secured.session
                    raise ConnectionError("closed by the server")

        async with tls_archive(authority, revocations=lists) as archive:
            session = await asyncio.to_thread(connect, archive.port)
            await asyncio.to_thread(connect, archive.port, session)
            if until is not None:
                await asyncio.sleep((until - datetime.now(UTC)).total_seconds() + 1.5)
            elif what == "revoked":
                authority.revoke(modality)
            else:
                authority.certificate.write_bytes(Authority(tmp_path, "other").certificate.read_bytes())
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.to_thread(connect, archive.port, session)


class TestRevocation:
    """Authorities take certificates back: RFC 5280 §5."""

    async def test_a_revoked_caller_is_refused_and_others_are_let_in(self, authority: Authority) -> None:
        revoked, sound = authority.issue("revoked"), authority.issue("sound")
        complaints: list[HilumError] = []
        lists = authority.revoke(revoked)
        async with tls_archive(authority, revocations=lists, complain=complaints.append) as archive:
            assert (await call("echoscu", *showing(sound, authority), port=archive.port))[0] == 0
            assert complaints == []
            assert (await call("echoscu", *showing(revoked, authority), port=archive.port))[0] != 0
            assert [each.reason_code for each in complaints] == ["tls-handshake"]
            assert "revoked" in complaints[0].message

    async def test_a_new_list_counts_from_the_next_handshake(self, authority: Authority, tmp_path: Path) -> None:
        modality = authority.issue("modality")
        folder = tmp_path / "lists"
        folder.mkdir()
        authority.revoke(path=folder / "authority.crl", is_der=True)
        async with tls_archive(authority, revocations=folder) as archive:
            assert (await call("storescu", *showing(modality, authority), port=archive.port, files=(CT,)))[0] == 0
            authority.revoke(modality, path=folder / "authority.crl", is_der=True)
            assert (await call("storescu", *showing(modality, authority), port=archive.port, files=(CT,)))[0] != 0

    async def test_nobody_is_believed_by_a_list_out_of_date(self, authority: Authority) -> None:
        modality = authority.issue("modality")
        lists = authority.revoke(is_outdated=True)
        complaints: list[HilumError] = []
        async with tls_archive(authority, revocations=lists, complain=complaints.append) as archive:
            assert str(lists) in complaints[0].message
            assert (await call("echoscu", *showing(modality, authority), port=archive.port))[0] != 0
            assert "expired" in complaints[-1].message
            authority.revoke()
            assert (await call("echoscu", *showing(modality, authority), port=archive.port))[0] == 0

    async def test_an_old_list_beside_the_new_one_is_no_matter(self, authority: Authority, tmp_path: Path) -> None:
        modality = authority.issue("modality")
        folder = tmp_path / "lists"
        folder.mkdir()
        authority.revoke(path=folder / "1.crl", is_outdated=True)
        authority.revoke(path=folder / "2.crl")
        complaints: list[HilumError] = []
        async with tls_archive(authority, revocations=folder, complain=complaints.append) as archive:
            assert (await call("echoscu", *showing(modality, authority), port=archive.port))[0] == 0
        assert complaints == []

    async def test_nobody_is_believed_whose_authority_has_no_list(self, authority: Authority, tmp_path: Path) -> None:
        lists = Authority(tmp_path, "other").revoke()
        async with tls_archive(authority, revocations=lists) as archive:
            assert (await call("echoscu", *showing(authority.issue("modality"), authority), port=archive.port))[0] != 0

    async def test_a_list_that_is_gone_or_broken_leaves_the_former_in_force(self, authority: Authority) -> None:
        revoked, sound = authority.issue("revoked"), authority.issue("sound")
        lists = authority.revoke(revoked)
        complaints: list[HilumError] = []
        async with tls_archive(authority, revocations=lists, complain=complaints.append) as archive:
            for change in (lists.unlink, lambda: lists.write_bytes(b"-----BEGIN X509 CRL-----\nMIIB")):
                change()
                assert (await call("echoscu", *showing(sound, authority), port=archive.port))[0] == 0
                assert (await call("echoscu", *showing(revoked, authority), port=archive.port))[0] != 0
            files = [each for each in complaints if each.reason_code == "tls-files"]
            assert len(files) == 2
            assert all(str(lists) in each.message for each in files)

    def test_lists_that_cannot_be_used_at_the_start_are_named(self, authority: Authority, tmp_path: Path) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        for path in (empty, tmp_path / "missing.crl", authority.certificate):
            with pytest.raises(InvalidInput, match=path.name):
                identity(authority, authority.issue("hilum"), revocations=path).server_context()

    async def test_authorities_beside_the_lists_are_not_trusted(self, authority: Authority, tmp_path: Path) -> None:
        stranger = Authority(tmp_path, "stranger")
        lists = authority.revoke()
        lists.write_bytes(lists.read_bytes() + stranger.certificate.read_bytes() + stranger.revoke().read_bytes())
        async with tls_archive(authority, revocations=lists) as archive:
            code, said = await call("echoscu", *showing(stranger.issue("theirs"), authority), port=archive.port)
            assert code != 0, said

    @pytest.mark.parametrize("is_registered", [False, True])
    async def test_whom_we_call_is_not_believed_when_revoked(
        self, authority: Authority, tmp_path: Path, is_registered: bool
    ) -> None:
        theirs, port = authority.issue("theirs", is_rsa=True), free_port()
        own = identity(authority, authority.issue("hilum"), revocations=authority.revoke())
        fingerprint = theirs.fingerprint if is_registered else None
        async with running(port, "/usr/bin/storescp", *showing(theirs, authority), str(port), cwd=tmp_path):
            context = own.client_context(fingerprint)
            assert await echo(Remote("STORESCP", "127.0.0.1", port, context), calling_ae_title="HILUM") > 0
            authority.revoke(theirs)
            with pytest.raises(Unavailable, match="revoked"):
                context = own.client_context(fingerprint)
                await echo(Remote("STORESCP", "127.0.0.1", port, context), calling_ae_title="HILUM")


class TestRequestor:
    """We call."""

    @asynccontextmanager
    async def storescp(
        self, tmp_path: Path, authority: Authority, host: str = "127.0.0.1"
    ) -> AsyncIterator[tuple[int, Issued]]:
        """DCMTK's acceptor, which wants a certificate of the authority's."""
        own, port = authority.issue("theirs", is_rsa=True, host=host), free_port()
        async with running(port, "/usr/bin/storescp", *showing(own, authority), str(port), cwd=tmp_path):
            yield port, own

    async def test_dcmtk_answers_our_call_with_our_certificate(self, authority: Authority, tmp_path: Path) -> None:
        context = identity(authority, authority.issue("hilum")).client_context()
        async with self.storescp(tmp_path, authority) as (port, _):
            assert await echo(Remote("STORESCP", "127.0.0.1", port, context), calling_ae_title="HILUM") > 0

    async def test_a_peer_that_wants_our_certificate_does_not_answer_without_it(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        context = TlsIdentity(TlsFiles(authorities=authority.certificate)).client_context()
        async with self.storescp(tmp_path, authority) as (port, _):
            with pytest.raises(HilumError):
                await echo(Remote("STORESCP", "127.0.0.1", port, context), calling_ae_title="HILUM")

    async def test_a_certificate_of_another_authority_is_not_believed(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        other = Authority(tmp_path, "other")
        context = identity(other, authority.issue("hilum")).client_context()
        async with self.storescp(tmp_path, authority) as (port, _):
            with pytest.raises(Unavailable, match="certificate"):
                await echo(Remote("STORESCP", "127.0.0.1", port, context), calling_ae_title="HILUM")

    async def test_a_certificate_made_out_to_another_host_is_not_believed_unless_hosts_are_not_looked_at(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        own = authority.issue("hilum")
        async with self.storescp(tmp_path, authority, host="pacs.example.org") as (port, _):
            with pytest.raises(Unavailable, match="certificate"):
                context = identity(authority, own).client_context()
                await echo(Remote("STORESCP", "127.0.0.1", port, context), calling_ae_title="HILUM")
            context = identity(authority, own, checks_host_names=False).client_context()
            await echo(Remote("STORESCP", "127.0.0.1", port, context), calling_ae_title="HILUM")

    async def test_the_registered_certificate_is_believed_and_no_other(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        # Nothing but the fingerprint is looked at: neither authority nor host.
        own = TlsIdentity(TlsFiles(*(lambda issued: (issued.certificate, issued.key))(authority.issue("hilum"))))
        async with self.storescp(tmp_path, authority, host="pacs.example.org") as (port, theirs):
            context = own.client_context(theirs.fingerprint)
            await echo(Remote("STORESCP", "127.0.0.1", port, context), calling_ae_title="HILUM")
            context = own.client_context(authority.issue("another").fingerprint)
            with pytest.raises(Unavailable, match="certificate"):
                await echo(Remote("STORESCP", "127.0.0.1", port, context), calling_ae_title="HILUM")

    async def test_pynetdicom_answers_our_call(self, authority: Authority) -> None:
        theirs = authority.issue("theirs")
        serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
        serving.verify_mode = ssl.CERT_REQUIRED
        serving.load_cert_chain(theirs.certificate, theirs.key)
        entity, port = AE("PYNETDICOM"), free_port()
        entity.add_supported_context(Verification)
        server = entity.start_server(("127.0.0.1", port), block=False, ssl_context=serving)
        assert server is not None
        try:
            context = identity(authority, authority.issue("hilum")).client_context()
            assert await echo(Remote("PYNETDICOM", "127.0.0.1", port, context), calling_ae_title="HILUM") > 0
        finally:
            await asyncio.to_thread(server.shutdown)
