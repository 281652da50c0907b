"""WADO-RS in other transfer syntaxes than the stored ones (PS3.18 §8.7.3.5, §10.4)."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx2
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import BasicTextSRStorage, generate_uid

from hilum.dicom import uids
from hilum.dicom.uids import transfer_syntax
from support.dicomweb import parts_of, stow
from support.images import ImageKind
from support.instances import ct_slice, part10
from support.running import RunningHilum

GREY = ImageKind(64, 48, frames=4, bits_stored=12)
COLOUR = ImageKind(64, 48, photometric_interpretation="RGB", bits_allocated=8, bits_stored=8)
DICOM = "application/dicom"
MULTIPART = 'multipart/related; type="application/dicom"'


@pytest.fixture(scope="module")
def client(hilum: RunningHilum) -> Iterator[httpx2.Client]:
    with hilum.client() as opened:
        yield opened


def url_of(dataset: Dataset) -> str:
    return (
        f"/dicom-web/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


def stored(client: httpx2.Client, dataset: Dataset) -> str:
    assert stow(client, [part10(dataset)]).status_code == 200
    return url_of(dataset)


@pytest.fixture(scope="module")
def grey(client: httpx2.Client) -> str:
    return stored(client, GREY.dataset())


@pytest.fixture(scope="module")
def colour(client: httpx2.Client) -> str:
    return stored(client, COLOUR.dataset())


class TestInstances:
    """PS3.18 §8.7.3.5."""

    @pytest.mark.parametrize(
        "uid",
        [
            uids.HTJ2K_LOSSLESS_RPCL,
            uids.JPEG_2000,
            uids.JPEG_LS_LOSSLESS,
            uids.RLE_LOSSLESS,
            uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
            uids.IMPLICIT_VR_LITTLE_ENDIAN,
        ],
    )
    def test_an_instance_comes_in_the_syntax_asked_for_and_is_itself(
        self, client: httpx2.Client, grey: str, uid: str
    ) -> None:
        response = client.get(grey, headers={"Accept": f"{DICOM}; transfer-syntax={uid}"})
        assert response.status_code == 200
        assert response.headers["content-type"] == f"{DICOM}; transfer-syntax={uid}"
        made = pydicom.dcmread(io.BytesIO(response.content))
        assert made.file_meta.TransferSyntaxUID == uid
        assert grey.endswith(made.SOPInstanceUID)
        # Given back, it is the same samples again.
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        buffer = io.BytesIO()
        made.save_as(buffer, enforce_file_format=True)
        assert stow(client, [buffer.getvalue()]).status_code == 200
        octets = {"Accept": 'multipart/related; type="application/octet-stream"'}
        frames = [content for _, content in parts_of(client.get(f"{url_of(made)}/frames/1,2,3,4", headers=octets))]
        assert frames == [frame.astype("<u2").tobytes() for frame in GREY.pixels()]

    def test_a_syntax_that_cannot_do_without_loss_gives_another_instance(
        self, client: httpx2.Client, colour: str
    ) -> None:
        response = client.get(colour, headers={"Accept": f"{DICOM}; transfer-syntax={uids.JPEG_BASELINE}"})
        made = pydicom.dcmread(io.BytesIO(response.content))
        assert (made.LossyImageCompression, made.PhotometricInterpretation) == ("01", "YBR_FULL_422")
        assert not colour.endswith(made.SOPInstanceUID)
        assert colour.endswith(made.SourceImageSequence[0].ReferencedSOPInstanceUID)

    def test_what_the_samples_do_not_fit_is_406(self, client: httpx2.Client, grey: str) -> None:
        for uid in (uids.JPEG_BASELINE, "1.2.840.10008.1.2.4.102", "1.2.3.4"):
            response = client.get(grey, headers={"Accept": f"{DICOM}; transfer-syntax={uid}"})
            assert response.status_code == 406, uid

    def test_of_equal_choices_the_stored_one_is_taken(self, client: httpx2.Client, grey: str) -> None:
        accept = f"{DICOM}; transfer-syntax={uids.JPEG_LS_LOSSLESS}, {DICOM}; transfer-syntax=*"
        response = client.get(grey, headers={"Accept": accept})
        assert response.headers["content-type"].endswith(uids.EXPLICIT_VR_LITTLE_ENDIAN)
        preferred = f"{DICOM}; transfer-syntax={uids.JPEG_LS_LOSSLESS}, {DICOM}; transfer-syntax=*;q=0.5"
        response = client.get(grey, headers={"Accept": preferred})
        assert response.headers["content-type"].endswith(uids.JPEG_LS_LOSSLESS)

    def test_each_part_of_a_study_tells_what_it_is_in(self, client: httpx2.Client) -> None:
        image = ct_slice()
        signed = ct_slice(study=image.StudyInstanceUID, series=image.SeriesInstanceUID, number=2)
        report = ct_slice(study=image.StudyInstanceUID)
        image.PixelRepresentation = 0
        for keyword in ("PixelData", "Rows", "Columns"):
            delattr(report, keyword)
        report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
        report.Modality = "SR"
        assert stow(client, [part10(one) for one in (image, signed, report)]).status_code == 200
        study = f"/dicom-web/studies/{image.StudyInstanceUID}"
        answer = client.get(study, headers={"Accept": f"{MULTIPART}; transfer-syntax={uids.JPEG_XL_LOSSLESS}"})
        found = {}
        for media_type, content in parts_of(answer):
            dataset = pydicom.dcmread(io.BytesIO(content))
            assert media_type == f"{DICOM}; transfer-syntax={dataset.file_meta.TransferSyntaxUID}"
            found[dataset.SOPInstanceUID] = dataset.file_meta.TransferSyntaxUID
        assert found == {
            image.SOPInstanceUID: uids.JPEG_XL_LOSSLESS,
            signed.SOPInstanceUID: uids.EXPLICIT_VR_LITTLE_ENDIAN,
            report.SOPInstanceUID: uids.EXPLICIT_VR_LITTLE_ENDIAN,
        }


class TestFrames:
    """PS3.18 §10.4.1.4, Table 8.7.3-5."""

    @pytest.mark.parametrize(
        ("media_type", "uid"),
        [
            ("image/jphc", uids.HTJ2K_LOSSLESS),
            ("image/jp2", uids.JPEG_2000_LOSSLESS),
            ("image/jls", uids.JPEG_LS_LOSSLESS),
            ("image/jpeg", uids.JPEG_LOSSLESS_SV1),
            ("image/jxl", uids.JPEG_XL_LOSSLESS),
            ("image/dicom-rle", uids.RLE_LOSSLESS),
        ],
    )
    def test_a_type_without_syntax_means_the_standards_one(
        self, client: httpx2.Client, grey: str, media_type: str, uid: str
    ) -> None:
        headers = {"Accept": f'multipart/related; type="{media_type}"'}
        parts = parts_of(client.get(f"{grey}/frames/3,1", headers=headers))
        assert [one for one, _ in parts] == [f"{media_type}; transfer-syntax={uid}"] * 2
        decode = {
            "image/jphc": imagecodecs.jpeg2k_decode,
            "image/jp2": imagecodecs.jpeg2k_decode,
            "image/jls": imagecodecs.jpegls_decode,
            "image/jpeg": imagecodecs.jpegsof3_decode,
            "image/jxl": imagecodecs.jpegxl_decode,
        }.get(media_type)
        if decode is not None:
            for (_, content), index in zip(parts, (2, 0), strict=True):
                assert np.array_equal(decode(content), GREY.pixels()[index, ..., 0])

    def test_a_named_syntax_is_made_and_the_stored_one_goes_first(self, client: httpx2.Client, grey: str) -> None:
        rpcl = f"image/jphc; transfer-syntax={uids.HTJ2K_LOSSLESS_RPCL}"
        alone = client.get(f"{grey}/frames/2", headers={"Accept": rpcl})
        assert alone.headers["content-type"] == rpcl
        assert b"\xff\x55" in alone.content[:200]
        both = {"Accept": f'multipart/related; type="image/jphc", {rpcl}, application/octet-stream'}
        answer = client.get(f"{grey}/frames/2", headers=both)
        assert answer.headers["content-type"].startswith("application/octet-stream")
        wrong = {"Accept": f"image/jls; transfer-syntax={uids.HTJ2K_LOSSLESS}"}
        assert client.get(f"{grey}/frames/2", headers=wrong).status_code == 406

    def test_jpeg_of_a_colour_image_is_made_by_name(self, client: httpx2.Client, colour: str) -> None:
        accept = f"image/jpeg; transfer-syntax={uids.JPEG_BASELINE}"
        answer = client.get(f"{colour}/frames/1", headers={"Accept": accept})
        assert answer.headers["content-type"] == accept
        found = imagecodecs.jpeg8_decode(answer.content)
        assert np.abs(found.astype(int) - COLOUR.pixels()[0]).mean() < 12


def test_transcoded_frames_of_a_stored_compressed_instance(client: httpx2.Client, grey: str) -> None:
    response = client.get(grey, headers={"Accept": f"{DICOM}; transfer-syntax={uids.JPEG_2000_LOSSLESS}"})
    made = pydicom.dcmread(io.BytesIO(response.content))
    assert transfer_syntax(made.file_meta.TransferSyntaxUID).is_encapsulated
    frames = list(generate_frames(made.PixelData, number_of_frames=4))
    assert np.array_equal(imagecodecs.jpeg2k_decode(frames[3]), GREY.pixels()[3, ..., 0])
