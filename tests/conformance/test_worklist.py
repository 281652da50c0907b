"""Modality worklist with other implementations: DCMTK's findscu and wlmscpfs, pynetdicom (PS3.4 Annex K)."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import ModalityWorklistInformationFind

from support.running import RunningHilum

EXAMPLES = Path("/usr/share/doc/dcmtk/examples")
STEP = "ScheduledProcedureStepSequence[0]."
STEPS = "ScheduledProcedureStepSequence."

# As `findscu -k` takes them: keys that wlmscpfs matches, in the forms the standard has for each.
QUERIES = [
    ["PatientName=VIVALDI^ANTONIO"],
    ["PatientName=MOZ*"],
    ["PatientName=*A*"],
    ["PatientName=?OZART*"],
    ["PatientName=NOBODY"],
    ["PatientID=AV35674"],
    ["AccessionNumber=00001", "PatientName"],
    ["PatientSex=F", "PatientName"],
    ["RequestedProcedureID=RP4474", "PatientName"],
    ["PatientName", STEP + "Modality=MR"],
    ["PatientName", STEP + "Modality=CT"],
    ["PatientName", STEP + "ScheduledStationAETitle=AA33"],
    ["PatientName", STEP + "ScheduledProcedureStepStartDate=19951015"],
    ["PatientName", STEP + "ScheduledProcedureStepStartDate=19951015-19960423"],
    ["PatientName", STEP + "ScheduledProcedureStepStartDate=-19951231"],
    ["PatientName", STEP + "ScheduledProcedureStepStartDate=19960501-"],
    ["PatientName", STEP + "ScheduledProcedureStepStartTime=085607"],
    ["PatientName", STEP + "ScheduledProcedureStepStartTime=120000-"],
    ["PatientName", STEP + "ScheduledProcedureStepStartTime=-120000"],
    ["PatientName", STEP + "Modality=MR", STEP + "ScheduledProcedureStepStartDate=19960101-19961231"],
    ["PatientName", STEP + "ScheduledPerformingPhysicianName=JOHN*"],
    ["PatientName=*M*", STEP + "Modality=MR", STEP + "ScheduledPerformingPhysicianName"],
]

# Keys that wlmscpfs passes over, for which the standard asks no more than single value matching, or none; how many of
# its ten examples they choose.
PASSED_OVER = [
    (["PatientID=*3*"], 7),
    (["PatientName", STEP + "ScheduledStationAETitle=AA3*"], 2),
    (["StudyInstanceUID=1.2.276.0.7230010.3.2.101", "PatientID"], 1),
    (["PatientName", STEP + "ScheduledProcedureStepID=SPD3445", STEP + "ScheduledStationName"], 1),
]


def dcmtk(name: str) -> str:
    program = Path("/usr/bin") / name
    if not program.exists():
        pytest.skip(f"needs DCMTK's {name}: apt-get install dcmtk")
    return str(program)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def examples(folder: str) -> list[Path]:
    found = sorted((EXAMPLES / folder).rglob("*.dump"))
    if not found:
        pytest.skip("needs DCMTK's example worklists: apt-get install dcmtk")
    return found


@pytest.fixture(scope="module")
def example_items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DCMTK's example worklist as wlmscpfs reads it: the folder of its AE title."""
    folder = tmp_path_factory.mktemp("wlistdb") / "OFFIS"
    folder.mkdir()
    (folder / "lockfile").touch()
    for dump in examples("wlistdb"):
        command = [dcmtk("dump2dcm"), "-q", "-g", str(dump), str(folder / f"{dump.stem}.wl")]
        subprocess.run(command, check=True, timeout=30)
    return folder


