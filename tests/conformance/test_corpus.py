"""The whole corpus, its broken files included, by every way in: each file has the answer its row says, Hilum outlives
all of them, and what was sent is what WADO-RS and the blob store hold.

The rows stand in `support.corpus` and `support.broken_files`; the policy behind them in docs/guide/damage.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import socket
import subprocess
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

import httpx2
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRBigEndian, MediaStorageDirectoryStorage
from pynetdicom import AE, _config

from hilum.dicom.part10 import read_file_meta
from hilum.kernel.errors import HilumError
from hilum.scu.instances import OutgoingInstance, read_outgoing
from hilum.scu.remote import Remote
from hilum.scu.storage import SendResult, send_instances
from support.corpus import FLAGGED, REFUSED, CorpusFile, corpus_files
from support.dicomweb import data_set_of, parts_of, stow
from support.running import RunningHilum, running_hilum

CANNOT_UNDERSTAND = 0xC000
MISMATCH = 0xA900
INVALID_INSTANCE = 0x0117
DCMTK_MISSING = "DCMTK is not installed: apt-get install dcmtk"
_CLIENTS = 4


@pytest.fixture(scope="module")
def files(corpus: Path) -> list[CorpusFile]:
    """Every file with what becomes of it."""
    return corpus_files(corpus)


@pytest.fixture
def fresh() -> Iterator[RunningHilum]:
    """A Hilum of two workers with nothing in it, which nothing may fell."""
    with running_hilum("--workers", "2") as running:
        workers = {worker.pid for worker in running.workers()}
        yield running
        assert {worker.pid for worker in running.workers()} == workers, f"a worker died:\n{running.errors[-3000:]}"
        assert '"level":"error"' not in running.errors.replace(" ", ""), running.errors[-3000:]


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def data_set(file: bytes) -> bytes:
    """Return the data set of a file, also of one without preamble or with wrong file meta information."""
    return file[read_file_meta(file).data_set_offset :]


def instance_paths(client: httpx2.Client) -> dict[str, str]:
    """Return the path of every instance QIDO-RS finds, by its SOP Instance UID."""
    paths: dict[str, str] = {}
    while True:
        page = client.get("/dicom-web/instances", params={"limit": 500, "offset": len(paths)})
        if page.status_code == 204:
            return paths
        assert page.status_code == 200
        for found in page.json():
            study, series, instance = (found[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
            paths[instance] = f"/dicom-web/studies/{study}/series/{series}/instances/{instance}"


def assert_kept(hilum: RunningHilum, sent: dict[str, set[bytes]]) -> None:
    """WADO-RS and the blob store hold exactly what was sent under each UID: one of several contents sent."""
    blobs = {digest(data_set_of(path.read_bytes())) for path in (hilum.data / "blobs").rglob("*") if path.is_file()}
    with hilum.client() as client, ThreadPoolExecutor(_CLIENTS) as threads:
        paths = instance_paths(client)
        assert paths.keys() == sent.keys()

        def check(uid: str) -> str | None:
            answer = client.get(paths[uid], headers={"Accept": "application/dicom"})
            kept = digest(data_set_of(answer.content)) if answer.status_code == 200 else b""
            return None if kept in sent[uid] and kept in blobs else f"{uid}: {answer.status_code}"

        assert [wrong for wrong in threads.map(check, paths) if wrong] == []


@dataclass(frozen=True)
class Identity:
    """SOP class and instance of a data set as pydicom finds them; `has_vr` unless their VR is UN."""

    sop_class: str
    sop_instance: str
    has_vr: bool


def identity_of(file: bytes) -> Identity | None:
    """Return the identity of a file's data set, None where pydicom does not find it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(BytesIO(file), force=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
        raw = [dataset.get_item(keyword) for keyword in ("SOPClassUID", "SOPInstanceUID")]
    if not all(element and element.value for element in raw):
        return None
    sop_class, sop_instance = (element.value.decode().rstrip("\0 ") for element in raw)
    return Identity(sop_class, sop_instance, all(element.VR != "UN" for element in raw))


def is_uid(text: str) -> bool:
    return len(text) <= 64 and re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) is not None


