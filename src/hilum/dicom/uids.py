"""UIDs: what they may look like, the transfer syntaxes with their properties, and the constants others use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hilum.dicom.sop_classes import STORAGE_SOP_CLASSES as STORAGE_SOP_CLASSES
from hilum.dicom.sop_classes import SopClass as SopClass
from hilum.kernel.limits import MAX_UID_LENGTH

# Our own implementation, made from a random UUID (PS3.5 §B.2); fixed for ever, so that peers can know us.
IMPLEMENTATION_CLASS_UID: Final = "2.25.234352305288838133569938490886466338321"
IMPLEMENTATION_VERSION_NAME: Final = "HILUM_0_1"  # at most 16 characters (PS3.7 §D.3.3.2.2)

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
VERIFICATION: Final = "1.2.840.10008.1.1"
STORAGE_COMMITMENT_PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"

PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
PATIENT_STUDY_ONLY_FIND: Final = "1.2.840.10008.5.1.4.1.2.3.1"
PATIENT_STUDY_ONLY_MOVE: Final = "1.2.840.10008.5.1.4.1.2.3.2"
PATIENT_STUDY_ONLY_GET: Final = "1.2.840.10008.5.1.4.1.2.3.3"
COMPOSITE_INSTANCE_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.4.2"
COMPOSITE_INSTANCE_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.4.3"
COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET: Final = "1.2.840.10008.5.1.4.1.2.5.3"
MODALITY_WORKLIST_FIND: Final = "1.2.840.10008.5.1.4.31"
MODALITY_PERFORMED_PROCEDURE_STEP: Final = "1.2.840.10008.3.1.2.3.3"
MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE: Final = "1.2.840.10008.3.1.2.3.4"
MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION: Final = "1.2.840.10008.3.1.2.3.5"
INSTANCE_AVAILABILITY_NOTIFICATION: Final = "1.2.840.10008.5.1.4.33"
UNIFIED_PROCEDURE_STEP_PUSH: Final = "1.2.840.10008.5.1.4.34.6.1"
UNIFIED_PROCEDURE_STEP_WATCH: Final = "1.2.840.10008.5.1.4.34.6.2"
UNIFIED_PROCEDURE_STEP_PULL: Final = "1.2.840.10008.5.1.4.34.6.3"
UNIFIED_PROCEDURE_STEP_EVENT: Final = "1.2.840.10008.5.1.4.34.6.4"
UNIFIED_PROCEDURE_STEP_QUERY: Final = "1.2.840.10008.5.1.4.34.6.5"
# Well-known instances: what subscribes to all procedure steps, and to all that match.
UPS_GLOBAL_SUBSCRIPTION: Final = "1.2.840.10008.5.1.4.34.5"
UPS_FILTERED_GLOBAL_SUBSCRIPTION: Final = "1.2.840.10008.5.1.4.34.5.1"

CT_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.3.1"
SECONDARY_CAPTURE_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.7"
DIGITAL_X_RAY_FOR_PRESENTATION_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.1.1"
DIGITAL_MAMMOGRAPHY_FOR_PRESENTATION_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.1.2"
TWELVE_LEAD_ECG_WAVEFORM_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.9.1.1"
SEGMENTATION_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.66.4"
BASIC_TEXT_SR_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.88.11"
COMPREHENSIVE_SR_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.88.33"
ENCAPSULATED_PDF_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.104.1"

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
ENCAPSULATED_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1.98"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS: Final = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR_LOSSLESS: Final = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
JPEG_XL_LOSSLESS: Final = "1.2.840.10008.1.2.4.110"
JPEG_XL_JPEG_RECOMPRESSION: Final = "1.2.840.10008.1.2.4.111"
JPEG_XL: Final = "1.2.840.10008.1.2.4.112"
HTJ2K_LOSSLESS: Final = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL: Final = "1.2.840.10008.1.2.4.202"
HTJ2K: Final = "1.2.840.10008.1.2.4.203"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
DEFLATED_IMAGE_FRAME: Final = "1.2.840.10008.1.2.8.1"

_UID: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*", re.ASCII)


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One way to encode a data set.

    `is_lossy` says that the syntax allows loss, not that a given instance has lost anything. `media_type` is
    what one frame or bulk data item is called when it leaves in this syntax (PS3.18 Table 8.7.3-5); native
    pixels are application/octet-stream.
    """

    uid: str
    keyword: str
    name: str
    media_type: str = "application/octet-stream"
    is_explicit: bool = True
    is_little_endian: bool = True
    is_encapsulated: bool = True
    is_deflated: bool = False
    is_lossy: bool = False
    is_retired: bool = False

    @property
    def is_video(self) -> bool:
        """Whether the frames form one stream that cannot be cut."""
        return self.media_type.startswith("video/")