@pytest.fixture(scope="module")
def wlmscpfs(example_items: Path) -> Iterator[int]:
    """The port of a running wlmscpfs with the example worklist."""
    port = free_port()
    process = subprocess.Popen(
        [dcmtk("wlmscpfs"), "-q", "-dfp", str(example_items.parent), str(port)], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while subprocess.run([dcmtk("echoscu"), "-q", "-aec", "OFFIS", "127.0.0.1", str(port)], check=False).returncode:
            assert time.monotonic() < deadline, "wlmscpfs does not answer"
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait(30)


@pytest.fixture(scope="module")
def with_examples(hilum: RunningHilum, example_items: Path) -> RunningHilum:
    """Hilum with the same items, entered by its API as DICOM JSON."""
    with hilum.client() as client:
        for path in sorted(example_items.glob("*.wl")):
            answer = client.post("/api/worklist", json={"attributes": item_json(path)})
            assert answer.status_code == 201, answer.text
    return hilum


def item_json(path: Path) -> dict[str, Any]:
    attributes: dict[str, Any] = pydicom.dcmread(path, force=True).to_json_dict()
    return attributes


def find(port: int, called: str, folder: Path, keys: list[str], query: Path | None = None) -> list[dict[str, Any]]:
    """Return what findscu is answered, as DICOM JSON in a fixed order."""
    folder.mkdir()
    options = [option for key in keys for option in ("-k", key)]
    command = [dcmtk("findscu"), "-q", "-W", "-aet", "MODALITY", "-aec", called, "-X", "-od", str(folder)]
    subprocess.run(
        [*command, *options, "127.0.0.1", str(port), *([str(query)] if query else [])], check=True, timeout=60
    )
    found = []
    for path in sorted(folder.glob("rsp*.dcm")):
        dataset = pydicom.dcmread(path)
        dataset.pop("SpecificCharacterSet", None)
        found.append(without_empty_sequences(dataset).to_json_dict())
    return sorted(found, key=str)


def without_empty_sequences(dataset: Dataset) -> Dataset:
    """wlmscpfs leaves out a sequence that an item lacks; we return it empty, as any other attribute."""
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                without_empty_sequences(item)
            if not element.value:
                del dataset[element.tag]
    return dataset


@pytest.mark.parametrize("keys", QUERIES, ids=lambda keys: " ".join(keys).replace(STEP, ""))
def test_findscu_is_answered_as_by_wlmscpfs(
    with_examples: RunningHilum, wlmscpfs: int, tmp_path: Path, keys: list[str]
) -> None:
    expected = find(wlmscpfs, "OFFIS", tmp_path / "theirs", keys)
    assert find(with_examples.dicom_port, with_examples.ae_title, tmp_path / "ours", keys) == expected


@pytest.mark.parametrize("name", [f"wlistqry{number}" for number in range(13)])
def test_the_example_queries_are_answered_as_by_wlmscpfs(
    with_examples: RunningHilum, wlmscpfs: int, tmp_path: Path, name: str
) -> None:
    (dump,) = [dump for dump in examples("wlistqry") if dump.stem == name]
    query = tmp_path / "query.dcm"
    subprocess.run([dcmtk("dump2dcm"), "-q", str(dump), str(query)], check=True, timeout=30)
    theirs = find(wlmscpfs, "OFFIS", tmp_path / "theirs", [], query)
    ours = find(with_examples.dicom_port, with_examples.ae_title, tmp_path / "ours", [], query)
    if name in ("wlistqry1", "wlistqry3"):
        # An empty item asks for all that is in the sequence (§K.2.2.1.2, note 4); wlmscpfs picks some of it.
        sequence = pydicom.tag.Tag("ScheduledProcedureStepSequence").json_key
        for mine, other in zip(ours, theirs, strict=True):
            (whole,), (part,) = mine.pop(sequence)["Value"], other.pop(sequence)["Value"]
            assert {tag: element for tag, element in part.items() if "Value" in element}.items() <= whole.items()
    assert ours == theirs


@pytest.mark.parametrize(("keys", "count"), PASSED_OVER, ids=lambda value: str(value))
def test_more_keys_are_matched_than_by_wlmscpfs(
    with_examples: RunningHilum, wlmscpfs: int, tmp_path: Path, keys: list[str], count: int
) -> None:
    assert len(find(wlmscpfs, "OFFIS", tmp_path / "theirs", keys)) in (0, 10)
    assert len(find(with_examples.dicom_port, with_examples.ae_title, tmp_path / "ours", keys)) == count


@pytest.fixture(scope="module")
def scheduled(hilum: RunningHilum) -> RunningHilum:
    """Hilum with items whose text does not fit into one character set."""
    names = ["Yamada^Tarou=山田^太郎=やまだ^たろう", "Müller^Jörg", "Иванов^Иван"]
    with hilum.client() as client:
        for number, name in enumerate(names):
            answer = client.post("/api/worklist", json=entry(patient_name=name, patient_id=f"U{number}"))
            assert answer.status_code == 201, answer.text
    return hilum


# Each key with the values it has in two items that differ in all of them.
KEYS_OF_THE_MODEL: dict[str, list[Any]] = {
    STEPS + "ScheduledStationAETitle": ["EVERY_A", "EVERY_B"],
    STEPS + "ScheduledProcedureStepStartDate": ["20330101", "20330202"],
    STEPS + "ScheduledProcedureStepStartTime": ["010101", "020202"],
    STEPS + "Modality": ["ES", "BI"],
    STEPS + "ScheduledPerformingPhysicianName": ["Every^Physician", "Other^Physician"],
    STEPS + "ScheduledProcedureStepDescription": ["Every step", "Other step"],
    STEPS + "ScheduledStationName": ["Every station", "Other station"],
    STEPS + "ScheduledProcedureStepLocation": ["Every room", "Other room"],
    STEPS + "ScheduledProtocolCodeSequence.CodeValue": ["E1", "E2"],
    STEPS + "PreMedication": ["Every pill", "Other pill"],
    STEPS + "ScheduledProcedureStepID": ["ES1", "ES2"],
    STEPS + "RequestedContrastAgent": ["Every agent", "Other agent"],
    STEPS + "ScheduledProcedureStepStatus": ["SCHEDULED", "ARRIVED"],
    "RequestedProcedureID": ["ERP1", "ERP2"],
    "RequestedProcedureDescription": ["Every procedure", "Other procedure"],
    "RequestedProcedureCodeSequence.CodeValue": ["EP1", "EP2"],
    "StudyInstanceUID": ["2.25.991", "2.25.992"],
    "StudyDate": ["20330303", "20330404"],
    "StudyTime": ["030303", "040404"],
    "ReferencedStudySequence.ReferencedSOPInstanceUID": ["2.25.993", "2.25.994"],
    "RequestedProcedurePriority": ["HIGH", "ROUTINE"],
    "PatientTransportArrangements": ["bed", "walks"],
    "AccessionNumber": ["EACC1", "EACC2"],
    "RequestingPhysician": ["Every^Requestor", "Other^Requestor"],
    "ReferringPhysicianName": ["Every^Referrer", "Other^Referrer"],
    "AdmissionID": ["EADM1", "EADM2"],
    "IssuerOfAdmissionIDSequence.LocalNamespaceEntityID": ["EISS1", "EISS2"],
    "CurrentPatientLocation": ["Every ward", "Other ward"],
    "ReferencedPatientSequence.ReferencedSOPInstanceUID": ["2.25.995", "2.25.996"],
    "PatientName": ["Every^Patient", "Other^Patient"],
    "PatientID": ["EVERY0", "EVERY1"],
    "IssuerOfPatientID": ["Every issuer", "Other issuer"],
    "OtherPatientIDsSequence.PatientID": ["EOTHER1", "EOTHER2"],
    "PatientBirthDate": ["19330101", "19330202"],
    "PatientSex": ["F", "M"],
    "PatientWeight": ["61.5", "72.5"],
    "ConfidentialityConstraintOnPatientDataDescription": ["Every secret", "Other secret"],
    "PatientState": ["Every state", "Other state"],
    "PregnancyStatus": [3, 4],
    "MedicalAlerts": ["Every alert", "Other alert"],
    "Allergies": ["Every allergy", "Other allergy"],
    "SpecialNeeds": ["Every need", "Other need"],
}


@pytest.fixture(scope="module")
def with_every_key(hilum: RunningHilum) -> RunningHilum:
    """Hilum with two items that have every attribute of the model, whose comments are their numbers."""
    for number in range(2):
        attributes = Dataset()
        for path, values in KEYS_OF_THE_MODEL.items():
            place = attributes
            *above, keyword = path.split(".")
            for sequence in above:
                if sequence not in place:
                    setattr(place, sequence, [Dataset()])
                place = place[sequence].value[0]
            setattr(place, keyword, values[number])
        attributes.PatientComments = str(number)
        document = Dataset()
        document.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.104.2"
        document.ReferencedSOPInstanceUID = "2.25.7"
        attributes.PertinentDocumentsSequence = [document]
        with hilum.client() as client:
            answer = client.post("/api/worklist", json={"attributes": attributes.to_json_dict()})
            assert answer.status_code == 201, answer.text
    return hilum


class TestPynetdicom:
    """pynetdicom 3 as modality."""

    def ask(
        self,
        hilum: RunningHilum,
        identifier: Dataset,
        *,
        syntax: str = "1.2.840.10008.1.2",
        options: bytes = b"",
        granted: bytes = b"",
    ) -> list[Any]:
        """Return each response's status and identifier, after an extended negotiation if there are options."""
        ae = AE("MODALITY")
        ae.add_requested_context(ModalityWorklistInformationFind, syntax)
        proposed = []
        if options:
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid = ModalityWorklistInformationFind
            item.service_class_application_information = options
            proposed.append(item)
        association = ae.associate("127.0.0.1", hilum.dicom_port, ae_title=hilum.ae_title, ext_neg=proposed)
        assert association.is_established
        try:
            answered = association.acceptor.sop_class_extended
            assert answered == ({ModalityWorklistInformationFind: granted or options} if options else {})
            found = association.send_c_find(identifier, ModalityWorklistInformationFind)
            return [(status.Status, answer) for status, answer in found]
        finally:
            association.release()

    @pytest.mark.parametrize(
        "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"]
    )
    def test_names_of_any_script_come_whole(self, scheduled: RunningHilum, syntax: str) -> None:
        answers = self.ask(scheduled, asked(PatientID="U*"), syntax=syntax)
        assert [status for status, _ in answers] == [0xFF00, 0xFF00, 0xFF00, 0x0000]
        names = {str(answer.PatientName) for _, answer in answers[:-1]}
        assert names == {"Yamada^Tarou=山田^太郎=やまだ^たろう", "Müller^Jörg", "Иванов^Иван"}

    def test_the_character_set_is_the_modalitys_own_where_that_suffices(self, scheduled: RunningHilum) -> None:
        def character_set(patient_id: str, own: Any) -> Any:
            (_, answer), _ = self.ask(scheduled, asked(SpecificCharacterSet=own, PatientID=patient_id))
            return answer.get("SpecificCharacterSet")

        assert character_set("U1", "ISO_IR 100") == "ISO_IR 100"
        assert character_set("U2", "ISO_IR 100") == "ISO_IR 192"
        assert character_set("U0", ["", "ISO 2022 IR 87"]) == ["", "ISO 2022 IR 87"]

    @pytest.mark.parametrize("name", ["*yamada*", "=山田^*", "==やまだ^たろう", "YAMADA^TAROU"])
    def test_a_name_is_found_by_each_of_its_groups(self, scheduled: RunningHilum, name: str) -> None:
        answers = self.ask(scheduled, asked(SpecificCharacterSet="ISO_IR 192", PatientName=name, PatientID=""))
        assert [answer.PatientID for _, answer in answers[:-1]] == ["U0"]

    def test_accents_and_case_of_names_do_not_matter(self, scheduled: RunningHilum) -> None:
        answers = self.ask(scheduled, asked(PatientName="muller^jorg", PatientID=""))
        assert [answer.PatientID for _, answer in answers[:-1]] == ["U1"]

    def test_a_range_of_dates_and_times_is_one_range_of_moments(self, hilum: RunningHilum) -> None:
        starts = ["2031-03-01T09:00:00", "2031-03-01T11:00:00", "2031-03-02T03:00:00", "2031-03-03T12:00:00"]
        with hilum.client() as client:
            for start in starts:
                day, hour = start.split("T")
                change = {"scheduled_procedure_step_start_date": day, "scheduled_procedure_step_start_time": hour}
                assert client.post("/api/worklist", json=entry(patient_id=start[8:13]) | change).status_code == 201
        step = {
            "ScheduledProcedureStepStartDate": "20310301-20310303",
            "ScheduledProcedureStepStartTime": "100000-115959",
        }
        answers = self.ask(hilum, asked(step, PatientID=""))
        assert [answer.PatientID for _, answer in answers[:-1]] == ["01T11", "02T03"]

    @pytest.mark.parametrize(
        ("proposed", "granted"),
        [
            (b"\1\1\1", b"\1\1\1"),
            (b"\1\1\0\1", b"\1\1\0\1"),
            (b"\1\1\1\1\1", b"\1\1\1\1\0"),
            (b"\0\0\1", b"\1\1\1"),
            (b"\1", b"\1\1\0"),
        ],
    )
    def test_fuzzy_names_and_time_zones_are_granted_at_their_bytes(
        self, scheduled: RunningHilum, proposed: bytes, granted: bytes
    ) -> None:
        """PS3.4 §K.5.1."""
        self.ask(scheduled, asked(PatientID="U1"), options=proposed, granted=granted)

    def test_a_fuzzy_name_is_found_by_the_beginnings_of_its_words(self, scheduled: RunningHilum) -> None:
        identifier = asked(PatientName="jor mul", PatientID="U*")
        found = self.ask(scheduled, identifier, options=b"\1\1\1")
        assert [answer.PatientID for _, answer in found[:-1]] == ["U1"]
        assert len(self.ask(scheduled, identifier, options=b"\1\1\0")) == 1
        assert len(self.ask(scheduled, identifier)) == 1

    def test_a_step_is_found_and_told_in_the_zone_of_the_modality(self, hilum: RunningHilum) -> None:
        for zone in ("+0900", "-0500"):
            change = {
                "scheduled_procedure_step_start_date": "2032-06-01",
                "scheduled_procedure_step_start_time": "08:00",
                "attributes": {"00080201": {"vr": "SH", "Value": [zone]}},
            }
            with hilum.client() as client:
                answer = client.post("/api/worklist", json=entry(patient_id=f"Z{zone[1:]}") | change)
                assert answer.status_code == 201, answer.text
        dates = {"ScheduledProcedureStepStartDate": "20320601", "ScheduledProcedureStepStartTime": ""}
        identifier = asked(dates, PatientID="Z*", TimezoneOffsetFromUTC="-0800")
        found = [answer for _, answer in self.ask(hilum, identifier, options=b"\1\1\0\1")[:-1]]
        # Eight in the morning of Tokyo is still the evening of 31 May in California.
        assert [told(answer) for answer in found] == [("Z0500", "20320601", "050000", "-0800")]
        plain = [answer for _, answer in self.ask(hilum, identifier)[:-1]]
        assert [told(answer) for answer in plain] == [
            ("Z0900", "20320601", "080000", "+0900"),
            ("Z0500", "20320601", "080000", "-0500"),
        ]

    @pytest.mark.parametrize("path", KEYS_OF_THE_MODEL)
    def test_every_key_of_the_model_is_matched_and_returned(self, with_every_key: RunningHilum, path: str) -> None:
        """PS3.4 Table K.6-1."""
        identifier = Dataset()
        place = identifier
        *above, keyword = path.split(".")
        for sequence in above:
            setattr(place, sequence, [Dataset()])
            place = place[sequence].value[0]
        # Returned alone, then matched: of two items that differ in every value one is found.
        setattr(place, keyword, None)
        identifier.PatientComments = None
        everything = [answer for _, answer in self.ask(with_every_key, identifier)[:-1]]
        assert {value_at(answer, path) for answer in everything} >= set(map(str, KEYS_OF_THE_MODEL[path]))
        for number, value in enumerate(KEYS_OF_THE_MODEL[path]):
            setattr(place, keyword, value)
            found = [answer for _, answer in self.ask(with_every_key, identifier)[:-1]]
            # Items of other tests may have a common value too.
            assert {str(answer.PatientComments) for answer in found} - {""} == {str(number)}
            assert {value_at(answer, path) for answer in found} == {str(value)}

    def test_what_is_never_matched_is_returned(self, with_every_key: RunningHilum) -> None:
        """PS3.4 Table K.6-1, Pertinent Documents Sequence."""
        identifier = Dataset()
        identifier.PatientComments = None
        identifier.PatientID = "EVERY0"
        document = Dataset()
        document.ReferencedSOPClassUID = None
        document.ReferencedSOPInstanceUID = "1.2.3"
        identifier.PertinentDocumentsSequence = [document]
        (status, answer), _ = self.ask(with_every_key, identifier)
        assert status == 0xFF01
        assert answer.PertinentDocumentsSequence[0].ReferencedSOPInstanceUID == "2.25.7"

    def test_a_private_key_is_passed_over_and_told_of(self, scheduled: RunningHilum) -> None:
        identifier = asked(PatientID="U1")
        identifier.private_block(0x0099, "SOME MODALITY", create=True).add_new(1, "LO", "x")
        assert [status for status, _ in self.ask(scheduled, identifier)] == [0xFF01, 0x0000]

    @pytest.mark.parametrize(
        "step", [{"ScheduledProcedureStepStartDate": "yesterday"}, {"ScheduledProcedureStepStartTime": "10h"}]
    )
    def test_a_key_that_is_no_value_is_refused(self, scheduled: RunningHilum, step: dict[str, str]) -> None:
        with pydicom.config.disable_value_validation():
            ((status, _),) = self.ask(scheduled, asked(step))
        assert status == 0xA900

    def test_an_item_is_offered_until_it_is_finished_and_on_demand_later(self, hilum: RunningHilum) -> None:
        with hilum.client() as client:
            item = client.post("/api/worklist", json=entry(patient_id="OFFERED")).json()
            for status, offered in [("ARRIVED", 1), ("READY", 1), ("CANCELED", 0), ("SCHEDULED", 1), ("DEPARTED", 0)]:
                answer = client.patch(f"/api/worklist/{item['item_id']}", json={"status": status})
                assert answer.status_code == 200, answer.text
                assert len(self.ask(hilum, asked(PatientID="OFFERED"))) == offered + 1
                demanded = self.ask(hilum, asked({"ScheduledProcedureStepStatus": status}, PatientID="OFFERED"))
                assert len(demanded) == 2

    def test_a_cancelled_query_ends_with_the_status_of_cancellation(self, hilum: RunningHilum) -> None:
        with hilum.client() as client:
            for number in range(40):
                long = entry(patient_id="MANY", patient_name=f"Many^{number}")
                long["attributes"] = {"00102180": {"vr": "SH", "Value": ["x"]}, "00104000": text_of(9000)}
                assert client.post("/api/worklist", json=long).status_code == 201
        ae = AE("MODALITY")
        ae.add_requested_context(ModalityWorklistInformationFind)
        association = ae.associate("127.0.0.1", hilum.dicom_port, ae_title=hilum.ae_title)
        statuses = []
        answers = association.send_c_find(asked(PatientID="MANY", PatientComments=""), ModalityWorklistInformationFind)
        for status, _ in answers:
            statuses.append(status.Status)
            if len(statuses) == 1:
                association.send_c_cancel(1, None, ModalityWorklistInformationFind)
        assert association.is_established
        association.release()
        # Every answer may have been on its way already when the request to cancel arrived.
        assert statuses[-1] in (0xFE00, 0x0000)
        assert statuses[-1] == 0xFE00 or len(statuses) == 41


