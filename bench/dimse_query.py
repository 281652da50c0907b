"""`python -m bench.dimse_query`: C-FIND of a thousand studies beside Orthanc and DCMTK's dcmqrscp.

All get the same studies of one instance each and are asked by the same requestor, which looks at statuses alone.
dcmqrscp holds 500 studies at most: it takes part with `--studies 500`.
"""

from __future__ import annotations

import argparse
import io
import shutil
import socket
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from bench.dimse_retrieve import dcmqrscp, processor_time, send
from bench.peers import Peer, hilum, orthanc
from hilum.dicom.data_sets import write_data_set
from hilum.dicom.dictionary import tag_of, vr_of
from hilum.dicom.uids import APPLICATION_CONTEXT, EXPLICIT_VR_LITTLE_ENDIAN, IMPLEMENTATION_CLASS_UID, STUDY_ROOT_FIND
from hilum.dimse.fragments import fragment_command, fragment_data_set
from hilum.dimse.messages import CCancelRequest, CFindRequest
from hilum.ul.codec import encode_p_data
from hilum.ul.core import AssociationCore, Role
from hilum.ul.pdu import PduType
from hilum.ul.primitives import AssociateRequest, ProposedContext, UserInformation

PLAIN = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyDescription"),
    *("PatientName", "PatientID"),
)
COUNTED = (*PLAIN, "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")


def make_study(number: int) -> bytes:
    """Return the file of a study of one small instance."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"1.2.826.0.1.{number}.1.1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.826.0.1.{number}", f"1.2.826.0.1.{number}.1"
    dataset.PatientName = f"Müller{number % 300}^Anna" if number % 5 == 0 else f"Smith{number % 300}^John"
    dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = f"PAT{number:06}", "19600101", "O"
    dataset.StudyDate, dataset.StudyTime = f"2023{number % 12 + 1:02}{number % 28 + 1:02}", "101500"
    dataset.AccessionNumber, dataset.StudyID = f"ACC{number:06}", str(number)
    dataset.StudyDescription, dataset.ReferringPhysicianName = "CT Thorax/Abdomen", "House^Gregory"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "CT", 1, 1
    dataset.SeriesDescription = "Axial 5 mm"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def find(
    peer: Peer, keys: tuple[str, ...], *, enough: int | None = None, **values: str
) -> tuple[int, int, float, float]:
    """Return status and number of answers of one query, and the seconds to the first and the last.

    After `enough` answers the query is cancelled.
    """
    attributes = {tag_of(key): {"vr": vr_of(tag_of(key))} for key in keys}
    for key, value in {"QueryRetrieveLevel": "STUDY", **values}.items():
        attributes[tag_of(key)] = {"vr": vr_of(tag_of(key)), "Value": [value]}  # type: ignore[dict-item]
    core = AssociationCore(Role.REQUESTOR, now=0.0)
    request = AssociateRequest(
        peer.ae_title,
        "BENCH",
        APPLICATION_CONTEXT,
        (ProposedContext(1, STUDY_ROOT_FIND, (EXPLICIT_VR_LITTLE_ENDIAN,)),),
        UserInformation(131072, IMPLEMENTATION_CLASS_UID),
    )
    message = CFindRequest(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND)
    identifier = write_data_set(attributes, EXPLICIT_VR_LITTLE_ENDIAN)
    with socket.create_connection(("127.0.0.1", peer.dicom_port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = connection.makefile("rb", buffering=1 << 18)
        core.send(request, 0.0)
        connection.sendall(b"".join(core.data_to_send()))
        assert read_pdu(stream)[0] == PduType.ASSOCIATE_AC
        fragments = (*fragment_command(1, message, 16000), *fragment_data_set(1, identifier, 16000, is_end=True))
        begin = time.perf_counter()
        connection.sendall(b"".join(part for fragment in fragments for part in encode_p_data(fragment)))
        pending, first = 0, 0.0
        while True:
            _, body = read_pdu(stream)
            # Of the fragments only command sets are looked at: Status is their last element but for comments.
            if body[5] & 1:
                where = body.index(b"\0\0\0\x09\x02\0\0\0") + 8
                status = int.from_bytes(body[where : where + 2], "little")
                if status not in (0xFF00, 0xFF01):
                    break
                pending += 1
                first = first or time.perf_counter() - begin
                if pending == enough:
                    cancel = fragment_command(1, CCancelRequest(message_id_being_responded_to=1), 16000)
                    connection.sendall(b"".join(part for fragment in cancel for part in encode_p_data(fragment)))
        last = time.perf_counter() - begin
        connection.sendall(b"\x05\0\0\0\0\x04\0\0\0\0")
        read_pdu(stream)
    return status, pending, first, last


def read_pdu(stream: BinaryIO) -> tuple[int, bytes]:
    """Return type and content of the next PDU."""
    head = stream.read(6)
    return head[0], stream.read(int.from_bytes(head[2:], "big"))


def measure(peer: Peer, count: int, times: int) -> dict[str, float]:
    """Return times in milliseconds."""
    rows: dict[str, float] = {}
    questions = {
        f"{count:,} studies": (PLAIN, {}, count),
        f"{count:,} studies with modalities and counts": (COUNTED, {}, count),
        "one study by its patient": (PLAIN, {"PatientID": "PAT000007"}, 1),
    }
    for what, (keys, values, expected) in questions.items():
        found, used = [], []
        for _ in range(times):
            before = processor_time(peer.pid)
            status, answers, first, last = find(peer, keys, **values)
            if (status, answers) != (0, expected):
                print(f"{peer.name}: {what}: status {status:04X}, {answers} answers")
                break
            found.append((last, first))
            used.append(processor_time(peer.pid) - before)
        if found:
            rows[f"{what}, ms"] = 1e3 * statistics.median(last for last, _ in found)
            rows[f"{what}, first answer, ms"] = 1e3 * statistics.median(first for _, first in found)
            rows[f"{what}, processor ms"] = 1e3 * statistics.mean(used)
    return rows


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.dimse_query", description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--peers", nargs="*", default=["hilum", "orthanc", "dcmqrscp"])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hilum-bench-", dir="/dev/shm"))
    folder.chmod(0o711)
    try:
        files = folder / "files"
        files.mkdir()
        for number in range(options.studies):
            (files / f"{number}.dcm").write_bytes(make_study(number))
        results: dict[str, dict[str, float]] = {}
        contexts = {"hilum": hilum(folder, 1), "orthanc": orthanc(folder), "dcmqrscp": dcmqrscp(folder, 1)}
        for name in options.peers:
            if name == "dcmqrscp" and options.studies > 500:
                continue
            with contexts[name] as peer:
                if peer is not None:
                    if peer.http_port and name == "orthanc":
                        url = f"http://127.0.0.1:{peer.http_port}/modalities/bench"
                        known = urllib.request.Request(url, b'["BENCH", "127.0.0.1", 1]', method="PUT")
                        urllib.request.urlopen(known, timeout=10).close()
                    send(peer, files)
                    results[peer.name] = measure(peer, options.studies, options.times)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = dict.fromkeys(row for each in results.values() for row in each)
    print("| | " + " | ".join(results) + " |\n" + "|---" * (len(results) + 1) + "|")
    for row in rows:
        cells = (f"{each[row]:,.1f}" if row in each else "" for each in results.values())
        print(f"| {row} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
