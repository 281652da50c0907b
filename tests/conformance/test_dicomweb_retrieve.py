"""WADO-RS and QIDO-RS on a running Hilum (PS3.18 §10.4, §10.6)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import httpx2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian, generate_uid

from support.dicomweb import data_set_of, parts_of, stow
from support.instances import ct_slice, part10
from support.running import RunningHilum

OCTETS = 'multipart/related; type="application/octet-stream"'
DICOM = 'multipart/related; type="application/dicom"'
SAMPLES = {
    "ct": "CT_small.dcm",
    "jpeg": "SC_rgb_small_odd_jpeg.dcm",
    "rle": "SC_rgb_rle_2frame.dcm",
    "j2k": "JPEG2000.dcm",
    "deflated": "image_dfl.dcm",
    "big": "MR_small_bigendian.dcm",
    "report": "test-SR.dcm",
    "implicit": "MR_small_implicit.dcm",
}


class Sample:
    """A stored file: what was sent, and where it is now."""

    def __init__(self, file: bytes) -> None:
        self.file = file
        self.dataset = pydicom.dcmread(io.BytesIO(file))

    @property
    def study(self) -> str:
        return f"/dicom-web/studies/{self.dataset.StudyInstanceUID}"

    @property
    def series(self) -> str:
        return f"{self.study}/series/{self.dataset.SeriesInstanceUID}"

    @property
    def url(self) -> str:
        return f"{self.series}/instances/{self.dataset.SOPInstanceUID}"

    def frames(self) -> list[bytes]:
        if self.dataset.file_meta.TransferSyntaxUID.is_compressed and "PixelData" in self.dataset:
            count = int(self.dataset.get("NumberOfFrames", 1))
            return list(generate_frames(self.dataset.PixelData, number_of_frames=count))
        return [self.dataset.PixelData]


def own_study(file: bytes, name: str) -> bytes:
    """Give a file UIDs of its own, so that tests of this module meet nobody else's instances."""
    dataset = pydicom.dcmread(io.BytesIO(file))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.PatientID = f"RETRIEVE-{name}"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def pdf_file() -> bytes:
    dataset = ct_slice()
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    dataset.Modality = "DOC"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.4\n" + b"% text\n" * 1000
    return part10(dataset)


@pytest.fixture(scope="module")
def client(hilum: RunningHilum) -> Iterator[httpx2.Client]:
    with hilum.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def samples(client: httpx2.Client) -> dict[str, Sample]:
    files: dict[str, bytes] = {}
    for name, file_name in SAMPLES.items():
        path = get_testdata_file(file_name, download=False)
        assert isinstance(path, str)
        with open(path, "rb") as opened:  # noqa: PTH123
            files[name] = own_study(opened.read(), name)
    files["pdf"] = pdf_file()
    assert stow(client, files.values()).status_code in (200, 202)
    return {name: Sample(file) for name, file in files.items()}


@pytest.fixture(scope="module")
def stack(client: httpx2.Client) -> list[Dataset]:
    """A series of nine slices whose brightness grows with their number."""
    study, series = generate_uid(), generate_uid()
    slices = []
    for number in range(1, 10):
        dataset = ct_slice(study=study, series=series, number=number, patient_id="STACK", patient_name="Stäck^Größe")
        dataset.PixelData = np.full((64, 64), number * 20 - 200, np.int16).tobytes()
        dataset.WindowCenter, dataset.WindowWidth = -100, 200
        slices.append(dataset)
    assert stow(client, [part10(dataset) for dataset in reversed(slices)]).status_code == 200
    return slices


