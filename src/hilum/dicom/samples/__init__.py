"""Sample studies of our own making: what a new user sees first, and what tests and benchmarks send.

Here phantoms of chest, head, heart and breast become CT, MR, ultrasound, radiographs, a mammogram, an ECG, reports
and a segmentation, as conformant PS3.10 files of invented people whose names are written in many scripts. The same
call gives the same bytes on every machine.

Nothing here reads a file, a clock or real patient data, and nothing here is fit for a diagnosis.

Reference: PS3.3 (information objects), PS3.5 §6.1 (character sets), PS3.10 (file format).
"""

from hilum.dicom.samples.catalogue import SampleInstance, sample_studies
from hilum.dicom.samples.ct import ct_series

__all__ = ["SampleInstance", "ct_series", "sample_studies"]
