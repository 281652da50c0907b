"""Which attributes belong to the patient, the study, the series and the instance, and what queries ask of each.

Levels are numbers from the root down: 0 patient, 1 study, 2 series, 3 instance. Attributes of the first three are
the same in all instances of their entity, so the archive keeps them once; all others belong to the instance.
"""

from __future__ import annotations

from typing import Final

from hilum.dicom.dictionary import tag_of

PATIENT: Final = 0
STUDY: Final = 1
SERIES: Final = 2
INSTANCE: Final = 3


def _tags(keywords: str) -> tuple[str, ...]:
    return tuple(tag_of(keyword) for keyword in keywords.split())


# PS3.3 Patient (C.7.1.1), Clinical Trial Subject (C.7.1.3), Patient Relationship and Demographic (C.2) modules.
PATIENT_ATTRIBUTES: Final = frozenset(
    _tags(
        """
        PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence TypeOfPatientID OtherPatientIDs
        OtherPatientIDsSequence OtherPatientNames PatientBirthDate PatientBirthTime
        PatientBirthDateInAlternativeCalendar PatientDeathDateInAlternativeCalendar PatientAlternativeCalendar
        PatientSex PatientBirthName PatientMotherBirthName QualityControlSubject ReferencedPatientSequence
        ReferencedPatientPhotoSequence EthnicGroup EthnicGroupCodeSequence PatientComments PatientAddress
        PatientTelephoneNumbers PatientTelecomInformation PatientInsurancePlanCodeSequence
        PatientPrimaryLanguageCodeSequence PatientReligiousPreference CountryOfResidence RegionOfResidence
        MilitaryRank BranchOfService PatientSpeciesDescription PatientSpeciesCodeSequence PatientBreedDescription
        PatientBreedCodeSequence BreedRegistrationSequence StrainDescription StrainNomenclature
        StrainCodeSequence StrainStockSequence StrainAdditionalInformation GeneticModificationsSequence
        ResponsiblePerson ResponsiblePersonRole ResponsibleOrganization PatientIdentityRemoved
        DeidentificationMethod DeidentificationMethodCodeSequence SourcePatientGroupIdentificationSequence
        GroupOfPatientsIdentificationSequence ClinicalTrialSponsorName
        ClinicalTrialProtocolID ClinicalTrialProtocolName IssuerOfClinicalTrialProtocolID
        OtherClinicalTrialProtocolIDsSequence ClinicalTrialSiteID ClinicalTrialSiteName
        IssuerOfClinicalTrialSiteID ClinicalTrialSubjectID IssuerOfClinicalTrialSubjectID
        ClinicalTrialSubjectReadingID IssuerOfClinicalTrialSubjectReadingID
        ClinicalTrialProtocolEthicsCommitteeName ClinicalTrialProtocolEthicsCommitteeApprovalNumber
        """
    )
)

# PS3.3 General Study (C.7.2.1), Patient Study (C.7.2.2), Clinical Trial Study (C.7.2.3) modules.
STUDY_ATTRIBUTES: Final = frozenset(
    _tags(
        """
        StudyInstanceUID StudyDate StudyTime StudyID StudyDescription AccessionNumber
        IssuerOfAccessionNumberSequence ReferringPhysicianName ReferringPhysicianIdentificationSequence
        ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers ConsultingPhysicianName
        ConsultingPhysicianIdentificationSequence PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence
        NameOfPhysiciansReadingStudy PhysiciansReadingStudyIdentificationSequence RequestingService
        RequestingServiceCodeSequence RequestingPhysician ReferencedStudySequence ProcedureCodeSequence
        ReasonForPerformedProcedureCodeSequence RequestedProcedureDescription RequestedProcedureCodeSequence
        AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientWeight
        PatientBodyMassIndex MeasuredAPDimension MeasuredLateralDimension PatientSizeCodeSequence MedicalAlerts
        Allergies SmokingStatus PregnancyStatus LastMenstrualDate PatientState Occupation
        AdditionalPatientHistory AdmissionID IssuerOfAdmissionIDSequence ServiceEpisodeID
        ServiceEpisodeDescription IssuerOfServiceEpisodeIDSequence PatientSexNeutered ReasonForVisit
        ReasonForVisitCodeSequence ClinicalTrialTimePointID ClinicalTrialTimePointDescription
        IssuerOfClinicalTrialTimePointID ClinicalTrialTimePointTypeCodeSequence
        LongitudinalTemporalOffsetFromEvent LongitudinalTemporalEventType ConsentForClinicalTrialUseSequence
        """
    )
)

# PS3.3 General Series (C.7.3.1), Clinical Trial Series (C.7.3.2), General Equipment (C.7.5.1), Frame of Reference
# (C.7.4.1) and Synchronization (C.7.4.2) modules.
SERIES_ATTRIBUTES: Final = frozenset(
    _tags(
        """
        SeriesInstanceUID SeriesNumber Modality Laterality SeriesDate SeriesTime SeriesDescription
        SeriesDescriptionCodeSequence PerformingPhysicianName PerformingPhysicianIdentificationSequence
        ProtocolName OperatorsName OperatorIdentificationSequence ReferencedPerformedProcedureStepSequence
        RelatedSeriesSequence BodyPartExamined PatientPosition SmallestPixelValueInSeries
        LargestPixelValueInSeries RequestAttributesSequence PerformedProcedureStepID
        PerformedProcedureStepStartDate PerformedProcedureStepStartTime PerformedProcedureStepEndDate
        PerformedProcedureStepEndTime PerformedProcedureStepDescription PerformedProtocolCodeSequence
        CommentsOnThePerformedProcedureStep AnatomicalOrientationType TreatmentSessionUID
        ClinicalTrialCoordinatingCenterName ClinicalTrialSeriesID IssuerOfClinicalTrialSeriesID
        ClinicalTrialSeriesDescription Manufacturer ManufacturerModelName ManufacturerDeviceClassUID
        InstitutionName InstitutionAddress InstitutionalDepartmentName
        InstitutionalDepartmentTypeCodeSequence StationName DeviceSerialNumber SoftwareVersions GantryID
        UDISequence DeviceUID DateOfManufacture DateOfInstallation DateOfLastCalibration TimeOfLastCalibration
        FrameOfReferenceUID PositionReferenceIndicator SynchronizationFrameOfReferenceUID
        SynchronizationTrigger AcquisitionTimeSynchronized TimeSource TimeDistributionProtocol
        NTPSourceAddress
        """
    )
)