class TestInstances:
    """PS3.18 §10.4.1.1.1."""

    @pytest.mark.parametrize("name", [*SAMPLES, "pdf"])
    def test_original_bytes_come_back_by_default(
        self, client: httpx2.Client, samples: dict[str, Sample], name: str
    ) -> None:
        sample = samples[name]
        uid = sample.dataset.file_meta.TransferSyntaxUID
        for headers in ({}, {"Accept": DICOM}, {"Accept": f"{DICOM}; transfer-syntax=*"}):
            response = client.get(sample.study, headers=headers)
            ((media_type, content),) = parts_of(response)
            assert media_type == f"application/dicom; transfer-syntax={uid}"
            assert data_set_of(content) == data_set_of(sample.file)
            assert int(response.headers["content-length"]) == len(response.content)
        single = client.get(sample.url, headers={"Accept": "application/dicom"})
        assert data_set_of(single.content) == data_set_of(sample.file)

    def test_stored_files_are_not_compressed_whoever_would_take_that(
        self, client: httpx2.Client, samples: dict[str, Sample]
    ) -> None:
        response = client.get(samples["ct"].study, headers={"Accept": DICOM, "Accept-Encoding": "gzip"})
        assert "content-encoding" not in response.headers
        ((_, content),) = parts_of(response)
        assert data_set_of(content) == data_set_of(samples["ct"].file)

    @pytest.mark.parametrize("name", [*SAMPLES, "pdf"])
    def test_explicit_little_endian_is_made_when_asked_for(
        self, client: httpx2.Client, samples: dict[str, Sample], name: str
    ) -> None:
        sample = samples[name]
        response = client.get(
            sample.url, headers={"Accept": f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"}
        )
        assert response.status_code == 200
        made = pydicom.dcmread(io.BytesIO(response.content))
        assert made.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert made.SOPInstanceUID == sample.dataset.SOPInstanceUID
        lossy = {"LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"}
        added = {element.keyword for element in made} - {element.keyword for element in sample.dataset}
        assert added <= (lossy if name == "jpeg" else set())
        assert {element.tag for element in sample.dataset} <= {element.tag for element in made}
        if "PixelData" in made:
            expected = sample.dataset.pixel_array.astype(np.int64)
            assert np.abs(made.pixel_array.astype(np.int64) - expected).max() <= (name == "jpeg")

    def test_what_cannot_be_given_is_406_and_names_what_can(
        self, client: httpx2.Client, samples: dict[str, Sample]
    ) -> None:
        for accept in (f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.4.102", "image/jpeg", "application/zip"):
            response = client.get(samples["ct"].study, headers={"Accept": accept})
            assert response.status_code == 406
            assert "application/dicom" in response.json()["detail"]

    def test_single_instance_has_ranges_and_an_etag(self, client: httpx2.Client, samples: dict[str, Sample]) -> None:
        url, headers = samples["ct"].url, {"Accept": "application/dicom"}
        whole = client.get(url, headers=headers)
        piece = client.get(url, headers={**headers, "Range": "bytes=100-199"})
        assert (piece.status_code, piece.content) == (206, whole.content[100:200])
        assert client.get(url, headers={**headers, "If-None-Match": whole.headers["etag"]}).status_code == 304

    @pytest.mark.parametrize("path", ["", "/metadata", "/frames/1", "/rendered"])
    def test_head_has_the_headers_of_get(self, client: httpx2.Client, samples: dict[str, Sample], path: str) -> None:
        got, headed = client.get(samples["ct"].url + path), client.head(samples["ct"].url + path)
        assert headed.status_code == got.status_code == 200
        assert headed.content == b""
        assert headed.headers["etag"] == got.headers["etag"]

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/dicom-web/studies/1.2.3.4.5", 404),
            ("/dicom-web/studies/1.2.3.4.5/metadata", 404),
            ("/dicom-web/studies/not-a-uid", 400),
            ("/dicom-web/studies/" + "1" * 65, 400),
            ("/dicom-web/studies/1.2/series/x/metadata", 400),
            ("/dicom-web/studies/1.2/thumbnail", 404),
        ],
    )
    def test_what_is_not_there_is_a_problem(self, client: httpx2.Client, path: str, status: int) -> None:
        response = client.get(path)
        assert response.status_code == status
        assert response.json()["status"] == status


