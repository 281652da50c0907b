"""A binary segmentation of the nodule on the CT series it lies in."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence

from hilum.dicom.samples.building import SeriesOf, code, new_instance, reference_to, sample_uid
from hilum.dicom.samples.ct import frame_of_reference, image_position, slice_position, slice_spacing
from hilum.dicom.samples.thorax import FIELD_OF_VIEW_MM, Thorax
from hilum.dicom.uids import CT_IMAGE_STORAGE, SEGMENTATION_STORAGE


def segmentation_instance(
    series: SeriesOf, images: SeriesOf, thorax: Thorax, slices: int, rows: int, columns: int
) -> Dataset:
    """Return a segmentation with one frame for each slice of `images` that shows the nodule."""
    found = [
        (index, mask)
        for index in range(slices)
        if (mask := thorax.nodule_mask(slice_position(index, slices), rows, columns)).any()
    ]
    ds = new_instance(series, SEGMENTATION_STORAGE, 1)
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.ContentLabel, ds.ContentDescription = "NODULE", "Nodule of the right upper lobe"
    ds.ContentCreatorName = "Okafor^Chidi"
    ds.FrameOfReferenceUID = frame_of_reference(images.study)
    ds.PositionReferenceIndicator = "SN"
    ds.LossyImageCompression = "00"
    ds.SegmentationType = "BINARY"
    ds.SegmentSequence = Sequence([_segment()])
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.NumberOfFrames, ds.Rows, ds.Columns = len(found), rows, columns
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = ds.PixelRepresentation = 0
    organization = sample_uid(f"{series.study.key}/{series.number}/dimensions")
    ds.DimensionOrganizationType = "3D"
    ds.DimensionOrganizationSequence = Sequence([_with(DimensionOrganizationUID=organization)])
    ds.DimensionIndexSequence = Sequence(
        [
            _dimension(organization, 0x0062000B, 0x0062000A, "Segment"),
            _dimension(organization, 0x00200032, 0x00209113, "Position"),
        ]
    )
    referenced = [reference_to(CT_IMAGE_STORAGE, images.instance_uid(index + 1)) for index, _ in found]
    ds.ReferencedSeriesSequence = Sequence(
        [_with(SeriesInstanceUID=images.uid, ReferencedInstanceSequence=Sequence(referenced))]
    )
    ds.SharedFunctionalGroupsSequence = Sequence([_shared_groups(slices, rows, columns)])
    ds.PerFrameFunctionalGroupsSequence = Sequence(
        [
            _frame_groups(images.instance_uid(index + 1), position, slice_position(index, slices), rows, columns)
            for position, (index, _) in enumerate(found, start=1)
        ]
    )
    # Bits run on from frame to frame without padding (PS3.5 §8.1.1).
    bits = np.packbits(np.concatenate([mask.ravel() for _, mask in found]), bitorder="little").tobytes()
    ds.PixelData = bits + b"\0" * (len(bits) % 2)
    ds["PixelData"].VR = "OB"
    return ds


def _segment() -> Dataset:
    return _with(
        SegmentNumber=1,
        SegmentLabel="Nodule",
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=Sequence([code("49755003", "SCT", "Morphologically Abnormal Structure")]),
        SegmentedPropertyTypeCodeSequence=Sequence([code("27925004", "SCT", "Nodule")]),
        AnatomicRegionSequence=Sequence([code("42400003", "SCT", "Upper lobe of right lung")]),
        RecommendedDisplayCIELabValue=[44000, 52000, 50000],
    )


def _shared_groups(slices: int, rows: int, columns: int) -> Dataset:
    measures = _with(
        SliceThickness=slice_spacing(slices),
        SpacingBetweenSlices=slice_spacing(slices),
        PixelSpacing=[round(FIELD_OF_VIEW_MM / rows, 6), round(FIELD_OF_VIEW_MM / columns, 6)],
    )
    return _with(
        PixelMeasuresSequence=Sequence([measures]),
        PlaneOrientationSequence=Sequence([_with(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
    )


def _frame_groups(image_uid: str, position: int, z: float, rows: int, columns: int) -> Dataset:
    source = reference_to(CT_IMAGE_STORAGE, image_uid)
    source.PurposeOfReferenceCodeSequence = Sequence(
        [code("121322", "DCM", "Source Image for Image Processing Operation")]
    )
    derivation = _with(
        SourceImageSequence=Sequence([source]),
        DerivationCodeSequence=Sequence([code("113076", "DCM", "Segmentation")]),
    )
    return _with(
        DerivationImageSequence=Sequence([derivation]),
        FrameContentSequence=Sequence([_with(DimensionIndexValues=[1, position])]),
        SegmentIdentificationSequence=Sequence([_with(ReferencedSegmentNumber=1)]),
        PlanePositionSequence=Sequence([_with(ImagePositionPatient=image_position(z, rows, columns))]),
    )


def _dimension(organization: str, pointer: int, group: int, label: str) -> Dataset:
    return _with(
        DimensionOrganizationUID=organization,
        DimensionIndexPointer=pointer,
        FunctionalGroupPointer=group,
        DimensionDescriptionLabel=label,
    )


def _with(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds
