"""The `dicomweb-client` library as an independent client of all three services."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_user_pass
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from support.instances import ct_slice
from support.running import PASSWORD, RunningHilum

STUDY, SERIES = generate_uid(), generate_uid()


@pytest.fixture(scope="module")
def client(hilum: RunningHilum) -> Iterator[DICOMwebClient]:
    session = create_session_from_user_pass("admin", PASSWORD)
    yield DICOMwebClient(hilum.dicomweb, session=session)
    session.close()


@pytest.fixture(scope="module")
def slices(client: DICOMwebClient) -> list[Dataset]:
    datasets = [ct_slice(study=STUDY, series=SERIES, number=number, patient_id="CLIENT") for number in (1, 2, 3)]
    report = client.store_instances(datasets)
    assert len(report.ReferencedSOPSequence) == 3
    assert "FailedSOPSequence" not in report
    return datasets


def test_searches_at_every_level(client: DICOMwebClient, slices: list[Dataset]) -> None:
    (study,) = client.search_for_studies(search_filters={"PatientID": "CLIENT"}, fields=["StudyDescription"])
    assert Dataset.from_json(study).StudyDescription == "Thorax"
    assert len(client.search_for_series(STUDY)) == 1
    assert len(client.search_for_series(search_filters={"SeriesInstanceUID": SERIES})) == 1
    found = client.search_for_instances(STUDY, SERIES, limit=2, offset=1)
    assert [Dataset.from_json(item).SOPInstanceUID for item in found] == [
        dataset.SOPInstanceUID for dataset in slices[1:]
    ]
    assert client.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []
    assert len(client.search_for_studies(fuzzymatching=True, search_filters={"PatientName": "til"}, limit=5)) >= 1


def test_retrieves_whole_instances(client: DICOMwebClient, slices: list[Dataset]) -> None:
    for found in (client.retrieve_study(STUDY), client.retrieve_series(STUDY, SERIES)):
        assert [dataset.SOPInstanceUID for dataset in found] == [dataset.SOPInstanceUID for dataset in slices]
        assert found[0].PixelData == slices[0].PixelData
    assert client.retrieve_instance(STUDY, SERIES, slices[1].SOPInstanceUID).InstanceNumber == 2


def test_retrieves_metadata(client: DICOMwebClient, slices: list[Dataset]) -> None:
    assert len(client.retrieve_study_metadata(STUDY)) == len(slices)
    assert len(client.retrieve_series_metadata(STUDY, SERIES)) == len(slices)
    metadata = Dataset.from_json(client.retrieve_instance_metadata(STUDY, SERIES, slices[2].SOPInstanceUID))
    assert metadata.InstanceNumber == 3


def test_retrieves_frames_and_pictures(client: DICOMwebClient, slices: list[Dataset]) -> None:
    uid = slices[0].SOPInstanceUID
    assert client.retrieve_instance_frames(STUDY, SERIES, uid, [1]) == [slices[0].PixelData]
    for media_type in ("image/jpeg", "image/png"):
        rendered = client.retrieve_instance_rendered(STUDY, SERIES, uid, media_types=(media_type,))
        assert Image.open(io.BytesIO(rendered)).size == (64, 64)
    picture = client.retrieve_instance_frames_rendered(STUDY, SERIES, uid, [1], media_types=("image/png",))
    assert Image.open(io.BytesIO(picture)).size == (64, 64)


def test_retrieves_compressed_frames_as_asked(client: DICOMwebClient) -> None:
    path = get_testdata_file("JPEG2000.dcm", download=False)
    assert isinstance(path, str)
    dataset = pydicom.dcmread(path)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    client.store_instances([dataset])
    names = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    (stored,) = client.retrieve_instance_frames(*names, [1], media_types=(("image/jp2", "1.2.840.10008.1.2.4.91"),))
    assert stored.startswith(b"\xff\x4f\xff\x51")
    (decoded,) = client.retrieve_instance_frames(*names, [1], media_types=("application/octet-stream",))
    assert np.array_equal(np.frombuffer(decoded, "<i2"), dataset.pixel_array.ravel())


def test_retrieves_bulk_data(client: DICOMwebClient) -> None:
    path = get_testdata_file("waveform_ecg.dcm", download=False)
    assert isinstance(path, str)
    dataset = pydicom.dcmread(path)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    client.store_instances([dataset])
    (metadata,) = client.retrieve_study_metadata(dataset.StudyInstanceUID)
    address = metadata["54000100"]["Value"][0]["54001010"]["BulkDataURI"]
    assert client.retrieve_bulkdata(address) == [dataset.WaveformSequence[0].WaveformData]