def c_store_status(file: CorpusFile, affected_class: str, affected_instance: str) -> int:
    """Return what C-STORE with these affected UIDs must answer to the file."""
    if not is_uid(affected_instance):
        return INVALID_INSTANCE
    if not file.is_kept:
        return CANNOT_UNDERSTAND
    own = identity_of(file.path.read_bytes())
    is_own = own is None or (own.sop_class, own.sop_instance) == (affected_class, affected_instance)
    return 0 if is_own else MISMATCH


def dcmtk_statuses(file: CorpusFile) -> set[int]:
    """Return what DCMTK may be answered, which takes the affected UIDs from the data set in a way of its own."""
    if file.expectation.code == "invalid-uid":  # cut to 64 characters in the command, then plausible
        return {INVALID_INSTANCE, CANNOT_UNDERSTAND}
    if not file.is_kept:
        return {CANNOT_UNDERSTAND}
    own = identity_of(file.path.read_bytes())
    # Of UIDs whose VR is UN it sends the first byte in hexadecimal digits.
    return {MISMATCH} if own is not None and not own.has_vr else {0}


def test_rows_of_the_table_name_files_of_the_corpus(files: list[CorpusFile]) -> None:
    assert (REFUSED.keys() | FLAGGED.keys()) <= {file.name for file in files}
    assert sum(file.is_kept for file in files) > 780


def test_stow_answers_every_file_as_its_row_says(fresh: RunningHilum, files: list[CorpusFile]) -> None:
    began = time.monotonic()

    def store(file: CorpusFile) -> tuple[str | None, str]:
        answer = stow(client, [file.path.read_bytes()])
        report = answer.json()
        if file.is_kept:
            item = report.get("00081199", {"Value": [{}]})["Value"][0]
            is_flagged = item.get("00081196", {}).get("Value") == [0xB007]
            is_right = (
                answer.status_code == (202 if file.expectation.damage else 200)
                and "00081198" not in report
                and is_flagged == bool(file.expectation.damage)
            )
            return (None if is_right else f"{file.name}: {answer.text}"), item.get("00081155", {}).get("Value", [""])[0]
        failures = [failure for tag in ("00081198", "0008119A") for failure in report.get(tag, {"Value": []})["Value"]]
        is_right = (
            answer.status_code == 409
            and "00081199" not in report
            and [failure["00081197"]["Value"] for failure in failures] == [[CANNOT_UNDERSTAND]]
            and file.complaint in failures[0]["00000902"]["Value"][0]
        )
        return (None if is_right else f"{file.name}: {answer.text}"), ""

    with fresh.client() as client, ThreadPoolExecutor(_CLIENTS) as threads:
        answers = list(threads.map(store, files))
    assert [wrong for wrong, _ in answers if wrong] == []
    assert time.monotonic() - began < 180  # a bound on hanging, not a measure of speed
    sent: dict[str, set[bytes]] = defaultdict(set)
    for file, (_, uid) in zip(files, answers, strict=True):
        if file.is_kept:
            sent[uid].add(digest(data_set(file.path.read_bytes())))
    assert_kept(fresh, sent)


@dataclass(frozen=True)
class OnDisk:
    """A file of the corpus as a source of what is sent."""

    file: CorpusFile

    @property
    def label(self) -> str:
        return self.file.name

    def open(self) -> IO[bytes]:
        return self.file.path.open("rb")


def file_cannot_be_offered(instance: OutgoingInstance) -> bool:
    """A DICOMDIR is no composite instance, and the made-up transfer syntax of one broken file is unknown to all."""
    return (
        instance.sop_class_uid == MediaStorageDirectoryStorage or instance.transfer_syntax_uid == "1.2.999.10008.1.9.9"
    )


