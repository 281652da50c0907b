"""The sample studies: conformant, readable, drawn as anatomy, and the same every time."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from hilum.dicom.header import read_header
from hilum.dicom.native_xml import native_xml
from hilum.dicom.part10 import read_file_meta
from hilum.dicom.samples import SampleInstance, ct_series, sample_studies
from hilum.dicom.samples.documents import one_page_pdf
from hilum.dicom.samples.thorax import Nodule, Thorax
from hilum.dicom.uids import STORAGE_SOP_CLASSES, is_valid_uid

DCIODVFY = shutil.which("dciodvfy")


@pytest.fixture(scope="module")
def instances() -> list[SampleInstance]:
    return list(sample_studies(small=True))


@pytest.fixture(scope="module")
def data_sets(instances: list[SampleInstance]) -> list[Dataset]:
    return [pydicom.dcmread(BytesIO(instance.part10)) for instance in instances]


@pytest.fixture(scope="module")
def by_modality(data_sets: list[Dataset]) -> dict[str, list[Dataset]]:
    found = defaultdict(list)
    for ds in data_sets:
        found[ds.Modality].append(ds)
    return found


def test_every_kind_of_object_is_there(by_modality: dict[str, list[Dataset]]) -> None:
    assert set(by_modality) == {"CT", "MR", "US", "DX", "MG", "ECG", "SR", "DOC", "SEG"}


def test_the_same_call_gives_the_same_bytes(instances: list[SampleInstance]) -> None:
    again = sample_studies(small=True)
    assert all(next(again).part10 == instance.part10 for instance in instances[:24])


def test_every_instance_is_of_a_known_sop_class_with_valid_and_unique_uids(data_sets: list[Dataset]) -> None:
    uids = [str(ds.SOPInstanceUID) for ds in data_sets]
    assert len(set(uids)) == len(uids)
    for ds in data_sets:
        assert STORAGE_SOP_CLASSES[ds.SOPClassUID].is_patient_object
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        for uid in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID):
            assert is_valid_uid(uid)


def test_what_is_said_beside_an_instance_stands_in_it(
    instances: list[SampleInstance], data_sets: list[Dataset]
) -> None:
    for instance, ds in zip(instances, data_sets, strict=True):
        assert instance.study_description == ds.StudyDescription
        assert instance.modality == ds.Modality
        assert instance.sop_instance_uid == ds.SOPInstanceUID


def test_attributes_of_a_study_and_a_series_are_the_same_in_all_their_instances(data_sets: list[Dataset]) -> None:
    of_study: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    of_series: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for ds in data_sets:
        of_study[ds.StudyInstanceUID].add(
            (str(ds.PatientID), str(ds.PatientName), str(ds.StudyDate), str(ds.StudyDescription), ds.AccessionNumber)
        )
        of_series[ds.SeriesInstanceUID].add((ds.StudyInstanceUID, ds.Modality, str(ds.SeriesNumber)))
    assert all(len(found) == 1 for found in (*of_study.values(), *of_series.values()))


def test_a_dozen_people_with_names_in_many_scripts_some_with_priors(data_sets: list[Dataset]) -> None:
    names = {ds.PatientID: str(ds.PatientName) for ds in data_sets}
    assert len(names) == 12
    written = "".join(names.values())
    for fragment in ("Müller", "山田", "やまだ", "Петрова", "Παπαδόπουλος", "홍", "قباني", "小东", "Nguyễn", "שרון"):
        assert fragment in written
    studies = defaultdict(set)
    for ds in data_sets:
        studies[ds.PatientID].add(ds.StudyInstanceUID)
    assert sum(len(found) > 1 for found in studies.values()) >= 2


def test_slices_of_the_ct_lie_one_above_the_other_at_the_stated_distance(by_modality: dict[str, list[Dataset]]) -> None:
    series = defaultdict(list)
    for ds in by_modality["CT"]:
        series[ds.SeriesInstanceUID].append(ds)
    for slices in series.values():
        z = [float(ds.ImagePositionPatient[2]) for ds in slices]
        assert np.allclose(np.diff(z), slices[0].SpacingBetweenSlices, atol=1e-3)
        assert len({ds.FrameOfReferenceUID for ds in slices}) == 1


def test_tissues_of_the_chest_have_their_hounsfield_values() -> None:
    thorax = Thorax(7, Nodule())
    slice_ = thorax.slice_at(34.0, 256, 256)
    nodule = thorax.nodule_mask(34.0, 256, 256)
    assert -1010 < float(np.median(slice_[:20])) < -990  # air
    assert 30 < float(np.median(slice_[nodule])) < 90
    lung = slice_[(slice_ > -950) & (slice_ < -700)]
    assert lung.size > 0.06 * slice_.size and -890 < float(np.median(lung)) < -830
    assert float((slice_ > 600).mean()) > 0.002  # cortical bone
    soft = (slice_ > 0) & (slice_ < 120)
    assert float(soft.mean()) > 0.1


def test_lungs_end_at_the_diaphragm_and_the_liver_lies_below() -> None:
    thorax = Thorax(7)
    above, below = thorax.slice_at(0.0, 128, 128), thorax.slice_at(-125.0, 128, 128)
    lung_above, lung_below = (((s > -950) & (s < -700)).mean() for s in (above, below))
    assert lung_above > 6 * lung_below
    right_half = below[40:90, 30:60]
    assert 90 < float(np.median(right_half)) < 135
    assert not thorax.nodule_mask(34.0, 64, 64).any()


def test_the_nodule_has_grown_since_the_prior() -> None:
    earlier, later = (
        sum(int(Thorax(7, Nodule(radius=r)).nodule_mask(z, 256, 256).sum()) for z in range(20, 50, 2))
        for r in (4.8, 8.0)
    )
    assert later > 3 * earlier > 0


def test_the_segmentation_marks_soft_tissue_on_the_slices_it_refers_to(by_modality: dict[str, list[Dataset]]) -> None:
    (segmentation,) = by_modality["SEG"]
    images = {ds.SOPInstanceUID: ds for ds in by_modality["CT"]}
    masks = np.atleast_3d(segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns))
    frames = segmentation.PerFrameFunctionalGroupsSequence
    assert len(frames) == segmentation.NumberOfFrames == len(masks) > 0
    values = []
    for mask, frame in zip(masks, frames, strict=True):
        image = images[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert frame.PlanePositionSequence[0].ImagePositionPatient == image.ImagePositionPatient
        assert image.FrameOfReferenceUID == segmentation.FrameOfReferenceUID
        values.extend((image.pixel_array[mask.astype(bool)].astype(int) + int(image.RescaleIntercept)).tolist())
    # Lung is below -800; pixels of this size hold some of it at the nodule's edge.
    assert -300 < float(np.median(values)) < 120


def test_the_brain_is_bright_where_its_weighting_says(by_modality: dict[str, list[Dataset]]) -> None:
    middle = {}
    for ds in by_modality["MR"]:
        if ds.PatientID == "HIL-1002" and ds.SeriesNumber != 1 and ds.InstanceNumber == 2:
            middle[ds.SeriesDescription] = float(np.percentile(ds.pixel_array[16:48, 16:48], 99))
    assert middle["T2 TSE"] > middle["T1 SE"] and middle["T2 TSE"] > middle["T2 FLAIR"]


def test_localizer_planes_are_orthogonal(by_modality: dict[str, list[Dataset]]) -> None:
    planes = [ds for ds in by_modality["MR"] if ds.PatientID == "HIL-1002" and ds.SeriesNumber == 1]
    normals = [
        np.cross([float(v) for v in ds.ImageOrientationPatient[:3]], [float(v) for v in ds.ImageOrientationPatient[3:]])
        for ds in planes
    ]
    assert np.allclose(np.abs(np.array(normals) @ np.array(normals).T), np.eye(3))


def test_the_heart_moves_in_the_cine(by_modality: dict[str, list[Dataset]]) -> None:
    for ds in by_modality["US"]:
        frames = ds.pixel_array
        assert frames.shape[0] == ds.NumberOfFrames == 3
        assert np.abs(frames[0].astype(int) - frames[1]).mean() > 3
        assert (frames[:, 0, :5] == 0).all()  # outside the sector


def test_radiographs_use_the_range_of_their_bits(by_modality: dict[str, list[Dataset]]) -> None:
    for ds in (*by_modality["DX"], *by_modality["MG"]):
        pixels = ds.pixel_array
        assert ds.PhotometricInterpretation == "MONOCHROME2" and ds.BitsStored == 12
        assert pixels.max() <= 4095 and np.percentile(pixels, 98) > 1200
        assert np.percentile(pixels, 2) < 400


def test_the_chest_wall_of_a_breast_is_at_the_side_its_orientation_says(by_modality: dict[str, list[Dataset]]) -> None:
    assert {(ds.ImageLaterality, ds.ViewPosition) for ds in by_modality["MG"]} == {
        (side, view) for side in "LR" for view in ("CC", "MLO")
    }
    for ds in by_modality["MG"]:
        left, right = ds.pixel_array[:, :4].mean(), ds.pixel_array[:, -4:].mean()
        # Columns run forwards (A) if the chest wall is at the left edge.
        assert (left > right) == (ds.PatientOrientation[0] == "A") == (ds.ImageLaterality == "L")


def test_limb_leads_of_the_ecg_obey_einthoven(by_modality: dict[str, list[Dataset]]) -> None:
    for ds in by_modality["ECG"]:
        (leads,) = (ds.waveform_array(0),)
        assert leads.shape == (5000, 12)
        one, two, three, avr = (leads[:, i] for i in range(4))
        assert np.allclose(two - one, three, atol=6) and np.allclose(avr, -(one + two) / 2, atol=6)
        assert 800 < leads[:, 1].max() < 1400  # microvolts of the R wave in lead II
        beats = np.flatnonzero((two[1:-1] > 700) & (two[1:-1] >= two[:-2]) & (two[1:-1] > two[2:]))
        intervals = np.diff(beats[np.insert(np.diff(beats) > 100, 0, True)]) / 500
        assert len(intervals) >= 9 and 0.7 < float(np.median(intervals)) < 1.0


def test_the_report_names_its_concepts_and_refers_to_an_image_that_is_there(
    by_modality: dict[str, list[Dataset]],
) -> None:
    (report,) = by_modality["SR"]
    assert report.ConceptNameCodeSequence[0].CodeMeaning == "Diagnostic imaging report"
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID in {ds.SOPInstanceUID for ds in by_modality["CT"]}


def test_the_encapsulated_pdf_is_one_with_right_offsets(by_modality: dict[str, list[Dataset]]) -> None:
    for ds in by_modality["DOC"]:
        document = ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]
        assert document.startswith(b"%PDF-1.4") and document.endswith(b"%%EOF\n")
        start = int(document.rsplit(b"startxref\n", 1)[1].split()[0])
        table = document[start:].splitlines()
        assert table[0] == b"xref"
        for number, row in enumerate(table[3:9], start=1):
            assert document[int(row[:10]) :].startswith(b"%d 0 obj" % number)


def test_brackets_in_a_pdf_text_are_escaped() -> None:
    assert rb"(a \(b\) \\ c)" in one_page_pdf("t", ["a (b) \\ c"])


def test_a_ct_series_is_made_slice_by_slice_in_the_asked_size() -> None:
    one, two = ct_series(2, 64, 96, seed=3)
    first, second = (pydicom.dcmread(BytesIO(part10)) for part10 in (one, two))
    assert first.pixel_array.shape == (64, 96)
    assert len(first) > 85
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    meta = read_file_meta(one)
    assert read_header(one[meta.data_set_offset :], meta.transfer_syntax_uid).damage == ()
    other = pydicom.dcmread(BytesIO(next(ct_series(2, 64, 96, seed=4))))
    assert other.StudyInstanceUID != first.StudyInstanceUID and other.PatientID != first.PatientID


@pytest.mark.skipif(DCIODVFY is None, reason="needs dicom3tools: apt-get install dicom3tools")
def test_dciodvfy_finds_no_error(
    by_modality: dict[str, list[Dataset]], instances: list[SampleInstance], tmp_path: Path
) -> None:
    files = {instance.sop_instance_uid: instance.part10 for instance in instances}
    chosen = [ds.SOPInstanceUID for found in by_modality.values() for ds in (found[0], found[-1])]
    for uid in chosen:
        path = tmp_path / f"{uid}.dcm"
        path.write_bytes(files[uid])
        done = subprocess.run([str(DCIODVFY), path], capture_output=True, text=True, timeout=60, check=False)
        assert "Error" not in done.stderr, done.stderr


def test_our_own_reader_finds_nothing_odd_in_them(instances: list[SampleInstance], data_sets: list[Dataset]) -> None:
    for instance, ds in zip(instances, data_sets, strict=True):
        meta = read_file_meta(instance.part10)
        header = read_header(instance.part10[meta.data_set_offset :], meta.transfer_syntax_uid)
        assert header.damage == ()
        assert header.text("PatientName") == str(ds.PatientName)
        native_xml(header.attributes)
