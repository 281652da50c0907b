"""The attributes the index has columns for, and those of instances it can match."""

from __future__ import annotations

from typing import Final

from hilum.dicom.dictionary import tag_of


def _tags(keywords: str) -> frozenset[str]:
    return frozenset(tag_of(keyword) for keyword in keywords.split())


PATIENT_ID: Final = tag_of("PatientID")
ISSUER_OF_PATIENT_ID: Final = tag_of("IssuerOfPatientID")
PATIENT_NAME: Final = tag_of("PatientName")
PATIENT_BIRTH_DATE: Final = tag_of("PatientBirthDate")
PATIENT_SEX: Final = tag_of("PatientSex")

STUDY_INSTANCE_UID: Final = tag_of("StudyInstanceUID")
STUDY_DATE: Final = tag_of("StudyDate")
STUDY_TIME: Final = tag_of("StudyTime")
STUDY_ID: Final = tag_of("StudyID")
STUDY_DESCRIPTION: Final = tag_of("StudyDescription")
ACCESSION_NUMBER: Final = tag_of("AccessionNumber")
REFERRING_PHYSICIAN_NAME: Final = tag_of("ReferringPhysicianName")

SERIES_INSTANCE_UID: Final = tag_of("SeriesInstanceUID")
SERIES_NUMBER: Final = tag_of("SeriesNumber")
MODALITY: Final = tag_of("Modality")
PERFORMED_PROCEDURE_STEP_START_DATE: Final = tag_of("PerformedProcedureStepStartDate")

SOP_CLASS_UID: Final = tag_of("SOPClassUID")
SOP_INSTANCE_UID: Final = tag_of("SOPInstanceUID")
INSTANCE_NUMBER: Final = tag_of("InstanceNumber")

SPECIFIC_CHARACTER_SET: Final = tag_of("SpecificCharacterSet")
TIMEZONE_OFFSET_FROM_UTC: Final = tag_of("TimezoneOffsetFromUTC")
INSTANCE_AVAILABILITY: Final = tag_of("InstanceAvailability")
MODALITIES_IN_STUDY: Final = tag_of("ModalitiesInStudy")
SOP_CLASSES_IN_STUDY: Final = tag_of("SOPClassesInStudy")
NUMBER_OF_PATIENT_RELATED_STUDIES: Final = tag_of("NumberOfPatientRelatedStudies")
NUMBER_OF_PATIENT_RELATED_SERIES: Final = tag_of("NumberOfPatientRelatedSeries")
NUMBER_OF_PATIENT_RELATED_INSTANCES: Final = tag_of("NumberOfPatientRelatedInstances")
NUMBER_OF_STUDY_RELATED_SERIES: Final = tag_of("NumberOfStudyRelatedSeries")
NUMBER_OF_STUDY_RELATED_INSTANCES: Final = tag_of("NumberOfStudyRelatedInstances")
NUMBER_OF_SERIES_RELATED_INSTANCES: Final = tag_of("NumberOfSeriesRelatedInstances")

INSTANCE_TERMS: Final = _tags(
    """
        SOPClassUID SOPInstanceUID InstanceNumber TimezoneOffsetFromUTC
        ImageType AcquisitionNumber AcquisitionDate AcquisitionTime AcquisitionDateTime ContentDate ContentTime
        InstanceCreationDate InstanceCreationTime Rows Columns BitsAllocated BitsStored NumberOfFrames
        PhotometricInterpretation SamplesPerPixel BurnedInAnnotation LossyImageCompression
        SliceThickness SliceLocation ImageComments ViewPosition ImageLaterality ContrastBolusAgent
        CompletionFlag VerificationFlag ConceptNameCodeSequence ReferencedRequestSequence
        DocumentTitle MIMETypeOfEncapsulatedDocument HL7InstanceIdentifier
        ContentLabel ContentDescription ContentCreatorName StructureSetLabel RTPlanLabel
    """
)
"""Attributes of instances that can be matched. Each costs every instance; these are what people search by."""

COUNTS: Final = frozenset(
    {
        NUMBER_OF_PATIENT_RELATED_STUDIES,
        NUMBER_OF_PATIENT_RELATED_SERIES,
        NUMBER_OF_PATIENT_RELATED_INSTANCES,
        NUMBER_OF_STUDY_RELATED_SERIES,
        NUMBER_OF_STUDY_RELATED_INSTANCES,
        NUMBER_OF_SERIES_RELATED_INSTANCES,
    }
)
"""Attributes worked out for an answer, and not matched."""
