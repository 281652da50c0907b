"""The requests the OHIF viewer makes, as it makes them, and the answers it needs."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx2
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from support.dicomweb import data_set_of, parts_of, stow
from support.instances import ct_slice, part10
from support.running import RunningHilum

STUDY, SERIES, INSTANCE = generate_uid(), generate_uid(), ""
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
SLIDES = ", ".join(
    f'multipart/related; type="{media_type}"; transfer-syntax={syntax}'
    for media_type, syntax in (
        ("image/jls", "1.2.840.10008.1.2.4.80"),
        ("image/jls", "1.2.840.10008.1.2.4.81"),
        ("image/jp2", "1.2.840.10008.1.2.4.90"),
        ("image/jp2", "1.2.840.10008.1.2.4.91"),
        ("image/jpeg", "1.2.840.10008.1.2.4.50"),
        ("application/octet-stream", "*"),
    )
)


@pytest.fixture(scope="module")
def client(hilum: RunningHilum) -> Iterator[httpx2.Client]:
    with hilum.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def instance(client: httpx2.Client) -> pydicom.Dataset:
    dataset = ct_slice(study=STUDY, series=SERIES, patient_id="OHIF-1")
    other = ct_slice(patient_id="OHIF-10")
    assert stow(client, [part10(dataset), part10(other)]).status_code == 200
    return dataset


def test_study_list_and_the_one_study(client: httpx2.Client, instance: pydicom.Dataset) -> None:
    query = "limit=101&offset=0&fuzzymatching=true&includefield=00081030,00080060,00080090,00100030"
    everything = client.get(f"/dicom-web/studies?{query}", headers={"Accept": "application/dicom+json"})
    assert instance.StudyInstanceUID in {study["0020000D"]["Value"][0] for study in everything.json()}
    (one,) = client.get(f"/dicom-web/studies?{query}&StudyInstanceUID={STUDY}").json()
    assert one["00081030"]["Value"] == ["Thorax"]
    assert one["00201208"]["Value"] == [1]


def test_priors_are_of_this_patient_only(client: httpx2.Client, instance: pydicom.Dataset) -> None:
    query = f"00100020={instance.PatientID}&limit=101&offset=0&fuzzymatching=true&includefield=00081030,00080060"
    found = client.get(f"/dicom-web/studies?{query}").json()
    assert [study["00100020"]["Value"] for study in found] == [["OHIF-1"]]


def test_series_and_their_metadata(client: httpx2.Client, instance: pydicom.Dataset) -> None:
    fields = "includefield=00080021,00080031,0008103E,00200011"
    (series,) = client.get(f"/dicom-web/studies/{STUDY}/series?{fields}").json()
    assert series["0008103E"]["Value"] == [instance.SeriesDescription]
    assert series["00200011"]["Value"] == [1]
    (attributes,) = client.get(f"/dicom-web/studies/{STUDY}/series/{SERIES}/metadata").json()
    assert attributes["00083002"]["Value"]
    assert attributes["00280010"]["Value"] == [instance.Rows]


@pytest.mark.parametrize(
    "accept",
    [
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        'multipart/related; type="application/octet-stream"; transfer-syntax=*',
        SLIDES,
    ],
)
def test_frames(client: httpx2.Client, instance: pydicom.Dataset, accept: str) -> None:
    url = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{instance.SOPInstanceUID}/frames/1"
    ((media_type, content),) = parts_of(client.get(url, headers={"Accept": accept}))
    assert media_type == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    assert content == instance.PixelData


def test_whole_instance_for_segmentations(client: httpx2.Client, instance: pydicom.Dataset) -> None:
    url = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{instance.SOPInstanceUID}"
    ((_, content),) = parts_of(client.get(url, headers={"Accept": 'multipart/related; type="application/dicom"'}))
    assert data_set_of(content) == data_set_of(part10(instance))


def test_waveform_data_as_one_part(client: httpx2.Client) -> None:
    path = get_testdata_file("waveform_ecg.dcm", download=False)
    assert isinstance(path, str)
    dataset = pydicom.dcmread(path)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    assert stow(client, [buffer.getvalue()]).status_code in (200, 202)
    url = f"/dicom-web/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}/metadata"
    (attributes,) = client.get(url).json()
    address = attributes["54000100"]["Value"][0]["54001010"]["BulkDataURI"]
    response = client.get(address, headers={"Accept": "application/octet-stream"})
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.content == dataset.WaveformSequence[0].WaveformData


def test_a_browser_that_navigates_to_the_picture_gets_it(client: httpx2.Client, instance: pydicom.Dataset) -> None:
    url = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{instance.SOPInstanceUID}/rendered"
    response = client.get(url, headers={"Accept": BROWSER})
    assert response.headers["content-type"] == "image/jpeg"