class TestFrames:
    """PS3.18 §10.4.1.4."""

    @pytest.mark.parametrize("name", ["ct", "jpeg", "rle", "j2k", "implicit", "big"])
    def test_stored_frames_equal_the_files(self, client: httpx2.Client, samples: dict[str, Sample], name: str) -> None:
        sample = samples[name]
        frames = sample.frames()
        numbers = ",".join(str(number) for number in range(1, len(frames) + 1))
        response = client.get(f"{sample.url}/frames/{numbers}", headers={"Accept": f"{OCTETS}; transfer-syntax=*"})
        parts = parts_of(response)
        assert [content.rstrip(b"\0") for _, content in parts] == [frame.rstrip(b"\0") for frame in frames]

    @pytest.mark.parametrize("name", ["jpeg", "rle", "j2k", "big", "deflated"])
    def test_octets_without_transfer_syntax_are_decoded_samples(
        self, client: httpx2.Client, samples: dict[str, Sample], name: str
    ) -> None:
        sample = samples[name]
        ((media_type, content),) = parts_of(client.get(f"{sample.url}/frames/1", headers={"Accept": OCTETS}))
        assert media_type == f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
        expected = sample.dataset.pixel_array
        expected = expected[0] if name == "rle" else expected
        decoded = np.frombuffer(content, expected.dtype.newbyteorder("<")).reshape(expected.shape)
        assert np.abs(decoded.astype(int) - expected.astype(int)).max() <= (name == "jpeg")

    def test_image_type_gives_the_stored_stream(self, client: httpx2.Client, samples: dict[str, Sample]) -> None:
        accept = 'multipart/related; type="image/jls", multipart/related; type="image/jpeg"'
        ((media_type, content),) = parts_of(client.get(f"{samples['jpeg'].url}/frames/1", headers={"Accept": accept}))
        assert media_type.startswith("image/jpeg")
        assert content.startswith(b"\xff\xd8")
        single = client.get(f"{samples['jpeg'].url}/frames/1", headers={"Accept": "image/jpeg"})
        assert single.content == content

    def test_large_frames_tell_their_length(self, client: httpx2.Client) -> None:
        dataset = ct_slice(side=1600)
        pixels = dataset.PixelData
        dataset.NumberOfFrames, dataset.PixelData = 2, pixels + pixels[::-1]
        sample = Sample(part10(dataset))
        assert stow(client, [sample.file]).status_code == 200
        alone = client.get(f"{sample.url}/frames/2", headers={"Accept": "application/octet-stream"})
        assert int(alone.headers["content-length"]) == len(pixels)
        assert alone.content == pixels[::-1]
        one_part = client.get(f"{sample.url}/frames/1", headers={"Accept": OCTETS})
        assert int(one_part.headers["content-length"]) == len(one_part.content)
        assert [content for _, content in parts_of(one_part)] == [pixels]
        both = client.get(f"{sample.url}/frames/2,1", headers={"Accept": OCTETS})
        assert [content for _, content in parts_of(both)] == [pixels[::-1], pixels]

    @pytest.mark.parametrize(("frames", "status"), [("3", 404), ("1,9", 404), ("0", 400), ("x", 400), ("1-2", 200)])
    def test_frame_lists(self, client: httpx2.Client, samples: dict[str, Sample], frames: str, status: int) -> None:
        assert client.get(f"{samples['rle'].url}/frames/{frames}").status_code == status

    def test_instance_without_pixels_has_no_frames(self, client: httpx2.Client, samples: dict[str, Sample]) -> None:
        assert client.get(f"{samples['report'].url}/frames/1").status_code == 404


