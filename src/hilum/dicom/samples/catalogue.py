"""The people of the samples, their studies, and the making of all of them in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset

from hilum.dicom.samples import brain, radiograph
from hilum.dicom.samples.building import Person, SeriesOf, StudyOf, to_part10
from hilum.dicom.samples.ct import chest_series, ct_instances, slice_position
from hilum.dicom.samples.documents import pdf_instance, report_instance
from hilum.dicom.samples.ecg import ecg_instance
from hilum.dicom.samples.segmentation import segmentation_instance
from hilum.dicom.samples.thorax import Nodule, Thorax
from hilum.dicom.samples.ultrasound import ultrasound_instance


@dataclass(frozen=True, slots=True)
class SampleInstance:
    """One instance of a sample study, as a PS3.10 file."""

    part10: bytes
    study_description: str
    modality: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the pictures are and how many slices and frames there are."""

    ct_side: int
    ct_slices: int
    ct_prior_slices: int
    mr_side: int
    mr_slices: int
    cine: tuple[int, int, int]
    chest: tuple[int, int]
    breast: tuple[int, int]


FULL: Final = Scale(512, 200, 60, 256, 26, (30, 480, 640), (1600, 2080), (1536, 1152))
SMALL: Final = Scale(64, 12, 6, 64, 3, (3, 60, 80), (80, 104), (96, 72))

MUELLER: Final = Person("HIL-1001", "Müller-Lüdenscheidt^Jürgen^^Dr.", "19570312", "M", ("ISO_IR 100",))
YAMADA: Final = Person("HIL-1002", "Yamada^Hanako=山田^花子=やまだ^はなこ", "19840721", "F", ("", "ISO 2022 IR 87"))
PETROVA: Final = Person("HIL-1003", "Петрова^Анна^Сергеевна", "19690105", "F", ("ISO_IR 144",))
PAPADOPOULOS: Final = Person("HIL-1004", "Παπαδόπουλος^Νίκος", "19511130", "M", ("ISO_IR 126",))
HONG: Final = Person("HIL-1005", "Hong^Gildong=洪^吉洞=홍^길동", "19780818", "M", ("", "ISO 2022 IR 149"))
QABBANI: Final = Person("HIL-1006", "قباني^لنزار", "19630226", "M", ("ISO_IR 127",))
WANG: Final = Person("HIL-1007", "Wang^XiaoDong=王^小东", "19720504", "F", ("GB18030",))
NGUYEN: Final = Person("HIL-1008", "Nguyễn^Thị Hương", "19900214", "F", ("ISO_IR 192",))
SHARON: Final = Person("HIL-1009", "שרון^דבורה", "19481201", "F", ("ISO_IR 138",))
WISNIEWSKA: Final = Person("HIL-1010", "Wiśniewska^Łucja", "19750919", "F", ("ISO_IR 101",))
TANAKA: Final = Person(
    "HIL-1011", "ﾀﾅｶ^ｲﾁﾛｳ=田中^一郎=たなか^いちろう", "19660606", "M", ("ISO 2022 IR 13", "ISO 2022 IR 87")
)
DOE: Final = Person("HIL-1012", "Doe^Jane", "19880808", "F")

_NODULE_NOW: Final = Nodule()
_NODULE_BEFORE: Final = Nodule(radius=4.8)


def sample_studies(*, small: bool = False) -> Iterator[SampleInstance]:
    """Yield all instances of the sample studies, one study after the other, made as they are asked for.

    Args:
        small: shrunken pictures and few slices, for tests; the same people, studies and series.

    Reference: PS3.3 Annex A
    """
    scale = SMALL if small else FULL
    for ds in _data_sets(scale):
        yield SampleInstance(to_part10(ds), str(ds.StudyDescription), str(ds.Modality), str(ds.SOPInstanceUID))


def _data_sets(scale: Scale) -> Iterator[Dataset]:
    yield from _lung_follow_up(scale)
    yield from _head(YAMADA, "20260114", "093000", 5, 9, scale)
    yield from _head(TANAKA, "20250903", "141500", 6, 0, scale, is_short=True)
    yield from _chest(PETROVA, (("20241007", "101500", "DX-2044"), ("20260119", "110500", "DX-3187")), 21, scale)
    yield from _ecg(PAPADOPOULOS, "20260120", "081200", 31)
    yield from _echo(HONG, "20260121", "150000", 41, scale)
    yield from _chest(QABBANI, (("20260122", "073000", "DX-3201"),), 22, scale)
    yield from _breasts(WANG, "20260123", "113000", 51, scale, has_mass=True)
    yield from _echo(NGUYEN, "20260126", "101000", 42, scale)
    yield from _ecg(SHARON, "20260127", "164500", 32)
    yield from _breasts(WISNIEWSKA, "20260128", "090000", 52, scale, has_mass=False)
    yield from _letter(DOE)


