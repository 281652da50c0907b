"""Reports: a structured report with a measurement, and a PDF written by hand."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.sequence import Sequence

from hilum.dicom.samples.building import SeriesOf, code, new_instance, reference_to
from hilum.dicom.uids import COMPREHENSIVE_SR_STORAGE, CT_IMAGE_STORAGE, ENCAPSULATED_PDF_STORAGE


def report_instance(series: SeriesOf, images: SeriesOf, image_number: int, diameter_mm: float) -> Dataset:
    """Return a structured report on a nodule, with its diameter measured on one image."""
    image_uid = images.instance_uid(image_number)
    ds = new_instance(series, COMPREHENSIVE_SR_STORAGE, 1)
    ds.ReferencedPerformedProcedureStepSequence = Sequence([])
    ds.PerformedProcedureCodeSequence = Sequence([])
    ds.CompletionFlag = "COMPLETE"
    ds.VerificationFlag = "VERIFIED"
    verifier = Dataset()
    verifier.VerifyingOrganization = "Hilum Sample Hospital"
    verifier.VerificationDateTime = ds.ContentDate + ds.ContentTime
    verifier.VerifyingObserverName = "Okafor^Chidi"
    verifier.VerifyingObserverIdentificationCodeSequence = Sequence([])
    ds.VerifyingObserverSequence = Sequence([verifier])
    evidence_series = Dataset()
    evidence_series.SeriesInstanceUID = images.uid
    evidence_series.ReferencedSOPSequence = Sequence([reference_to(CT_IMAGE_STORAGE, image_uid)])
    evidence = Dataset()
    evidence.StudyInstanceUID = images.study.uid
    evidence.ReferencedSeriesSequence = Sequence([evidence_series])
    ds.CurrentRequestedProcedureEvidenceSequence = Sequence([evidence])
    ds.ValueType = "CONTAINER"
    ds.ContinuityOfContent = "SEPARATE"
    ds.ConceptNameCodeSequence = Sequence([code("18748-4", "LN", "Diagnostic imaging report")])
    ds.ContentTemplateSequence = Sequence([_template("2000")])
    measured = _item("CONTAINS", "NUM", code("81827009", "SCT", "Diameter"))
    value = Dataset()
    value.NumericValue = f"{diameter_mm:.1f}"
    value.MeasurementUnitsCodeSequence = Sequence([code("mm", "UCUM", "millimeter")])
    measured.MeasuredValueSequence = Sequence([value])
    source = _item("INFERRED FROM", "IMAGE", None)
    source.ReferencedSOPSequence = Sequence([reference_to(CT_IMAGE_STORAGE, image_uid)])
    measured.ContentSequence = Sequence([source])
    language = _item("HAS CONCEPT MOD", "CODE", code("121049", "DCM", "Language of Content Item and Descendants"))
    language.ConceptCodeSequence = Sequence([code("en", "RFC5646", "English")])
    observer = _item("HAS OBS CONTEXT", "PNAME", code("121008", "DCM", "Person Observer Name"))
    observer.PersonName = "Okafor^Chidi"
    ds.ContentSequence = Sequence(
        [
            language,
            observer,
            _section(
                code("121060", "DCM", "History"),
                [_text(code("121060", "DCM", "History"), "Follow-up of a nodule of the right upper lobe.")],
            ),
            _section(
                code("121070", "DCM", "Findings"),
                [
                    _text(
                        code("121071", "DCM", "Finding"),
                        "Spiculated solid nodule in the right upper lobe, larger than in the earlier examination. "
                        "No enlarged lymph nodes. No effusion. Heart of normal size.",
                    ),
                    measured,
                ],
            ),
            _section(
                code("121072", "DCM", "Impressions"),
                [
                    _text(
                        code("121073", "DCM", "Impression"),
                        "Growing nodule of the right upper lobe. Referral to the lung board is advised.",
                    )
                ],
            ),
        ]
    )
    return ds


def pdf_instance(series: SeriesOf, title: str, lines: list[str]) -> Dataset:
    """Return an encapsulated PDF of one page."""
    ds = new_instance(series, ENCAPSULATED_PDF_STORAGE, 1)
    ds.AcquisitionDateTime = ds.StudyDate + ds.StudyTime
    ds.ConversionType = "WSD"
    ds.BurnedInAnnotation = "YES"
    ds.DocumentTitle = title
    ds.ConceptNameCodeSequence = Sequence([code("18748-4", "LN", "Diagnostic imaging report")])
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document = one_page_pdf(title, lines)
    ds.EncapsulatedDocumentLength = len(document)
    ds.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    return ds


def one_page_pdf(title: str, lines: list[str]) -> bytes:
    """Return a PDF 1.4 file of one A4 page with a heading and lines of text in Latin-1."""
    drawing = [f"BT /F2 20 Tf 60 770 Td ({_escaped(title)}) Tj ET", "0.6 w 60 758 m 535 758 l S"]
    drawing += [f"BT /F1 11 Tf 60 {732 - 17 * n} Td ({_escaped(line)}) Tj ET" for n, line in enumerate(lines)]
    content = "\n".join(drawing).encode("latin-1", "replace")
    resources = "<< /Font << /F1 5 0 R /F2 6 0 R >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources {resources} >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _template(identifier: str) -> Dataset:
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", identifier
    return template


def _item(relationship: str, value_type: str, concept: Dataset | None) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, value_type
    if concept is not None:
        item.ConceptNameCodeSequence = Sequence([concept])
    return item


def _text(concept: Dataset, text: str) -> Dataset:
    item = _item("CONTAINS", "TEXT", concept)
    item.TextValue = text
    return item


def _section(concept: Dataset, items: list[Dataset]) -> Dataset:
    section = _item("CONTAINS", "CONTAINER", concept)
    section.ContinuityOfContent = "SEPARATE"
    section.ContentSequence = Sequence(items)
    return section
