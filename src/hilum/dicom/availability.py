"""The data set of Instance Availability Notification: which instances of a study can be had, and where.

Reference: PS3.4 Annex R, PS3.3 §C.4.23
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.dicom.dictionary import tag_of, vr_of
from hilum.dicom.elements import Attributes
from hilum.dicom.uids import MODALITY_PERFORMED_PROCEDURE_STEP


def availability_notice(
    study_instance_uid: str,
    series: Mapping[str, Sequence[tuple[str, str]]],
    *,
    retrieve_ae_title: str,
    performed_step_uid: str | None = None,
) -> Attributes:
    """Return the notice that instances are online.

    Args:
        series: by Series Instance UID the SOP class and instance UIDs.
        retrieve_ae_title: whom to ask for them.
        performed_step_uid: the performed procedure step they were made in, if that is known.

    Reference: PS3.4 Table R.3.2-1
    """
    steps = []
    if performed_step_uid is not None:
        steps.append(
            _data_set(
                ReferencedSOPClassUID=MODALITY_PERFORMED_PROCEDURE_STEP,
                ReferencedSOPInstanceUID=performed_step_uid,
                PerformedWorkitemCodeSequence=[],
            )
        )
    return _data_set(
        ReferencedPerformedProcedureStepSequence=steps,
        ReferencedSeriesSequence=[
            _data_set(
                ReferencedSOPSequence=[
                    _data_set(
                        RetrieveAETitle=retrieve_ae_title,
                        InstanceAvailability="ONLINE",
                        ReferencedSOPClassUID=sop_class_uid,
                        ReferencedSOPInstanceUID=sop_instance_uid,
                    )
                    for sop_class_uid, sop_instance_uid in instances
                ],
                SeriesInstanceUID=series_instance_uid,
            )
            for series_instance_uid, instances in series.items()
        ],
        StudyInstanceUID=study_instance_uid,
    )


def _data_set(**values: str | list[Attributes]) -> Attributes:
    elements: dict[str, Any] = {}
    for keyword, value in values.items():
        tag = tag_of(keyword)
        elements[tag] = {"vr": vr_of(tag), "Value": value if isinstance(value, list) else [value]}
    return dict(sorted(elements.items()))