def told(answer: Dataset) -> tuple[str, str, str, str]:
    step = answer.ScheduledProcedureStepSequence[0]
    return (
        answer.PatientID,
        step.ScheduledProcedureStepStartDate,
        step.ScheduledProcedureStepStartTime,
        answer.TimezoneOffsetFromUTC,
    )


def value_at(answer: Dataset, path: str) -> str:
    *above, keyword = path.split(".")
    for sequence in above:
        items = answer.get(sequence)
        if not items:
            return ""
        answer = items[0]
    return str(answer.get(keyword, ""))


def text_of(length: int) -> dict[str, Any]:
    return {"vr": "LT", "Value": ["x" * length]}


def entry(**fields: str) -> dict[str, Any]:
    """A step as the API takes it."""
    return {
        "patient_name": "Doe^Jane",
        "patient_id": "P1",
        "modality": "CT",
        "scheduled_station_ae_title": ["CT1"],
        "scheduled_procedure_step_start_date": "2030-01-05",
        "scheduled_procedure_step_start_time": "10:15",
        "scheduled_procedure_step_description": "CT Thorax",
    } | fields


def asked(step: dict[str, Any] | None = None, **values: Any) -> Dataset:
    """An identifier."""
    identifier = Dataset()
    values.setdefault("PatientName", "")
    for keyword, value in values.items():
        setattr(identifier, keyword, value)
    item = Dataset()
    for keyword, value in (step or {"ScheduledProcedureStepID": ""}).items():
        setattr(item, keyword, value)
    identifier.ScheduledProcedureStepSequence = [item]
    return identifier
