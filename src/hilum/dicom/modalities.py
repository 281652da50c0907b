"""Which storage SOP classes the series of a modality are usually of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hilum.dicom.uids import STORAGE_SOP_CLASSES

# Modality (PS3.3 §C.7.3.1.1.1) and keywords of SOP classes; what any modality may send besides stands under "*".
_TABLE: Final = """
CT CTImageStorage EnhancedCTImageStorage LegacyConvertedEnhancedCTImageStorage
MR MRImageStorage EnhancedMRImageStorage EnhancedMRColorImageStorage MRSpectroscopyStorage
 LegacyConvertedEnhancedMRImageStorage
PT PositronEmissionTomographyImageStorage EnhancedPETImageStorage LegacyConvertedEnhancedPETImageStorage
NM NuclearMedicineImageStorage
CR ComputedRadiographyImageStorage DigitalXRayImageStorageForPresentation
DX DigitalXRayImageStorageForPresentation DigitalXRayImageStorageForProcessing ComputedRadiographyImageStorage
MG DigitalMammographyXRayImageStorageForPresentation DigitalMammographyXRayImageStorageForProcessing
 BreastTomosynthesisImageStorage
IO DigitalIntraOralXRayImageStorageForPresentation DigitalIntraOralXRayImageStorageForProcessing
PX DigitalXRayImageStorageForPresentation
US UltrasoundImageStorage UltrasoundMultiFrameImageStorage EnhancedUSVolumeStorage
IVUS UltrasoundImageStorage UltrasoundMultiFrameImageStorage
XA XRayAngiographicImageStorage EnhancedXAImageStorage XRay3DAngiographicImageStorage
RF XRayRadiofluoroscopicImageStorage EnhancedXRFImageStorage
ES VLEndoscopicImageStorage VideoEndoscopicImageStorage
GM VLMicroscopicImageStorage VideoMicroscopicImageStorage
SM VLWholeSlideMicroscopyImageStorage VLSlideCoordinatesMicroscopicImageStorage
XC VLPhotographicImageStorage VideoPhotographicImageStorage
OP OphthalmicPhotography8BitImageStorage OphthalmicPhotography16BitImageStorage
OPT OphthalmicTomographyImageStorage
ECG TwelveLeadECGWaveformStorage GeneralECGWaveformStorage AmbulatoryECGWaveformStorage
HD HemodynamicWaveformStorage
SEG SegmentationStorage SurfaceSegmentationStorage
REG SpatialRegistrationStorage DeformableSpatialRegistrationStorage
DOC EncapsulatedPDFStorage EncapsulatedCDAStorage
RTIMAGE RTImageStorage
RTDOSE RTDoseStorage
RTSTRUCT RTStructureSetStorage
RTPLAN RTPlanStorage RTIonPlanStorage
RTRECORD RTBeamsTreatmentRecordStorage RTIonBeamsTreatmentRecordStorage RTTreatmentSummaryRecordStorage
* SecondaryCaptureImageStorage MultiFrameGrayscaleByteSecondaryCaptureImageStorage
 MultiFrameTrueColorSecondaryCaptureImageStorage GrayscaleSoftcopyPresentationStateStorage
 KeyObjectSelectionDocumentStorage BasicTextSRStorage EnhancedSRStorage ComprehensiveSRStorage
 XRayRadiationDoseSRStorage EncapsulatedPDFStorage RawDataStorage
"""


def _read_table() -> dict[str, tuple[str, ...]]:
    uids = {each.keyword: each.uid for each in STORAGE_SOP_CLASSES.values()}
    rows = (row.split() for row in _TABLE.strip().replace("\n ", " ").split("\n"))
    return {modality: tuple(uids[keyword] for keyword in keywords) for modality, *keywords in rows}


_SOP_CLASSES: Final = _read_table()


def sop_classes_of_modalities(modalities: Iterable[str]) -> tuple[str, ...]:
    """Return the SOP classes that series of these modalities are usually of; () when one of them is not known.

    Reference: PS3.3 §C.7.3.1.1.1, PS3.6 Table A-1
    """
    names = set(modalities)
    if not names <= _SOP_CLASSES.keys():
        return ()
    return tuple(dict.fromkeys(uid for name in (*sorted(names), "*") for uid in _SOP_CLASSES[name]))
