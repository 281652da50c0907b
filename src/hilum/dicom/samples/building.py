"""Data sets of the sample studies: the modules all objects share, and their PS3.10 bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from hilum.dicom.part10 import write_file_meta
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN


@dataclass(frozen=True, slots=True)
class Person:
    """One patient of the samples; the name is written in the given specific character sets."""

    patient_id: str
    name: str
    birth_date: str
    sex: str
    character_sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyOf:
    """One study of one person."""

    person: Person
    key: str
    description: str
    date: str
    time: str
    accession_number: str
    referring_physician: str = "Hartmann^Eva^^Dr."
    requested_procedure: str = ""

    @property
    def uid(self) -> str:
        """The Study Instance UID."""
        return sample_uid(self.key)


@dataclass(frozen=True, slots=True)
class SeriesOf:
    """One series of a study, and the machine that made it."""

    study: StudyOf
    number: int
    modality: str
    description: str
    manufacturer: str
    model: str
    station: str
    body_part: str = ""
    protocol: str = ""

    @property
    def uid(self) -> str:
        """The Series Instance UID."""
        return sample_uid(f"{self.study.key}/{self.number}")

    def instance_uid(self, number: int) -> str:
        """The SOP Instance UID of the instance with this number."""
        return sample_uid(f"{self.study.key}/{self.number}/{number}")


def sample_uid(key: str) -> str:
    """Return the UID that belongs to a key: always the same, under the root of UUIDs (PS3.5 §B.2)."""
    digest = bytearray(hashlib.sha256(b"hilum sample " + key.encode()).digest()[:16])
    # Marked as a UUID of version 8 (made by a rule of our own), as the root asks for.
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"2.25.{int.from_bytes(digest, 'big')}"


def new_instance(series: SeriesOf, sop_class_uid: str, number: int) -> Dataset:
    """Return a data set with the Patient, Study, Series, Equipment and SOP Common modules filled in."""
    study, person = series.study, series.study.person
    ds = Dataset()
    if person.character_sets:
        sets = list(person.character_sets)
        ds.SpecificCharacterSet = sets if len(sets) > 1 else sets[0]
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = series.instance_uid(number)
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = study.date
    ds.InstanceCreationDate = study.date
    ds.StudyTime = study.time
    ds.SeriesTime = ds.ContentTime = ds.InstanceCreationTime = _later(study.time, 60 * series.number)
    ds.TimezoneOffsetFromUTC = "+0100"
    ds.AccessionNumber = study.accession_number
    ds.Modality = series.modality
    ds.Manufacturer = series.manufacturer
    ds.InstitutionName = "Hilum Sample Hospital"
    ds.InstitutionalDepartmentName = "Radiology"
    ds.ReferringPhysicianName = study.referring_physician
    ds.StationName = series.station
    ds.StudyDescription = study.description
    ds.SeriesDescription = series.description
    ds.PerformingPhysicianName = "Okafor^Chidi"
    ds.OperatorsName = "Lind^Sara"
    ds.ManufacturerModelName = series.model
    ds.PatientName = person.name
    ds.PatientID = person.patient_id
    ds.IssuerOfPatientID = "HILUM-SAMPLES"
    ds.PatientBirthDate = person.birth_date
    ds.PatientSex = person.sex
    ds.PatientAge = _age(person.birth_date, study.date)
    ds.DeviceSerialNumber = "SAMPLE-0001"
    ds.SoftwareVersions = "Hilum samples 1"
    if series.body_part:
        ds.BodyPartExamined = series.body_part
    if series.protocol:
        ds.ProtocolName = series.protocol
    ds.StudyInstanceUID = study.uid
    ds.SeriesInstanceUID = series.uid
    ds.StudyID = study.accession_number[-4:]
    ds.SeriesNumber = series.number
    ds.InstanceNumber = number
    if study.requested_procedure:
        request = Dataset()
        request.RequestedProcedureDescription = study.requested_procedure
        request.ScheduledProcedureStepID = f"SPS{study.accession_number[-4:]}"
        request.RequestedProcedureID = f"RP{study.accession_number[-4:]}"
        ds.RequestAttributesSequence = Sequence([request])
        ds.PerformedProcedureStepID = f"PPS{study.accession_number[-4:]}"
        ds.PerformedProcedureStepStartDate = study.date
        ds.PerformedProcedureStepStartTime = study.time
    return ds


def set_pixels(
    ds: Dataset, pixels: NDArray[Any], *, bits_stored: int, photometric_interpretation: str = "MONOCHROME2"
) -> None:
    """Fill in the Image Pixel module for (frames,) rows, columns of unsigned or signed integers."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = photometric_interpretation
    if pixels.ndim == 3:
        ds.NumberOfFrames = pixels.shape[0]
    ds.Rows, ds.Columns = pixels.shape[-2:]
    ds.BitsAllocated = pixels.dtype.itemsize * 8
    ds.BitsStored = bits_stored
    ds.HighBit = bits_stored - 1
    ds.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    data = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return one item of a code sequence (PS3.3 §8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def reference_to(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return one item that refers to an instance (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def to_part10(ds: Dataset) -> bytes:
    """Return the data set as a PS3.10 file in explicit VR little endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    head = write_file_meta(ds.SOPClassUID, ds.SOPInstanceUID, EXPLICIT_VR_LITTLE_ENDIAN, "SAMPLES")
    return head + buffer.getvalue()


def _age(birth_date: str, date: str) -> str:
    years = int(date[:4]) - int(birth_date[:4]) - (date[4:] < birth_date[4:])
    return f"{years:03d}Y"


def _later(time: str, seconds: int) -> str:
    total = int(time[:2]) * 3600 + int(time[2:4]) * 60 + int(time[4:6]) + seconds
    return f"{total // 3600 % 24:02d}{total // 60 % 60:02d}{total % 60:02d}"