def test_our_own_sender_stores_every_file_unchanged(fresh: RunningHilum, files: list[CorpusFile]) -> None:
    outgoing: list[OutgoingInstance] = []
    unsendable = []
    for file in files:
        try:
            outgoing.append(read_outgoing(OnDisk(file)))
        except HilumError:
            unsendable.append(file)
    # What has no SOP class or instance, or is no DICOM, cannot even be offered.
    assert all(not file.is_kept for file in unsendable)
    remote = Remote(fresh.ae_title, "127.0.0.1", fresh.dicom_port)

    async def send_all() -> list[SendResult]:
        results = send_instances(outgoing, remote, calling_ae_title="CORPUS", associations=_CLIENTS)
        return [result async for result in results]

    results = asyncio.run(send_all())
    assert len(results) == len(outgoing)
    sent: dict[str, set[bytes]] = defaultdict(set)
    wrong = []
    for result in results:
        source = result.instance.source
        assert isinstance(source, OnDisk)
        expected: int | None = c_store_status(
            source.file, result.instance.sop_class_uid, result.instance.sop_instance_uid
        )
        if file_cannot_be_offered(result.instance):
            expected = None
        if result.status != expected or (expected == CANNOT_UNDERSTAND and source.file.complaint not in result.comment):
            wrong.append(f"{source.label}: {result.status} {result.reason}")
        elif expected == 0:
            sent[result.instance.sop_instance_uid].add(digest(padded(data_set(source.file.path.read_bytes()))))
    assert wrong == []
    assert len(sent) > 650
    assert_kept(fresh, sent)


def padded(content: bytes) -> bytes:
    """Return a data set as it goes over the wire: fragments have an even number of bytes (PS3.8 Annex D)."""
    return content + bytes(len(content) % 2)


class Report:
    """dcmsend's report: what it sent of each file, and the answer it got."""

    def __init__(self, path: Path, corpus: Path) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        for block in path.read_text(errors="replace").split("\n\n"):
            row = dict(re.findall(r"^(\S[^:\n]*?) *: ?(.*)$", block, re.MULTILINE))
            if "Filename" in row:
                self.rows[str(Path(row["Filename"]).relative_to(corpus))] = row

    def status(self, name: str) -> int | None:
        """Return the status of a file that was sent."""
        text = self.rows[name]["DIMSE Status"]
        return int(text[:6], 16) if text.startswith("0x") else None


def dcmsend(corpus: Path, report: Path, ae_title: str, port: int) -> Report:
    """Let DCMTK send all it can read of the corpus."""
    subprocess.run(
        [
            *("/usr/bin/dcmsend", "+sd", "+r", "+f", "-nh", "-nuc", "-dn", "-q", "-aec", ae_title),
            *("+crf", str(report), "127.0.0.1", str(port), str(corpus)),
        ],
        # Without it each file waits for a delayed acknowledgement.
        capture_output=True, timeout=180, check=False, env=os.environ | {"TCP_NODELAY": "1"},
    )  # fmt: skip
    return Report(report, corpus)