COMMON_ATTRIBUTES: Final = frozenset(_tags("SpecificCharacterSet TimezoneOffsetFromUTC"))
"""What says how the values of any level are to be read, and so belongs to each (PS3.3 §C.12.1)."""

LEVEL_ATTRIBUTES: Final = (PATIENT_ATTRIBUTES, STUDY_ATTRIBUTES, SERIES_ATTRIBUTES)
"""The attributes of levels 0, 1 and 2, indexed by level."""

# What the archive works out for an answer, rather than finds in an instance.
COMPUTED_ATTRIBUTES: Final = (
    frozenset(_tags("NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances")),
    frozenset(
        _tags(
            """
            ModalitiesInStudy SOPClassesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
            InstanceAvailability RetrieveURL RetrieveAETitle
            """
        )
    ),
    frozenset(_tags("NumberOfSeriesRelatedInstances InstanceAvailability RetrieveURL RetrieveAETitle")),
    frozenset(_tags("InstanceAvailability RetrieveURL RetrieveAETitle")),
)

STUDY_RESPONSE: Final = _tags(
    """
    StudyDate StudyTime AccessionNumber InstanceAvailability ModalitiesInStudy
    ReferringPhysicianName TimezoneOffsetFromUTC RetrieveURL PatientName PatientID PatientBirthDate PatientSex
    StudyInstanceUID StudyID NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
    """
)
"""What a study-level search returns by default. Reference: PS3.18 Table 10.6.3-3."""

SERIES_RESPONSE: Final = _tags(
    """
    Modality TimezoneOffsetFromUTC SeriesDescription RetrieveURL SeriesInstanceUID
    SeriesNumber NumberOfSeriesRelatedInstances PerformedProcedureStepStartDate PerformedProcedureStepStartTime
    RequestAttributesSequence
    """
)
"""What a series-level search returns by default. Reference: PS3.18 Table 10.6.3-4."""

INSTANCE_RESPONSE: Final = _tags(
    """
    SOPClassUID SOPInstanceUID InstanceAvailability TimezoneOffsetFromUTC RetrieveURL
    InstanceNumber Rows Columns BitsAllocated NumberOfFrames
    """
)
"""What an instance-level search returns by default. Reference: PS3.18 Table 10.6.3-5."""

PATIENT_RESPONSE: Final = _tags("PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex")
"""What identifies a patient in an answer. Reference: PS3.4 Table C.6-1."""

DEFAULT_RESPONSES: Final = (PATIENT_RESPONSE, STUDY_RESPONSE, SERIES_RESPONSE, INSTANCE_RESPONSE)
"""The default response attributes, indexed by level."""


def _paths(keys: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(tag_of(part) for part in key.split(".")) for key in keys.split())


REQUIRED_MATCHING_KEYS: Final = (
    _paths("PatientName PatientID"),
    _paths(
        """
        StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName PatientName PatientID
        StudyInstanceUID StudyID
        """
    ),
    _paths(
        """
        Modality SeriesInstanceUID SeriesNumber PerformedProcedureStepStartDate PerformedProcedureStepStartTime
        RequestAttributesSequence.ScheduledProcedureStepID RequestAttributesSequence.RequestedProcedureID
        """
    ),
    _paths("SOPClassUID SOPInstanceUID InstanceNumber"),
)
"""Paths every origin server matches, indexed by level. Reference: PS3.18 Table 10.6.1-5, PS3.4 §C.6.1.1."""

DATE_TIME_PAIRS: Final = dict(
    zip(
        _tags(
            """
            StudyDate SeriesDate PerformedProcedureStepStartDate PerformedProcedureStepEndDate AcquisitionDate
            ContentDate InstanceCreationDate PatientBirthDate
            """
        ),
        _tags(
            """
            StudyTime SeriesTime PerformedProcedureStepStartTime PerformedProcedureStepEndTime AcquisitionTime
            ContentTime InstanceCreationTime PatientBirthTime
            """
        ),
        strict=True,
    )
)
"""Dates and the times that belong to them, which together are moments. Reference: PS3.4 §C.2.2.2.5.4."""

UNIQUE_KEYS: Final = _tags("PatientID StudyInstanceUID SeriesInstanceUID SOPInstanceUID")
"""The unique key of each level. Reference: PS3.4 §C.6.1.1."""


def level_of(tag: str) -> int:
    """Return the level an attribute belongs to: 0 patient, 1 study, 2 series, 3 instance and all the rest.

    Computed attributes belong to the level they count or describe; availability and retrieval exist at each level
    and count as the instance's.

    Reference: PS3.3 §A.1.2, PS3.4 §C.6
    """
    for level, attributes in enumerate(LEVEL_ATTRIBUTES):
        if tag in attributes or tag in COMPUTED_ATTRIBUTES[level] - COMPUTED_ATTRIBUTES[INSTANCE]:
            return level
    return INSTANCE