def _lung_follow_up(scale: Scale) -> Iterator[Dataset]:
    """A nodule that has grown: the earlier CT, the present one with its segmentation, report and letter."""
    side = scale.ct_side
    before = StudyOf(
        MUELLER, "ct/before", "CT Thorax", "20250610", "091500", "CT-20417", requested_procedure="CT Thorax"
    )
    prior = chest_series(before, 2, "Thorax 5 mm")
    yield from ct_instances(prior, Thorax(7, _NODULE_BEFORE), scale.ct_prior_slices, side, side)
    now = StudyOf(
        MUELLER,
        "ct/now",
        "CT Thorax mit Kontrastmittel",
        "20260112",
        "102000",
        "CT-23310",
        requested_procedure="CT Thorax mit Kontrastmittel",
    )
    images = chest_series(now, 2, "Thorax 1.5 mm KM")
    thorax = Thorax(7, _NODULE_NOW)
    yield from ct_instances(images, thorax, scale.ct_slices, side, side)
    segmentation = _series(now, 50, "SEG", "Rundherd")
    yield segmentation_instance(segmentation, images, thorax, scale.ct_slices, side, side)
    middle = min(range(scale.ct_slices), key=lambda index: abs(slice_position(index, scale.ct_slices) - _NODULE_NOW.z))
    yield report_instance(_series(now, 60, "SR", "Befund"), images, middle + 1, 2 * _NODULE_NOW.radius)
    letter = [
        "Klinische Angaben: Verlaufskontrolle bei Rundherd im rechten Oberlappen.",
        "",
        "Befund: Spikulierter solider Rundherd im rechten Oberlappen, 16 mm (Voruntersuchung 10 mm).",
        "Keine vergrößerten Lymphknoten. Kein Erguss. Herz normal groß.",
        "",
        "Beurteilung: Größenzunahme. Vorstellung in der Lungenkonferenz empfohlen.",
        "",
        "Dies ist eine Beispieluntersuchung eines Phantoms; die Person ist erfunden.",
    ]
    yield pdf_instance(_series(now, 70, "DOC", "Arztbrief"), "Befund CT Thorax", letter)


def _head(
    person: Person, date: str, time: str, seed: int, lesions: int, scale: Scale, *, is_short: bool = False
) -> Iterator[Dataset]:
    study = StudyOf(
        person, f"mr/{person.patient_id}", "MR Brain", date, time, f"MR-{seed + 8800}", requested_procedure="MR Brain"
    )
    head = brain.Head(seed, lesions)
    yield from brain.localizer_instances(brain.head_study(study, 1, brain.LOCALIZER), head, scale.mr_side)
    weightings = (brain.T1, brain.T2, brain.FLAIR)[1 if is_short else 0 :]
    for number, weighting in enumerate(weightings, start=2):
        series = brain.head_study(study, number, weighting)
        yield from brain.mr_instances(series, head, weighting, scale.mr_slices, scale.mr_side)


def _chest(person: Person, visits: tuple[tuple[str, str, str], ...], seed: int, scale: Scale) -> Iterator[Dataset]:
    beam = radiograph.chest_beam(Thorax(seed), *scale.chest)
    for visit, (date, time, accession_number) in enumerate(visits):
        study = StudyOf(
            person, f"dx/{accession_number}", "Chest PA", date, time, accession_number, "Rossi^Giulia", "Chest PA"
        )
        series = SeriesOf(study, 1, "DX", "Chest PA", "Hilum Imaging", "Sample DX", "DX01", "CHEST", "Chest PA")
        picture = radiograph.chest_radiograph(beam, seed + 100 * visit)
        yield radiograph.chest_instance(series, picture)


def _breasts(person: Person, date: str, time: str, seed: int, scale: Scale, *, has_mass: bool) -> Iterator[Dataset]:
    study = StudyOf(
        person, f"mg/{person.patient_id}", "Screening mammography", date, time, f"MG-{seed + 700}", "Rossi^Giulia"
    )
    number = 0
    for view in ("CC", "MLO"):
        for laterality in ("R", "L"):
            number += 1
            series = SeriesOf(
                study, number, "MG", f"{laterality} {view}", "Hilum Imaging", "Sample MG", "MG01", "BREAST", "Screening"
            )
            picture = radiograph.breast_picture(
                seed + (laterality == "L"),
                *scale.breast,
                is_oblique=view == "MLO",
                has_mass=has_mass and laterality == "L",
            )
            yield radiograph.breast_instance(series, picture, 1, laterality=laterality, view=view)


def _echo(person: Person, date: str, time: str, seed: int, scale: Scale) -> Iterator[Dataset]:
    study = StudyOf(person, f"us/{person.patient_id}", "Echocardiography", date, time, f"US-{seed + 5100}")
    series = SeriesOf(study, 1, "US", "Apical four chamber", "Hilum Imaging", "Sample US", "US03", "HEART", "Echo")
    yield ultrasound_instance(series, seed, *scale.cine)


def _ecg(person: Person, date: str, time: str, seed: int) -> Iterator[Dataset]:
    study = StudyOf(person, f"ecg/{person.patient_id}", "Resting ECG", date, time, f"EC-{seed + 610}")
    yield ecg_instance(_series(study, 1, "ECG", "12-lead ECG"), seed)


def _letter(person: Person) -> Iterator[Dataset]:
    study = StudyOf(person, f"doc/{person.patient_id}", "Outside report", "20260129", "120000", "DC-0042")
    lines = ["Report of an outside examination, scanned at the front desk.", "", "The person is invented."]
    yield pdf_instance(_series(study, 1, "DOC", "Outside report"), "Outside report", lines)


def _series(study: StudyOf, number: int, modality: str, description: str) -> SeriesOf:
    return SeriesOf(study, number, modality, description, "Hilum", "Hilum samples", "HILUM")