@contextlib.contextmanager
def storescp(folder: Path) -> Iterator[int]:
    """DCMTK's own receiver, which writes data sets as they come."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder.mkdir()
    command = ["/usr/bin/storescp", "-q", "+B", "+xa", "-pm", "-od", str(folder), str(port)]
    with subprocess.Popen(command, env=os.environ | {"TCP_NODELAY": "1"}) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()


@pytest.mark.skipif(not Path("/usr/bin/dcmsend").exists(), reason=DCMTK_MISSING)
def test_dcmtk_stores_the_corpus_and_what_it_sent_is_kept(
    fresh: RunningHilum, files: list[CorpusFile], corpus: Path, tmp_path: Path
) -> None:
    # The table's files only: what else may lie there is not part of the corpus.
    report = dcmsend(corpus, tmp_path / "report.txt", fresh.ae_title, fresh.dicom_port)
    by_name = {file.name: file for file in files}
    wrong, refused = [], set()
    for name, row in report.rows.items():
        status, file = report.status(name), by_name.get(name)
        if status is None or file is None:
            continue
        if status not in dcmtk_statuses(file):
            wrong.append(f"{name}: {row['DIMSE Status']}")
        if status:
            refused.add(name)
    assert wrong == []
    assert sum(report.status(name) == 0 for name in report.rows) > 770
    # DCMTK sends nothing that it cannot read, nor what is in a transfer syntax it does not know; nothing else is left.
    with storescp(tmp_path / "received") as port:
        reference = dcmsend(corpus, tmp_path / "reference.txt", "STORESCP", port)
    left = [name for name in report.rows if report.status(name) is None and reference.status(name) is not None]
    assert left == []
    received = {digest(data_set_of(path.read_bytes())) for path in (tmp_path / "received").iterdir()}
    kept = {digest(data_set_of(path.read_bytes())) for path in (fresh.data / "blobs").rglob("*.dcm")}
    assert len(received) > 650
    # The other receiver keeps under each UID what came last, and also the instances Hilum refused.
    assert len(received - kept) <= len(refused)
    # Two processes of JPEG, and UIDs that do not begin with 0, 1 or 2, are beyond the other receiver.
    unknown = {
        own.sop_instance
        for name, file in by_name.items()
        if name in report.rows and report.status(name) == 0 and reference.status(name) != 0
        if (own := identity_of(file.path.read_bytes())) is not None
    }
    assert len(unknown) < 10
    with fresh.client() as client:
        different = [
            uid
            for uid, path in instance_paths(client).items()
            if uid not in unknown
            and digest(data_set_of(client.get(path, headers={"Accept": "application/dicom"}).content)) not in received
        ]
    assert different == []


@pytest.mark.skipif(not Path("/usr/bin/storescu").exists(), reason=DCMTK_MISSING)
def test_storescu_gets_the_answer_of_each_row(fresh: RunningHilum, files: list[CorpusFile]) -> None:
    broken = [file for file in files if file.name.startswith("broken/")]
    done = subprocess.run(
        [
            *("/usr/bin/storescu", "-v", "-nh", "-R", "-xd", "-aec", fresh.ae_title),
            *("127.0.0.1", str(fresh.dicom_port)),
            *(str(file.path) for file in broken),
        ],
        capture_output=True, timeout=120, check=False, env=os.environ | {"TCP_NODELAY": "1"},
    )  # fmt: skip
    output = (done.stdout + done.stderr).decode(errors="replace")
    answers = dict(
        re.findall(r"Sending file: (\S+)\n(?:(?!I: Sending file).*\n)*?I: Received Store Response \((.*)\)", output)
    )
    assert len(answers) > 20, output
    for file in broken:
        answer = answers.get(str(file.path))
        if answer is not None:
            assert (answer == "Success") == file.is_kept, f"{file.name}: {answer}"
            assert file.is_kept or "CannotUnderstand" in answer or "0x117" in answer


@pytest.mark.filterwarnings("ignore")
def test_pynetdicom_stores_the_corpus_unchanged(
    fresh: RunningHilum, files: list[CorpusFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)  # the file's own bytes
    kinds: dict[tuple[str, str], list[CorpusFile]] = defaultdict(list)
    for file in files:
        try:
            meta = pydicom.filereader.read_file_meta_info(file.path)
            kind = meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID
            if all(kind):
                kinds[kind].append(file)
        except (pydicom.errors.InvalidDicomError, AttributeError):
            continue  # pynetdicom sends Part 10 files with file meta information only
    wrong: list[str] = []
    answered = 0
    sent: dict[str, set[bytes]] = defaultdict(set)
    order = sorted(kinds)
    for first in range(0, len(order), 100):
        entity = AE(ae_title="PYNETDICOM")
        for sop_class, syntax in order[first : first + 100]:
            entity.add_requested_context(sop_class, syntax)
        association = entity.associate("127.0.0.1", fresh.dicom_port, ae_title=fresh.ae_title)
        accepted = {(context.abstract_syntax, context.transfer_syntax[0]) for context in association.accepted_contexts}
        for kind in order[first : first + 100]:
            for file in kinds[kind] if kind in accepted else ():
                instance = pydicom.filereader.read_file_meta_info(file.path).get("MediaStorageSOPInstanceUID", "")
                try:
                    status = association.send_c_store(file.path).Status
                except (ValueError, AttributeError):
                    continue  # it does not get as far as sending
                answered += 1
                if status != c_store_status(file, kind[0], instance):
                    wrong.append(f"{file.name}: {status:04X}")
                if status == 0:
                    sent[instance].add(digest(data_set(file.path.read_bytes())))
        association.release()
    assert wrong == []
    assert answered > 780
    assert_kept(fresh, sent)


@pytest.fixture(scope="module")
def imported(files: list[CorpusFile], corpus: Path) -> Iterator[RunningHilum]:
    """A Hilum that was given the corpus by `hilum import`."""
    with running_hilum("--workers", "2") as running:
        done = running.hilum("import", *(str(file.path) for file in files), timeout=180)
        assert done.returncode == 1, done.stderr  # some were refused
        for file in files:
            # A DICOMDIR is read for the files it names, most of which are not in the corpus.
            is_named = file.path.name in done.stdout or file.path.name.startswith("DICOMDIR")
            assert is_named or file.is_kept, f"{file.name} is not in\n{done.stdout}"
        yield running


@pytest.fixture(scope="module")
def kept_files(imported: RunningHilum, files: list[CorpusFile]) -> dict[str, tuple[str, Path]]:
    """Path at DICOMweb and file of every kept instance that is the only one with its UID."""
    by_content = {digest(data_set(file.path.read_bytes())): file.path for file in files if file.is_kept}
    found: dict[str, tuple[str, Path]] = {}
    with imported.client() as client, ThreadPoolExecutor(_CLIENTS) as threads:
        paths = instance_paths(client)
        contents = threads.map(
            lambda path: client.get(path, headers={"Accept": "application/dicom"}).content, paths.values()
        )
        for (uid, path), content in zip(paths.items(), contents, strict=True):
            found[uid] = path, by_content[digest(data_set_of(content))]
    assert len(found) > 650
    return found


def test_metadata_of_every_kept_file_are_those_of_its_instance(
    imported: RunningHilum, kept_files: dict[str, tuple[str, Path]]
) -> None:
    def check(uid: str) -> str | None:
        path, _ = kept_files[uid]
        answer = client.get(f"{path}/metadata")
        is_right = answer.status_code == 200 and answer.json()[0]["00080018"]["Value"] == [uid]
        return None if is_right else f"{path}: {answer.status_code} {answer.text[:200]}"

    with imported.client() as client, ThreadPoolExecutor(_CLIENTS) as threads:
        assert [wrong for wrong in threads.map(check, kept_files) if wrong] == []


def test_every_kept_file_is_rendered_or_the_client_is_told_why_not(
    imported: RunningHilum, kept_files: dict[str, tuple[str, Path]]
) -> None:
    def render(uid: str) -> tuple[str, int, str]:
        path, file = kept_files[uid]
        answer = client.get(f"{path}/rendered", params={"viewport": "64,64"}, headers={"Accept": "image/*,*/*;q=0.5"})
        return file.name, answer.status_code, answer.headers.get("content-type", "")

    with imported.client() as client, ThreadPoolExecutor(_CLIENTS) as threads:
        answers = list(threads.map(render, kept_files))
    odd = [answer for answer in answers if answer[1] not in (200, 404, 406, 413)]
    assert odd == []
    assert all(media_type == "application/problem+json" for _, status, media_type in answers if status != 200)
    assert sum(status == 200 for _, status, _ in answers) > 600


def frames_in(file: Path) -> list[bytes] | None:
    """Return the frames of a file as pydicom cuts them, None where it cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset: Dataset = pydicom.dcmread(file, force=True)
            count = int(dataset.get("NumberOfFrames") or 1)
            pixels = dataset.PixelData
            if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
                return list(generate_frames(pixels, number_of_frames=count))
            bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
            is_odd = bits % 8 or dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian or count > 1000
            if is_odd or "422" in dataset.PhotometricInterpretation or len(pixels) < bits // 8 * count:
                return None
            return [pixels[number * bits // 8 : (number + 1) * bits // 8] for number in range(count)]
        except (AttributeError, ValueError, KeyError, NotImplementedError, EOFError, TypeError):
            return None


def test_frames_of_every_kept_file_are_its_own(imported: RunningHilum, kept_files: dict[str, tuple[str, Path]]) -> None:
    def check(uid: str) -> str | None:
        path, file = kept_files[uid]
        own = frames_in(file)
        accept = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
        answer = client.get(f"{path}/frames/1", headers={"Accept": accept})
        if not own:
            return f"{file}: {answer.status_code}" if answer.status_code >= 500 else None
        if answer.status_code != 200:
            return f"{file}: {answer.status_code} {answer.text[:200]}"
        last = client.get(f"{path}/frames/{len(own)}", headers={"Accept": accept})
        got = [parts_of(each)[0][1] for each in (answer, last)]
        compared.append(uid)
        return None if got == [own[0], own[-1]] else f"{file}: other bytes"

    compared: list[str] = []
    with imported.client() as client, ThreadPoolExecutor(_CLIENTS) as threads:
        assert [wrong for wrong in threads.map(check, kept_files) if wrong] == []
    assert len(compared) > 500
