"""Other implementations as requestors: DCMTK's and pynetdicom's senders against our acceptor, over loopback.

PS3.4 Annexes A and B.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification

from hilum.dicom.uids import TRANSFER_SYNTAXES
from hilum.kernel.errors import InvalidInput
from support.dimse import MemoryStore, RunningArchive, running_archive
from support.instances import ct_slice, data_set_bytes, part10

# One bundled file for each family of transfer syntaxes DCMTK can send as it is, with the option that proposes it.
_FAMILIES = [
    ("CT_small.dcm", "-xe"),
    ("MR_small_implicit.dcm", "-xi"),
    ("MR_small_bigendian.dcm", "-xb"),
    ("image_dfl.dcm", "-xd"),
    ("MR_small_RLE.dcm", "-xr"),
    ("SC_rgb_jpeg_dcmtk.dcm", "-xy"),
    ("JPEG-lossy.dcm", "-xx"),
    ("JPEG-LL.dcm", "-xs"),
    ("MR_small_jpeg_ls_lossless.dcm", "-xt"),
    ("MR_small_jp2klossless.dcm", "-xv"),
    ("JPEG2000.dcm", "-xw"),
]


def dcmtk(name: str) -> str:
    program = Path("/usr/bin") / name
    if not program.exists():
        pytest.skip(f"needs DCMTK's {name}: apt-get install dcmtk")
    return str(program)


async def run(*command: str) -> str:
    """Run a peer to its end and return what it said; it has to succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode("latin-1")
    return output.decode("latin-1")


def address(archive: RunningArchive) -> list[str]:
    return ["-aet", "PEER", "-aec", "HILUM", "127.0.0.1", str(archive.port)]


class TestDcmtk:
    """DCMTK 3.6."""

    async def test_echoscu_is_answered(self) -> None:
        async with running_archive() as archive:
            await run(dcmtk("echoscu"), *address(archive), "--repeat", "3")

    async def test_echoscu_is_rejected_under_another_title(self) -> None:
        async with running_archive() as archive:
            with pytest.raises(AssertionError, match="Called AE Title Not Recognized"):
                await run(dcmtk("echoscu"), "-aec", "NOBODY", "127.0.0.1", str(archive.port))

    async def test_an_abort_of_echoscu_leaves_the_archive_well(self) -> None:
        async with running_archive() as archive:
            await run(dcmtk("echoscu"), *address(archive), "--abort")
            await run(dcmtk("echoscu"), *address(archive))

    @pytest.mark.parametrize(("name", "option"), _FAMILIES, ids=[name for name, _ in _FAMILIES])
    async def test_storescu_sends_each_family_of_transfer_syntaxes_as_it_is(self, name: str, option: str) -> None:
        path = Path(str(get_testdata_file(name)))
        async with running_archive() as archive:
            await run(dcmtk("storescu"), *address(archive), option, str(path))
            (stored,) = archive.store.instances
            dataset = pydicom.dcmread(path)
            assert stored.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID
            assert stored.sop_instance_uid == dataset.SOPInstanceUID
            if TRANSFER_SYNTAXES[stored.transfer_syntax_uid].is_encapsulated:
                received = pydicom.filereader.read_dataset(
                    pydicom.filebase.DicomBytesIO(bytes(stored.content)), is_implicit_VR=False, is_little_endian=True
                )
                assert received.PixelData == dataset.PixelData

    @pytest.mark.parametrize("pdu", ["4096", "16384", "131072"])
    async def test_dcmsend_sends_a_series_at_every_pdu_length(self, pdu: str, tmp_path: Path) -> None:
        files = write_slices(tmp_path, 8)
        async with running_archive() as archive:
            await run(dcmtk("dcmsend"), *address(archive), "--max-send-pdu", pdu, "--scan-directories", str(tmp_path))
            assert_same_pixels(archive.store, files)

    async def test_two_senders_at_once_do_not_disturb_each_other(self, tmp_path: Path) -> None:
        folders = [tmp_path / name for name in ("first", "second")]
        files = {}
        for folder in folders:
            folder.mkdir()
            files.update(write_slices(folder, 10))
        async with running_archive() as archive:
            command = [dcmtk("dcmsend"), *address(archive), "--scan-directories"]
            await asyncio.gather(*(run(*command, str(folder)) for folder in folders))
            assert_same_pixels(archive.store, files)

    async def test_a_refusal_is_reported_by_storescu_with_our_comment(self, tmp_path: Path) -> None:
        (uid,) = write_slices(tmp_path, 1)
        async with running_archive() as archive:
            archive.store.commit_error = InvalidInput("StudyInstanceUID is missing", attribute="StudyInstanceUID")
            with pytest.raises(AssertionError) as caught:
                await run(dcmtk("storescu"), "-d", *address(archive), str(tmp_path / f"{uid}.dcm"))
            said = str(caught.value)
            assert "0xc000" in said.lower()
            assert "StudyInstanceUID is missing" in said
            assert "(0020,000d)" in said