# UID below the DICOM root, keyword, media type of a frame, traits, name. Traits: n native (not encapsulated),
# i implicit VR, b big endian, d deflated data set, l allows loss, r retired.
_TABLE: Final = """
1.2 ImplicitVRLittleEndian - ni Implicit VR Little Endian
1.2.1 ExplicitVRLittleEndian - n Explicit VR Little Endian
1.2.1.98 EncapsulatedUncompressedExplicitVRLittleEndian - - Encapsulated Uncompressed Explicit VR Little Endian
1.2.1.99 DeflatedExplicitVRLittleEndian - nd Deflated Explicit VR Little Endian
1.2.2 ExplicitVRBigEndian - nbr Explicit VR Big Endian
1.2.4.50 JPEGBaseline8Bit image/jpeg l JPEG Baseline (Process 1)
1.2.4.51 JPEGExtended12Bit image/jpeg l JPEG Extended (Process 2 and 4)
1.2.4.52 JPEGExtended35 image/jpeg lr JPEG Extended (Process 3 and 5)
1.2.4.53 JPEGSpectralSelectionNonHierarchical68 image/jpeg lr JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)
1.2.4.54 JPEGSpectralSelectionNonHierarchical79 image/jpeg lr JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)
1.2.4.55 JPEGFullProgressionNonHierarchical1012 image/jpeg lr JPEG Full Progression, Non-Hierarchical (Process 10 and 12)
1.2.4.56 JPEGFullProgressionNonHierarchical1113 image/jpeg lr JPEG Full Progression, Non-Hierarchical (Process 11 and 13)
1.2.4.57 JPEGLossless image/jpeg - JPEG Lossless, Non-Hierarchical (Process 14)
1.2.4.58 JPEGLosslessNonHierarchical15 image/jpeg r JPEG Lossless, Non-Hierarchical (Process 15)
1.2.4.59 JPEGExtendedHierarchical1618 image/jpeg lr JPEG Extended, Hierarchical (Process 16 and 18)
1.2.4.60 JPEGExtendedHierarchical1719 image/jpeg lr JPEG Extended, Hierarchical (Process 17 and 19)
1.2.4.61 JPEGSpectralSelectionHierarchical2022 image/jpeg lr JPEG Spectral Selection, Hierarchical (Process 20 and 22)
1.2.4.62 JPEGSpectralSelectionHierarchical2123 image/jpeg lr JPEG Spectral Selection, Hierarchical (Process 21 and 23)
1.2.4.63 JPEGFullProgressionHierarchical2426 image/jpeg lr JPEG Full Progression, Hierarchical (Process 24 and 26)
1.2.4.64 JPEGFullProgressionHierarchical2527 image/jpeg lr JPEG Full Progression, Hierarchical (Process 25 and 27)
1.2.4.65 JPEGLosslessHierarchical28 image/jpeg r JPEG Lossless, Hierarchical (Process 28)
1.2.4.66 JPEGLosslessHierarchical29 image/jpeg r JPEG Lossless, Hierarchical (Process 29)
1.2.4.70 JPEGLosslessSV1 image/jpeg - JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])
1.2.4.80 JPEGLSLossless image/jls - JPEG-LS Lossless Image Compression
1.2.4.81 JPEGLSNearLossless image/jls l JPEG-LS Lossy (Near-Lossless) Image Compression
1.2.4.90 JPEG2000Lossless image/jp2 - JPEG 2000 Image Compression (Lossless Only)
1.2.4.91 JPEG2000 image/jp2 l JPEG 2000 Image Compression
1.2.4.92 JPEG2000MCLossless image/jpx - JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)
1.2.4.93 JPEG2000MC image/jpx l JPEG 2000 Part 2 Multi-component Image Compression
1.2.4.94 JPIPReferenced - nl JPIP Referenced
1.2.4.95 JPIPReferencedDeflate - ndl JPIP Referenced Deflate
1.2.4.100 MPEG2MPML video/mpeg l MPEG2 Main Profile / Main Level
1.2.4.100.1 MPEG2MPMLF video/mpeg l Fragmentable MPEG2 Main Profile / Main Level
1.2.4.101 MPEG2MPHL video/mpeg l MPEG2 Main Profile / High Level
1.2.4.101.1 MPEG2MPHLF video/mpeg l Fragmentable MPEG2 Main Profile / High Level
1.2.4.102 MPEG4HP41 video/mp4 l MPEG-4 AVC/H.264 High Profile / Level 4.1
1.2.4.102.1 MPEG4HP41F video/mp4 l Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1
1.2.4.103 MPEG4HP41BD video/mp4 l MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1
1.2.4.103.1 MPEG4HP41BDF video/mp4 l Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1
1.2.4.104 MPEG4HP422D video/mp4 l MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video
1.2.4.104.1 MPEG4HP422DF video/mp4 l Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video
1.2.4.105 MPEG4HP423D video/mp4 l MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video
1.2.4.105.1 MPEG4HP423DF video/mp4 l Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video
1.2.4.106 MPEG4HP42STEREO video/mp4 l MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2
1.2.4.106.1 MPEG4HP42STEREOF video/mp4 l Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2
1.2.4.107 HEVCMP51 video/mp4 l HEVC/H.265 Main Profile / Level 5.1
1.2.4.108 HEVCM10P51 video/mp4 l HEVC/H.265 Main 10 Profile / Level 5.1
1.2.4.110 JPEGXLLossless image/jxl - JPEG XL Lossless
1.2.4.111 JPEGXLJPEGRecompression image/jxl l JPEG XL JPEG Recompression
1.2.4.112 JPEGXL image/jxl l JPEG XL
1.2.4.201 HTJ2KLossless image/jphc - High-Throughput JPEG 2000 Image Compression (Lossless Only)
1.2.4.202 HTJ2KLosslessRPCL image/jphc - High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)
1.2.4.203 HTJ2K image/jphc l High-Throughput JPEG 2000 Image Compression
1.2.4.204 JPIPHTJ2KReferenced - nl JPIP HTJ2K Referenced
1.2.4.205 JPIPHTJ2KReferencedDeflate - ndl JPIP HTJ2K Referenced Deflate
1.2.5 RLELossless image/dicom-rle - RLE Lossless
1.2.6.1 RFC2557MIMEEncapsulation - nr RFC 2557 MIME encapsulation
1.2.6.2 XMLEncoding - nr XML Encoding
1.2.7.1 SMPTEST211020UncompressedProgressiveActiveVideo - n SMPTE ST 2110-20 Uncompressed Progressive Active Video
1.2.7.2 SMPTEST211020UncompressedInterlacedActiveVideo - n SMPTE ST 2110-20 Uncompressed Interlaced Active Video
1.2.7.3 SMPTEST211030PCMDigitalAudio - n SMPTE ST 2110-30 PCM Digital Audio
1.2.8.1 DeflatedImageFrameCompression application/x-deflate - Deflated Image Frame Compression
1.20 Papyrus3ImplicitVRLittleEndian - nir Papyrus 3 Implicit VR Little Endian
"""  # noqa: E501


