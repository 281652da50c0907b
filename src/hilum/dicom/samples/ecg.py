"""A resting electrocardiogram of twelve leads."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sequence import Sequence

from hilum.dicom.samples.building import SeriesOf, code, new_instance
from hilum.dicom.samples.shapes import rng_of
from hilum.dicom.uids import TWELVE_LEAD_ECG_WAVEFORM_STORAGE

SAMPLES_PER_SECOND: Final = 500
_SECONDS: Final = 10
_MICROVOLTS_PER_UNIT: Final = 2.5

# Lead, its code in the MDC scheme, and the height in microvolts of P, Q, R, S, ST and T.
_LEADS: Final = (
    ("Lead I", "2:1", 90, -40, 720, -120, 20, 210),
    ("Lead II", "2:2", 140, -60, 1050, -160, 25, 290),
    ("Lead III", "2:61", 60, -50, 420, -110, 10, 110),
    ("aVR", "2:62", -110, 40, -860, 120, -20, -240),
    ("aVL", "2:63", 30, -30, 260, -70, 10, 80),
    ("aVF", "2:64", 100, -60, 720, -140, 15, 200),
    ("Lead V1", "2:3", 60, 0, 220, -860, 20, -60),
    ("Lead V2", "2:4", 70, 0, 480, -1280, 70, 420),
    ("Lead V3", "2:5", 80, -20, 820, -860, 70, 520),
    ("Lead V4", "2:6", 85, -60, 1380, -480, 50, 480),
    ("Lead V5", "2:7", 85, -80, 1320, -240, 35, 380),
    ("Lead V6", "2:8", 80, -80, 1020, -120, 25, 290),
)
# Each wave's moment after the R wave and its width, in seconds.
_WAVES: Final = ((-0.165, 0.022), (-0.036, 0.008), (0.0, 0.0105), (0.032, 0.0095), (0.11, 0.05), (0.27, 0.042))


def ecg_microvolts(seed: int) -> NDArray[np.float64]:
    """Return ten seconds of sinus rhythm, samples by leads, in microvolts."""
    rng = rng_of(seed, 41)
    time = np.arange(_SECONDS * SAMPLES_PER_SECOND) / SAMPLES_PER_SECOND
    beats = 0.35 + np.cumsum(0.86 + 0.028 * rng.standard_normal(_SECONDS + 4))
    leads = np.zeros((len(time), len(_LEADS)))
    for beat in np.concatenate([[0.35], beats]):
        # Breathing turns the heart a little from beat to beat.
        size = 1 + 0.035 * np.sin(beat * 1.7)
        for wave, (moment, width) in enumerate(_WAVES):
            shape = size * np.exp(-(((time - beat - moment) / width) ** 2) / 2)
            leads += shape[:, None] * np.array([lead[2 + wave] for lead in _LEADS])
    drift = np.sin(2 * np.pi * (0.26 * time[:, None] + rng.uniform(0, 1, len(_LEADS)))) * 22
    hum = np.sin(2 * np.pi * 50 * time)[:, None] * 2.5
    noise = np.asarray(leads + drift + hum + rng.normal(0, 6.5, leads.shape))
    # Einthoven and Goldberger: four limb leads follow from the other two.
    one, two = noise[:, 0], noise[:, 1]
    noise[:, 2] = two - one
    noise[:, 3], noise[:, 4], noise[:, 5] = -(one + two) / 2, one - two / 2, two - one / 2
    return noise


def ecg_instance(series: SeriesOf, seed: int) -> Dataset:
    """Return a 12-lead ECG waveform instance."""
    samples = np.rint(ecg_microvolts(seed) / _MICROVOLTS_PER_UNIT).astype("<i2")
    ds = new_instance(series, TWELVE_LEAD_ECG_WAVEFORM_STORAGE, 1)
    ds.AcquisitionDateTime = ds.StudyDate + ds.SeriesTime
    ds.AcquisitionContextSequence = Sequence([])
    group = Dataset()
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = samples.shape[1]
    group.NumberOfWaveformSamples = samples.shape[0]
    group.SamplingFrequency = SAMPLES_PER_SECOND
    group.MultiplexGroupLabel = "RHYTHM"
    group.ChannelDefinitionSequence = Sequence([_channel(i, *lead[:2]) for i, lead in enumerate(_LEADS)])
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.WaveformData = samples.tobytes()
    group["WaveformData"].VR = "OW"
    ds.WaveformSequence = Sequence([group])
    ds.WaveformAnnotationSequence = Sequence([_heart_rate(69)])
    return ds


def _channel(index: int, label: str, lead_code: str) -> Dataset:
    channel = Dataset()
    channel.WaveformChannelNumber = index + 1
    channel.ChannelLabel = label
    channel.ChannelSourceSequence = Sequence([code(lead_code, "MDC", label)])
    channel.ChannelSensitivity = _MICROVOLTS_PER_UNIT
    channel.ChannelSensitivityUnitsSequence = Sequence([code("uV", "UCUM", "microvolt")])
    channel.ChannelSensitivityCorrectionFactor = 1
    channel.ChannelBaseline = 0
    channel.ChannelTimeSkew = 0
    channel.WaveformBitsStored = 16
    channel.FilterLowFrequency = 0.05
    channel.FilterHighFrequency = 150
    return channel


def _heart_rate(rate: int) -> Dataset:
    annotation = Dataset()
    annotation.ReferencedWaveformChannels = [1, 0]
    annotation.MeasurementUnitsCodeSequence = Sequence([code("/min", "UCUM", "per minute")])
    annotation.ConceptNameCodeSequence = Sequence([code("8867-4", "LN", "Heart rate")])
    annotation.NumericValue = rate
    annotation.AnnotationGroupNumber = 0
    return annotation
