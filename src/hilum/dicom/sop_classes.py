"""The storage SOP classes of PS3.6 Table A-1 as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_DICOM_ROOT: Final = "1.2.840.10008."


@dataclass(frozen=True, slots=True)
class SopClass:
    """One storage SOP class. Objects that are not `is_patient_object` belong to no patient, study or series."""

    uid: str
    keyword: str
    name: str
    is_retired: bool = False
    is_patient_object: bool = True


# Keyword, UID below the DICOM root, name; edition 2026c.
_CURRENT: Final = """
ComputedRadiographyImageStorage 5.1.4.1.1.1 Computed Radiography Image Storage
DigitalXRayImageStorageForPresentation 5.1.4.1.1.1.1 Digital X-Ray Image Storage - For Presentation
DigitalXRayImageStorageForProcessing 5.1.4.1.1.1.1.1 Digital X-Ray Image Storage - For Processing
DigitalMammographyXRayImageStorageForPresentation 5.1.4.1.1.1.2 Digital Mammography X-Ray Image Storage - For Presentation
DigitalMammographyXRayImageStorageForProcessing 5.1.4.1.1.1.2.1 Digital Mammography X-Ray Image Storage - For Processing
DigitalIntraOralXRayImageStorageForPresentation 5.1.4.1.1.1.3 Digital Intra-Oral X-Ray Image Storage - For Presentation
DigitalIntraOralXRayImageStorageForProcessing 5.1.4.1.1.1.3.1 Digital Intra-Oral X-Ray Image Storage - For Processing
CTImageStorage 5.1.4.1.1.2 CT Image Storage
EnhancedCTImageStorage 5.1.4.1.1.2.1 Enhanced CT Image Storage
LegacyConvertedEnhancedCTImageStorage 5.1.4.1.1.2.2 Legacy Converted Enhanced CT Image Storage
CTImageStorageForProcessing 5.1.4.1.1.2.3 CT Image Storage - For Processing
EnhancedCTImageStorageForProcessing 5.1.4.1.1.2.4 Enhanced CT Image Storage - For Processing
LegacyConvertedEnhancedCTImageStorageForProcessing 5.1.4.1.1.2.5 Legacy Converted Enhanced CT Image Storage - For Processing
UltrasoundMultiFrameImageStorage 5.1.4.1.1.3.1 Ultrasound Multi-frame Image Storage
MRImageStorage 5.1.4.1.1.4 MR Image Storage
EnhancedMRImageStorage 5.1.4.1.1.4.1 Enhanced MR Image Storage
MRSpectroscopyStorage 5.1.4.1.1.4.2 MR Spectroscopy Storage
EnhancedMRColorImageStorage 5.1.4.1.1.4.3 Enhanced MR Color Image Storage
LegacyConvertedEnhancedMRImageStorage 5.1.4.1.1.4.4 Legacy Converted Enhanced MR Image Storage
UltrasoundImageStorage 5.1.4.1.1.6.1 Ultrasound Image Storage
EnhancedUSVolumeStorage 5.1.4.1.1.6.2 Enhanced US Volume Storage
PhotoacousticImageStorage 5.1.4.1.1.6.3 Photoacoustic Image Storage
SecondaryCaptureImageStorage 5.1.4.1.1.7 Secondary Capture Image Storage
MultiFrameSingleBitSecondaryCaptureImageStorage 5.1.4.1.1.7.1 Multi-frame Single Bit Secondary Capture Image Storage
MultiFrameGrayscaleByteSecondaryCaptureImageStorage 5.1.4.1.1.7.2 Multi-frame Grayscale Byte Secondary Capture Image Storage
MultiFrameGrayscaleWordSecondaryCaptureImageStorage 5.1.4.1.1.7.3 Multi-frame Grayscale Word Secondary Capture Image Storage
MultiFrameTrueColorSecondaryCaptureImageStorage 5.1.4.1.1.7.4 Multi-frame True Color Secondary Capture Image Storage
TwelveLeadECGWaveformStorage 5.1.4.1.1.9.1.1 12-lead ECG Waveform Storage
GeneralECGWaveformStorage 5.1.4.1.1.9.1.2 General ECG Waveform Storage
AmbulatoryECGWaveformStorage 5.1.4.1.1.9.1.3 Ambulatory ECG Waveform Storage
General32bitECGWaveformStorage 5.1.4.1.1.9.1.4 General 32-bit ECG Waveform Storage
HemodynamicWaveformStorage 5.1.4.1.1.9.2.1 Hemodynamic Waveform Storage
CardiacElectrophysiologyWaveformStorage 5.1.4.1.1.9.3.1 Cardiac Electrophysiology Waveform Storage
BasicVoiceAudioWaveformStorage 5.1.4.1.1.9.4.1 Basic Voice Audio Waveform Storage
GeneralAudioWaveformStorage 5.1.4.1.1.9.4.2 General Audio Waveform Storage
ArterialPulseWaveformStorage 5.1.4.1.1.9.5.1 Arterial Pulse Waveform Storage
RespiratoryWaveformStorage 5.1.4.1.1.9.6.1 Respiratory Waveform Storage
MultichannelRespiratoryWaveformStorage 5.1.4.1.1.9.6.2 Multi-channel Respiratory Waveform Storage
RoutineScalpElectroencephalogramWaveformStorage 5.1.4.1.1.9.7.1 Routine Scalp Electroencephalogram Waveform Storage
ElectromyogramWaveformStorage 5.1.4.1.1.9.7.2 Electromyogram Waveform Storage
ElectrooculogramWaveformStorage 5.1.4.1.1.9.7.3 Electrooculogram Waveform Storage
SleepElectroencephalogramWaveformStorage 5.1.4.1.1.9.7.4 Sleep Electroencephalogram Waveform Storage
BodyPositionWaveformStorage 5.1.4.1.1.9.8.1 Body Position Waveform Storage
WaveformPresentationStateStorage 5.1.4.1.1.9.100.1 Waveform Presentation State Storage
WaveformAcquisitionPresentationStateStorage 5.1.4.1.1.9.100.2 Waveform Acquisition Presentation State Storage
GrayscaleSoftcopyPresentationStateStorage 5.1.4.1.1.11.1 Grayscale Softcopy Presentation State Storage
ColorSoftcopyPresentationStateStorage 5.1.4.1.1.11.2 Color Softcopy Presentation State Storage
PseudoColorSoftcopyPresentationStateStorage 5.1.4.1.1.11.3 Pseudo-Color Softcopy Presentation State Storage
BlendingSoftcopyPresentationStateStorage 5.1.4.1.1.11.4 Blending Softcopy Presentation State Storage
XAXRFGrayscaleSoftcopyPresentationStateStorage 5.1.4.1.1.11.5 XA/XRF Grayscale Softcopy Presentation State Storage
GrayscalePlanarMPRVolumetricPresentationStateStorage 5.1.4.1.1.11.6 Grayscale Planar MPR Volumetric Presentation State Storage
CompositingPlanarMPRVolumetricPresentationStateStorage 5.1.4.1.1.11.7 Compositing Planar MPR Volumetric Presentation State Storage
AdvancedBlendingPresentationStateStorage 5.1.4.1.1.11.8 Advanced Blending Presentation State Storage
VolumeRenderingVolumetricPresentationStateStorage 5.1.4.1.1.11.9 Volume Rendering Volumetric Presentation State Storage
SegmentedVolumeRenderingVolumetricPresentationStateStorage 5.1.4.1.1.11.10 Segmented Volume Rendering Volumetric Presentation State Storage
MultipleVolumeRenderingVolumetricPresentationStateStorage 5.1.4.1.1.11.11 Multiple Volume Rendering Volumetric Presentation State Storage
VariableModalityLUTSoftcopyPresentationStateStorage 5.1.4.1.1.11.12 Variable Modality LUT Softcopy Presentation State Storage
XRayAngiographicImageStorage 5.1.4.1.1.12.1 X-Ray Angiographic Image Storage
EnhancedXAImageStorage 5.1.4.1.1.12.1.1 Enhanced XA Image Storage
XRayRadiofluoroscopicImageStorage 5.1.4.1.1.12.2 X-Ray Radiofluoroscopic Image Storage
EnhancedXRFImageStorage 5.1.4.1.1.12.2.1 Enhanced XRF Image Storage
XRay3DAngiographicImageStorage 5.1.4.1.1.13.1.1 X-Ray 3D Angiographic Image Storage
XRay3DCraniofacialImageStorage 5.1.4.1.1.13.1.2 X-Ray 3D Craniofacial Image Storage
BreastTomosynthesisImageStorage 5.1.4.1.1.13.1.3 Breast Tomosynthesis Image Storage
BreastProjectionXRayImageStorageForPresentation 5.1.4.1.1.13.1.4 Breast Projection X-Ray Image Storage - For Presentation
BreastProjectionXRayImageStorageForProcessing 5.1.4.1.1.13.1.5 Breast Projection X-Ray Image Storage - For Processing
IntravascularOpticalCoherenceTomographyImageStorageForPresentation 5.1.4.1.1.14.1 Intravascular Optical Coherence Tomography Image Storage - For Presentation
IntravascularOpticalCoherenceTomographyImageStorageForProcessing 5.1.4.1.1.14.2 Intravascular Optical Coherence Tomography Image Storage - For Processing
NuclearMedicineImageStorage 5.1.4.1.1.20 Nuclear Medicine Image Storage
ParametricMapStorage 5.1.4.1.1.30 Parametric Map Storage
RawDataStorage 5.1.4.1.1.66 Raw Data Storage
SpatialRegistrationStorage 5.1.4.1.1.66.1 Spatial Registration Storage
SpatialFiducialsStorage 5.1.4.1.1.66.2 Spatial Fiducials Storage
DeformableSpatialRegistrationStorage 5.1.4.1.1.66.3 Deformable Spatial Registration Storage
SegmentationStorage 5.1.4.1.1.66.4 Segmentation Storage
SurfaceSegmentationStorage 5.1.4.1.1.66.5 Surface Segmentation Storage
TractographyResultsStorage 5.1.4.1.1.66.6 Tractography Results Storage
LabelMapSegmentationStorage 5.1.4.1.1.66.7 Label Map Segmentation Storage
HeightMapSegmentationStorage 5.1.4.1.1.66.8 Height Map Segmentation Storage
RealWorldValueMappingStorage 5.1.4.1.1.67 Real World Value Mapping Storage
SurfaceScanMeshStorage 5.1.4.1.1.68.1 Surface Scan Mesh Storage
SurfaceScanPointCloudStorage 5.1.4.1.1.68.2 Surface Scan Point Cloud Storage
VLEndoscopicImageStorage 5.1.4.1.1.77.1.1 VL Endoscopic Image Storage
VideoEndoscopicImageStorage 5.1.4.1.1.77.1.1.1 Video Endoscopic Image Storage
VLMicroscopicImageStorage 5.1.4.1.1.77.1.2 VL Microscopic Image Storage
VideoMicroscopicImageStorage 5.1.4.1.1.77.1.2.1 Video Microscopic Image Storage
VLSlideCoordinatesMicroscopicImageStorage 5.1.4.1.1.77.1.3 VL Slide-Coordinates Microscopic Image Storage
VLPhotographicImageStorage 5.1.4.1.1.77.1.4 VL Photographic Image Storage
VideoPhotographicImageStorage 5.1.4.1.1.77.1.4.1 Video Photographic Image Storage
OphthalmicPhotography8BitImageStorage 5.1.4.1.1.77.1.5.1 Ophthalmic Photography 8 Bit Image Storage
OphthalmicPhotography16BitImageStorage 5.1.4.1.1.77.1.5.2 Ophthalmic Photography 16 Bit Image Storage
StereometricRelationshipStorage 5.1.4.1.1.77.1.5.3 Stereometric Relationship Storage
OphthalmicTomographyImageStorage 5.1.4.1.1.77.1.5.4 Ophthalmic Tomography Image Storage
WideFieldOphthalmicPhotographyStereographicProjectionImageStorage 5.1.4.1.1.77.1.5.5 Wide Field Ophthalmic Photography Stereographic Projection Image Storage
WideFieldOphthalmicPhotography3DCoordinatesImageStorage 5.1.4.1.1.77.1.5.6 Wide Field Ophthalmic Photography 3D Coordinates Image Storage
OphthalmicOpticalCoherenceTomographyEnFaceImageStorage 5.1.4.1.1.77.1.5.7 Ophthalmic Optical Coherence Tomography En Face Image Storage
OphthalmicOpticalCoherenceTomographyBscanVolumeAnalysisStorage 5.1.4.1.1.77.1.5.8 Ophthalmic Optical Coherence Tomography B-scan Volume Analysis Storage
VLWholeSlideMicroscopyImageStorage 5.1.4.1.1.77.1.6 VL Whole Slide Microscopy Image Storage
DermoscopicPhotographyImageStorage 5.1.4.1.1.77.1.7 Dermoscopic Photography Image Storage
ConfocalMicroscopyImageStorage 5.1.4.1.1.77.1.8 Confocal Microscopy Image Storage
ConfocalMicroscopyTiledPyramidalImageStorage 5.1.4.1.1.77.1.9 Confocal Microscopy Tiled Pyramidal Image Storage
LensometryMeasurementsStorage 5.1.4.1.1.78.1 Lensometry Measurements Storage
AutorefractionMeasurementsStorage 5.1.4.1.1.78.2 Autorefraction Measurements Storage
KeratometryMeasurementsStorage 5.1.4.1.1.78.3 Keratometry Measurements Storage
SubjectiveRefractionMeasurementsStorage 5.1.4.1.1.78.4 Subjective Refraction Measurements Storage
VisualAcuityMeasurementsStorage 5.1.4.1.1.78.5 Visual Acuity Measurements Storage
SpectaclePrescriptionReportStorage 5.1.4.1.1.78.6 Spectacle Prescription Report Storage
OphthalmicAxialMeasurementsStorage 5.1.4.1.1.78.7 Ophthalmic Axial Measurements Storage
IntraocularLensCalculationsStorage 5.1.4.1.1.78.8 Intraocular Lens Calculations Storage
MacularGridThicknessAndVolumeReportStorage 5.1.4.1.1.79.1 Macular Grid Thickness and Volume Report Storage
OphthalmicVisualFieldStaticPerimetryMeasurementsStorage 5.1.4.1.1.80.1 Ophthalmic Visual Field Static Perimetry Measurements Storage
OphthalmicThicknessMapStorage 5.1.4.1.1.81.1 Ophthalmic Thickness Map Storage
CornealTopographyMapStorage 5.1.4.1.1.82.1 Corneal Topography Map Storage
BasicTextSRStorage 5.1.4.1.1.88.11 Basic Text SR Storage
EnhancedSRStorage 5.1.4.1.1.88.22 Enhanced SR Storage
ComprehensiveSRStorage 5.1.4.1.1.88.33 Comprehensive SR Storage
Comprehensive3DSRStorage 5.1.4.1.1.88.34 Comprehensive 3D SR Storage
ExtensibleSRStorage 5.1.4.1.1.88.35 Extensible SR Storage
ProcedureLogStorage 5.1.4.1.1.88.40 Procedure Log Storage
MammographyCADSRStorage 5.1.4.1.1.88.50 Mammography CAD SR Storage
KeyObjectSelectionDocumentStorage 5.1.4.1.1.88.59 Key Object Selection Document Storage
ChestCADSRStorage 5.1.4.1.1.88.65 Chest CAD SR Storage
XRayRadiationDoseSRStorage 5.1.4.1.1.88.67 X-Ray Radiation Dose SR Storage
RadiopharmaceuticalRadiationDoseSRStorage 5.1.4.1.1.88.68 Radiopharmaceutical Radiation Dose SR Storage
ColonCADSRStorage 5.1.4.1.1.88.69 Colon CAD SR Storage
ImplantationPlanSRStorage 5.1.4.1.1.88.70 Implantation Plan SR Storage
AcquisitionContextSRStorage 5.1.4.1.1.88.71 Acquisition Context SR Storage
SimplifiedAdultEchoSRStorage 5.1.4.1.1.88.72 Simplified Adult Echo SR Storage
PatientRadiationDoseSRStorage 5.1.4.1.1.88.73 Patient Radiation Dose SR Storage
PlannedImagingAgentAdministrationSRStorage 5.1.4.1.1.88.74 Planned Imaging Agent Administration SR Storage
PerformedImagingAgentAdministrationSRStorage 5.1.4.1.1.88.75 Performed Imaging Agent Administration SR Storage
EnhancedXRayRadiationDoseSRStorage 5.1.4.1.1.88.76 Enhanced X-Ray Radiation Dose SR Storage
WaveformAnnotationSRStorage 5.1.4.1.1.88.77 Waveform Annotation SR Storage
ContentAssessmentResultsStorage 5.1.4.1.1.90.1 Content Assessment Results Storage
MicroscopyBulkSimpleAnnotationsStorage 5.1.4.1.1.91.1 Microscopy Bulk Simple Annotations Storage
EncapsulatedPDFStorage 5.1.4.1.1.104.1 Encapsulated PDF Storage
EncapsulatedCDAStorage 5.1.4.1.1.104.2 Encapsulated CDA Storage
EncapsulatedSTLStorage 5.1.4.1.1.104.3 Encapsulated STL Storage
EncapsulatedOBJStorage 5.1.4.1.1.104.4 Encapsulated OBJ Storage
EncapsulatedMTLStorage 5.1.4.1.1.104.5 Encapsulated MTL Storage
PositronEmissionTomographyImageStorage 5.1.4.1.1.128 Positron Emission Tomography Image Storage
LegacyConvertedEnhancedPETImageStorage 5.1.4.1.1.128.1 Legacy Converted Enhanced PET Image Storage
EnhancedPETImageStorage 5.1.4.1.1.130 Enhanced PET Image Storage
BasicStructuredDisplayStorage 5.1.4.1.1.131 Basic Structured Display Storage
CTPerformedProcedureProtocolStorage 5.1.4.1.1.200.2 CT Performed Procedure Protocol Storage
XAPerformedProcedureProtocolStorage 5.1.4.1.1.200.8 XA Performed Procedure Protocol Storage
RTImageStorage 5.1.4.1.1.481.1 RT Image Storage
RTDoseStorage 5.1.4.1.1.481.2 RT Dose Storage
RTStructureSetStorage 5.1.4.1.1.481.3 RT Structure Set Storage
RTBeamsTreatmentRecordStorage 5.1.4.1.1.481.4 RT Beams Treatment Record Storage
RTPlanStorage 5.1.4.1.1.481.5 RT Plan Storage
RTBrachyTreatmentRecordStorage 5.1.4.1.1.481.6 RT Brachy Treatment Record Storage
RTTreatmentSummaryRecordStorage 5.1.4.1.1.481.7 RT Treatment Summary Record Storage
RTIonPlanStorage 5.1.4.1.1.481.8 RT Ion Plan Storage
RTIonBeamsTreatmentRecordStorage 5.1.4.1.1.481.9 RT Ion Beams Treatment Record Storage
RTPhysicianIntentStorage 5.1.4.1.1.481.10 RT Physician Intent Storage
RTSegmentAnnotationStorage 5.1.4.1.1.481.11 RT Segment Annotation Storage
RTRadiationSetStorage 5.1.4.1.1.481.12 RT Radiation Set Storage
CArmPhotonElectronRadiationStorage 5.1.4.1.1.481.13 C-Arm Photon-Electron Radiation Storage
TomotherapeuticRadiationStorage 5.1.4.1.1.481.14 Tomotherapeutic Radiation Storage
RoboticArmRadiationStorage 5.1.4.1.1.481.15 Robotic-Arm Radiation Storage
RTRadiationRecordSetStorage 5.1.4.1.1.481.16 RT Radiation Record Set Storage
RTRadiationSalvageRecordStorage 5.1.4.1.1.481.17 RT Radiation Salvage Record Storage
TomotherapeuticRadiationRecordStorage 5.1.4.1.1.481.18 Tomotherapeutic Radiation Record Storage
CArmPhotonElectronRadiationRecordStorage 5.1.4.1.1.481.19 C-Arm Photon-Electron Radiation Record Storage
RoboticRadiationRecordStorage 5.1.4.1.1.481.20 Robotic Radiation Record Storage
RTRadiationSetDeliveryInstructionStorage 5.1.4.1.1.481.21 RT Radiation Set Delivery Instruction Storage
RTTreatmentPreparationStorage 5.1.4.1.1.481.22 RT Treatment Preparation Storage
EnhancedRTImageStorage 5.1.4.1.1.481.23 Enhanced RT Image Storage
EnhancedContinuousRTImageStorage 5.1.4.1.1.481.24 Enhanced Continuous RT Image Storage
RTPatientPositionAcquisitionInstructionStorage 5.1.4.1.1.481.25 RT Patient Position Acquisition Instruction Storage
DICOSCTImageStorage 5.1.4.1.1.501.1 DICOS CT Image Storage
DICOSDigitalXRayImageStorageForPresentation 5.1.4.1.1.501.2.1 DICOS Digital X-Ray Image Storage - For Presentation
DICOSDigitalXRayImageStorageForProcessing 5.1.4.1.1.501.2.2 DICOS Digital X-Ray Image Storage - For Processing
DICOSThreatDetectionReportStorage 5.1.4.1.1.501.3 DICOS Threat Detection Report Storage
DICOS2DAITStorage 5.1.4.1.1.501.4 DICOS 2D AIT Storage
DICOS3DAITStorage 5.1.4.1.1.501.5 DICOS 3D AIT Storage
DICOSQuadrupoleResonanceStorage 5.1.4.1.1.501.6 DICOS Quadrupole Resonance (QR) Storage
EddyCurrentImageStorage 5.1.4.1.1.601.1 Eddy Current Image Storage
EddyCurrentMultiFrameImageStorage 5.1.4.1.1.601.2 Eddy Current Multi-frame Image Storage
UltrasoundWaveformStorage 5.1.4.1.1.601.5 Ultrasound Waveform Storage
RTBeamsDeliveryInstructionStorage 5.1.4.34.7 RT Beams Delivery Instruction Storage
RTBrachyApplicationSetupDeliveryInstructionStorage 5.1.4.34.10 RT Brachy Application Setup Delivery Instruction Storage
"""  # noqa: E501

# PS3.4 Annex GG: non-patient objects.
_NON_PATIENT: Final = """
CTDefinedProcedureProtocolStorage 5.1.4.1.1.200.1 CT Defined Procedure Protocol Storage
ProtocolApprovalStorage 5.1.4.1.1.200.3 Protocol Approval Storage
XADefinedProcedureProtocolStorage 5.1.4.1.1.200.7 XA Defined Procedure Protocol Storage
InventoryStorage 5.1.4.1.1.201.1 Inventory Storage
HangingProtocolStorage 5.1.4.38.1 Hanging Protocol Storage
ColorPaletteStorage 5.1.4.39.1 Color Palette Storage
GenericImplantTemplateStorage 5.1.4.43.1 Generic Implant Template Storage
ImplantAssemblyTemplateStorage 5.1.4.44.1 Implant Assembly Template Storage
ImplantTemplateGroupStorage 5.1.4.45.1 Implant Template Group Storage
"""

_RETIRED: Final = """
StoredPrintStorage 5.1.1.27 Stored Print Storage SOP Class
HardcopyGrayscaleImageStorage 5.1.1.29 Hardcopy Grayscale Image Storage SOP Class
HardcopyColorImageStorage 5.1.1.30 Hardcopy Color Image Storage SOP Class
UltrasoundMultiFrameImageStorageRetired 5.1.4.1.1.3 Ultrasound Multi-frame Image Storage
NuclearMedicineImageStorageRetired 5.1.4.1.1.5 Nuclear Medicine Image Storage
UltrasoundImageStorageRetired 5.1.4.1.1.6 Ultrasound Image Storage
StandaloneOverlayStorage 5.1.4.1.1.8 Standalone Overlay Storage
StandaloneCurveStorage 5.1.4.1.1.9 Standalone Curve Storage
WaveformStorageTrial 5.1.4.1.1.9.1 Waveform Storage - Trial
StandaloneModalityLUTStorage 5.1.4.1.1.10 Standalone Modality LUT Storage
StandaloneVOILUTStorage 5.1.4.1.1.11 Standalone VOI LUT Storage
XRayAngiographicBiPlaneImageStorage 5.1.4.1.1.12.3 X-Ray Angiographic Bi-Plane Image Storage
VLImageStorageTrial 5.1.4.1.1.77.1 VL Image Storage - Trial
VLMultiFrameImageStorageTrial 5.1.4.1.1.77.2 VL Multi-frame Image Storage - Trial
TextSRStorageTrial 5.1.4.1.1.88.1 Text SR Storage - Trial
AudioSRStorageTrial 5.1.4.1.1.88.2 Audio SR Storage - Trial
DetailSRStorageTrial 5.1.4.1.1.88.3 Detail SR Storage - Trial
ComprehensiveSRStorageTrial 5.1.4.1.1.88.4 Comprehensive SR Storage - Trial
StandalonePETCurveStorage 5.1.4.1.1.129 Standalone PET Curve Storage
RTBeamsDeliveryInstructionStorageTrial 5.1.4.34.1 RT Beams Delivery Instruction Storage - Trial
"""


def _read(table: str, *, is_retired: bool = False, is_patient_object: bool = True) -> list[SopClass]:
    rows = (line.split(" ", 2) for line in table.strip().splitlines())
    return [SopClass(_DICOM_ROOT + uid, keyword, name, is_retired, is_patient_object) for keyword, uid, name in rows]


STORAGE_SOP_CLASSES: Final[dict[str, SopClass]] = {
    sop_class.uid: sop_class
    for sop_class in (
        *_read(_CURRENT),
        *_read(_NON_PATIENT, is_patient_object=False),
        *_read(_RETIRED, is_retired=True),
    )
}
"""All storage SOP classes by UID, retired ones included: archives are full of them. Reference: PS3.4 Table B.5-1."""