class TestMetadata:
    """PS3.18 §10.4.1.1.2."""

    def test_series_and_study_and_instance_have_the_same_attributes(
        self, client: httpx2.Client, stack: list[Dataset]
    ) -> None:
        study = f"/dicom-web/studies/{stack[0].StudyInstanceUID}"
        series = f"{study}/series/{stack[0].SeriesInstanceUID}"
        whole = client.get(f"{study}/metadata").json()
        assert whole == client.get(f"{series}/metadata").json()
        assert [item["00200013"]["Value"][0] for item in whole] == list(range(1, 10))
        one = client.get(f"{series}/instances/{stack[3].SOPInstanceUID}/metadata").json()
        assert one == [whole[3]]
        assert whole[0]["00083002"]["Value"] == [ExplicitVRLittleEndian]
        assert Dataset.from_json(one[0]).PatientName == "Stäck^Größe"

    def test_gzip_is_sent_only_to_who_accepts_it_and_etag_spares_the_rest(
        self, client: httpx2.Client, stack: list[Dataset]
    ) -> None:
        url = f"/dicom-web/studies/{stack[0].StudyInstanceUID}/metadata"
        plain = client.get(url, headers={"Accept-Encoding": "identity"})
        packed = client.get(url, headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert plain.json() == packed.json()
        assert (
            client.get(url, headers={"If-None-Match": packed.headers["etag"], "Accept-Encoding": "gzip"}).status_code
            == 304
        )

    def test_xml_says_the_same(self, client: httpx2.Client, stack: list[Dataset]) -> None:
        url = f"/dicom-web/studies/{stack[0].StudyInstanceUID}/metadata"
        parts = parts_of(client.get(url, headers={"Accept": 'multipart/related; type="application/dicom+xml"'}))
        assert len(parts) == len(stack)
        names = [
            element.text for element in ElementTree.fromstring(parts[0][1]).iter() if element.tag.endswith("FamilyName")
        ]
        assert names[0] == "Stäck"

    def test_bulk_data_references_lead_to_the_bytes(self, client: httpx2.Client, samples: dict[str, Sample]) -> None:
        sample = samples["pdf"]
        document = sample.dataset.EncapsulatedDocument
        (attributes,) = client.get(f"{sample.study}/metadata").json()
        address = attributes["00420011"]["BulkDataURI"]
        assert address.startswith(f"{client.base_url}".rstrip("/") + sample.url)
        accept = 'multipart/related; type="application/pdf", multipart/related; type="application/octet-stream"'
        assert parts_of(client.get(address, headers={"Accept": accept})) == [("application/pdf", document)]
        alone = client.get(address, headers={"Accept": "application/octet-stream"})
        assert (alone.headers["content-type"], alone.content) == ("application/octet-stream", document)
        piece = client.get(address, headers={"Accept": "application/octet-stream", "Range": "bytes=5-9"})
        assert (piece.status_code, piece.content) == (206, document[5:10])
        assert client.get(f"{sample.url}/bulkdata/00420012").status_code == 404
        assert client.get(f"{sample.url}/bulkdata/../../etc").status_code in (400, 404)


class TestRendered:
    """PS3.18 §10.4.1.1.3."""

    @staticmethod
    def picture(response: httpx2.Response) -> Any:
        assert response.status_code == 200
        return Image.open(io.BytesIO(response.content))

    @pytest.mark.parametrize("name", ["ct", "jpeg", "rle", "j2k", "deflated", "big"])
    def test_pictures_of_every_encoding(self, client: httpx2.Client, samples: dict[str, Sample], name: str) -> None:
        sample = samples[name]
        for accept, kind in (("*/*", "JPEG"), ("image/png", "PNG"), ("image/gif", "GIF")):
            picture = self.picture(client.get(f"{sample.url}/rendered", headers={"Accept": accept}))
            assert picture.format == kind
            assert picture.size == (sample.dataset.Columns, sample.dataset.Rows)

    def test_window_and_viewport_and_quality_are_followed(self, client: httpx2.Client, stack: list[Dataset]) -> None:
        url = f"/dicom-web/studies/{stack[0].StudyInstanceUID}/series/{stack[0].SeriesInstanceUID}"
        url += f"/instances/{stack[4].SOPInstanceUID}/rendered"
        values = []
        for window in ("-100,200", "0,2", "-300,10,linear-exact"):
            response = client.get(url, params={"window": window, "accept": "image/png"})
            values.append(int(np.asarray(self.picture(response))[0, 0]))
        assert values[0] in (127, 128)
        assert values[1:] == [0, 255]
        assert self.picture(client.get(url, params={"viewport": "16,8"})).size == (8, 8)
        small = client.get(url, params={"quality": "1"})
        assert len(small.content) <= len(client.get(url, params={"quality": "100"}).content)
        for parameters in (
            {"window": "a,b"},
            {"window": "1,0"},
            {"viewport": "1"},
            {"viewport": "0,0"},
            {"quality": "0"},
        ):
            assert client.get(url, params=parameters).status_code == 400
        assert client.get(url, params={"viewport": "100000,100000"}).status_code == 413

    def test_thumbnail_shows_the_middle_of_the_series(self, client: httpx2.Client, stack: list[Dataset]) -> None:
        study = f"/dicom-web/studies/{stack[0].StudyInstanceUID}"
        series = f"{study}/series/{stack[0].SeriesInstanceUID}"
        middle = f"{series}/instances/{stack[4].SOPInstanceUID}/rendered"
        expected = np.asarray(self.picture(client.get(middle))).mean()
        for url in (f"{study}/thumbnail", f"{series}/thumbnail"):
            assert abs(np.asarray(self.picture(client.get(url))).mean() - expected) < 3

    def test_series_and_several_frames_are_parts(
        self, client: httpx2.Client, stack: list[Dataset], samples: dict[str, Sample]
    ) -> None:
        series = f"/dicom-web/studies/{stack[0].StudyInstanceUID}/series/{stack[0].SeriesInstanceUID}"
        assert [kind for kind, _ in parts_of(client.get(f"{series}/rendered"))] == ["image/jpeg"] * 9
        assert len(parts_of(client.get(f"{samples['rle'].url}/frames/1,2/rendered"))) == 2

    def test_cine_as_gif_moves(self, client: httpx2.Client, samples: dict[str, Sample]) -> None:
        response = client.get(f"{samples['rle'].url}/rendered", headers={"Accept": "image/gif"})
        assert self.picture(response).n_frames == 2

    def test_report_is_a_page_and_document_a_pdf(self, client: httpx2.Client, samples: dict[str, Sample]) -> None:
        browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"}
        report = client.get(f"{samples['report'].url}/rendered", headers=browser)
        assert report.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in report.headers["content-security-policy"]
        document = client.get(f"{samples['pdf'].url}/rendered", headers=browser)
        assert document.headers["content-type"] == "application/pdf"
        assert document.content == samples["pdf"].dataset.EncapsulatedDocument

    def test_nothing_to_see_is_404(self, client: httpx2.Client, samples: dict[str, Sample]) -> None:
        for name in ("report", "pdf"):
            assert client.get(f"{samples[name].url}/thumbnail").status_code == 404


class TestSearch:
    """PS3.18 §10.6."""

    def test_every_resource_answers_with_its_level_and_address(
        self, client: httpx2.Client, stack: list[Dataset]
    ) -> None:
        study, series = stack[0].StudyInstanceUID, stack[0].SeriesInstanceUID
        base = f"/dicom-web/studies/{study}"
        expected = {
            f"/dicom-web/studies?StudyInstanceUID={study}": (1, base),
            f"/dicom-web/series?StudyInstanceUID={study}": (1, f"{base}/series/{series}"),
            f"/dicom-web/instances?StudyInstanceUID={study}": (9, f"{base}/series/{series}/instances/"),
            f"{base}/series": (1, f"{base}/series/{series}"),
            f"{base}/instances": (9, f"{base}/series/{series}/instances/"),
            f"{base}/series/{series}/instances": (9, f"{base}/series/{series}/instances/"),
        }
        for path, (count, address) in expected.items():
            found = client.get(path).json()
            assert len(found) == count
            url = found[0]["00081190"]["Value"][0]
            assert url.startswith(str(client.base_url).rstrip("/") + address)
            assert client.get(f"{url}/metadata").status_code == 200
            assert list(found[0]) == sorted(found[0])

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("PatientID=STACK", 1),
            ("00100020=STACK", 1),
            ("PatientID=stack", 0),
            ("PatientName=Stäck*", 1),
            ("PatientName=stack&fuzzymatching=true", 1),
            ("PatientID=STACK&StudyDate=20260101-20260103", 1),
            ("PatientID=STACK&StudyDate=20260103-", 0),
            ("PatientID=STACK&ModalitiesInStudy=CT", 1),
            ("PatientID=STACK&ModalitiesInStudy=MR", 0),
            ("PatientID=STACK&limit=0", 0),
            ("PatientID=STACK&offset=1", 0),
            ("PatientID=STACK&00080201=%2B0100", 1),
        ],
    )
    def test_matching(self, client: httpx2.Client, stack: list[Dataset], query: str, count: int) -> None:
        assert stack
        response = client.get(f"/dicom-web/studies?{query}")
        assert response.status_code == (200 if count else 204)
        assert len(response.json() if count else []) == count

    def test_computed_attributes_and_include_fields(self, client: httpx2.Client, stack: list[Dataset]) -> None:
        assert stack
        (study,) = client.get("/dicom-web/studies?PatientID=STACK&includefield=StudyDescription").json()
        assert study["00081030"]["Value"] == ["Thorax"]
        assert study["00201208"]["Value"] == [9]
        assert study["00080061"]["Value"] == ["CT"]

    def test_pages_of_a_sorted_search_make_the_whole(self, client: httpx2.Client, stack: list[Dataset]) -> None:
        base = f"/dicom-web/studies/{stack[0].StudyInstanceUID}/instances?orderby=-InstanceNumber"
        pages = [client.get(f"{base}&limit=4&offset={offset}").json() for offset in (0, 4, 8)]
        numbers = [item["00200013"]["Value"][0] for page in pages for item in page]
        assert numbers == list(range(9, 0, -1))

    def test_total_count_is_told_when_asked_for(self, client: httpx2.Client, stack: list[Dataset]) -> None:
        url = f"/dicom-web/studies/{stack[0].StudyInstanceUID}/instances?limit=2"
        assert "x-total-count" not in client.get(url).headers
        assert client.get(f"{url}&totalcount=true").headers["x-total-count"] == "9"

    def test_results_cut_off_by_us_are_announced(self, client: httpx2.Client, stack: list[Dataset]) -> None:
        assert stack
        full = client.get("/dicom-web/instances")
        if len(full.json()) == 100:
            assert full.headers["warning"].startswith("299 ")
        assert "warning" not in client.get("/dicom-web/instances?limit=1").headers

    @pytest.mark.parametrize(
        "query", ["StudyDate=tomorrow", "PatientNmae=x", "limit=x", "includefield=Nonsense", "orderby=Nonsense"]
    )
    def test_bad_parameter_is_named_in_the_problem(self, client: httpx2.Client, query: str) -> None:
        response = client.get(f"/dicom-web/studies?{query}")
        assert response.status_code == 400
        assert query.split("=")[0] in response.json()["detail"]

    def test_xml_has_a_part_for_each_result(self, client: httpx2.Client, stack: list[Dataset]) -> None:
        url = f"/dicom-web/studies/{stack[0].StudyInstanceUID}/instances"
        parts = parts_of(client.get(url, headers={"Accept": 'multipart/related; type="application/dicom+xml"'}))
        assert [kind for kind, _ in parts] == ["application/dicom+xml"] * 9