class TestPynetdicom:
    """pynetdicom 3."""

    async def test_an_echo_is_answered_and_released(self) -> None:
        async with running_archive() as archive:

            def peer() -> int:
                ae = AE("PEER")
                ae.add_requested_context(Verification)
                association = ae.associate("127.0.0.1", archive.port, ae_title="HILUM")
                assert association.is_established
                status = association.send_c_echo().Status
                association.release()
                return int(status)

            assert await in_thread(peer) == 0

    async def test_instances_arrive_byte_for_byte(self, tmp_path: Path) -> None:
        datasets = [ct_slice(number=number, side=300) for number in range(5)]
        async with running_archive() as archive:

            def peer() -> list[int]:
                ae = AE("PEER")
                ae.add_requested_context(CTImageStorage, datasets[0].file_meta.TransferSyntaxUID)
                association = ae.associate("127.0.0.1", archive.port, ae_title="HILUM")
                assert association.is_established
                statuses = [association.send_c_store(each).Status for each in datasets]
                association.release()
                return statuses

            assert await in_thread(peer) == [0] * 5
            stored = {each.sop_instance_uid: bytes(each.content) for each in archive.store.instances}
            assert stored == {each.SOPInstanceUID: data_set_bytes(part10(each)) for each in datasets}

    @pytest.mark.parametrize("syntax", sorted(TRANSFER_SYNTAXES))
    async def test_each_transfer_syntax_of_data_sets_is_negotiated(self, syntax: str) -> None:
        keyword = TRANSFER_SYNTAXES[syntax].keyword
        expected = 4 if keyword.startswith(("SMPTE", "RFC2557", "XMLEncoding", "Papyrus")) else 0
        async with running_archive() as archive:

            def peer() -> int | None:
                ae = AE("PEER")
                ae.add_requested_context(CTImageStorage, syntax)
                ae.add_requested_context(Verification)
                association = ae.associate("127.0.0.1", archive.port, ae_title="HILUM")
                contexts = [*association.accepted_contexts, *association.rejected_contexts]
                (result,) = [each.result for each in contexts if each.abstract_syntax == CTImageStorage]
                association.release()
                return result

            assert await in_thread(peer) == expected


async def in_thread(peer: Callable[[], object]) -> object:
    async with asyncio.timeout(60):
        return await asyncio.to_thread(peer)


def write_slices(folder: Path, count: int) -> dict[str, bytes]:
    files = {}
    for number in range(count):
        dataset = ct_slice(number=number, side=200)
        files[str(dataset.SOPInstanceUID)] = dataset.PixelData
        (folder / f"{dataset.SOPInstanceUID}.dcm").write_bytes(part10(dataset))
    return files


def assert_same_pixels(store: MemoryStore, pixels: dict[str, bytes]) -> None:
    """DCMTK writes data sets anew (group lengths, padding), so what is compared are the pixels and the UIDs."""
    assert {each.sop_instance_uid for each in store.instances} == set(pixels)
    assert len(store.instances) == len(pixels)
    for each in store.instances:
        assert pixels[str(each.sop_instance_uid)] in bytes(each.content)