def _read(row: str) -> TransferSyntax:
    uid, keyword, media_type, traits, name = row.split(" ", 4)
    return TransferSyntax(
        uid="1.2.840.10008." + uid,
        keyword=keyword,
        name=name,
        media_type="application/octet-stream" if media_type == "-" else media_type,
        is_explicit="i" not in traits,
        is_little_endian="b" not in traits,
        is_encapsulated="n" not in traits,
        is_deflated="d" in traits,
        is_lossy="l" in traits,
        is_retired="r" in traits,
    )


TRANSFER_SYNTAXES: Final[dict[str, TransferSyntax]] = {
    syntax.uid: syntax for syntax in map(_read, _TABLE.strip().splitlines())
}
"""All transfer syntaxes of PS3.6 Table A-1 by UID, the retired ones included."""


def transfer_syntax(uid: str) -> TransferSyntax:
    """Return the properties of a transfer syntax; an unknown or private one is taken for encapsulated explicit LE.

    That is how nearly all private syntaxes are built, and how PS3.5 §A.4 has all compressed ones.

    Reference: PS3.5 §10, Annex A
    """
    return TRANSFER_SYNTAXES.get(uid) or TransferSyntax(uid, "", "Unknown transfer syntax", is_lossy=True)


def is_valid_uid(text: str) -> bool:
    """Return whether the text is a UID: digits and dots, no empty component, no leading zero, 64 characters at most.

    Reference: PS3.5 §9.1
    """
    return len(text) <= MAX_UID_LENGTH and _UID.fullmatch(text) is not None


def uid_name(uid: str) -> str:
    """Return the name of a storage SOP class or transfer syntax, or the UID itself if it is none we know.

    Reference: PS3.6 Annex A
    """
    known = STORAGE_SOP_CLASSES.get(uid) or TRANSFER_SYNTAXES.get(uid)
    if known is not None:
        return known.name
    return "Verification SOP Class" if uid == VERIFICATION else uid
