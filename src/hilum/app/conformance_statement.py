"""Writes docs/conformance/statement.md from what is served: `python -m hilum.app.conformance_statement`.

Reference: PS3.2 Annex A
"""

# ruff: noqa: E501 - the prose of a page

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from hilum import __version__
from hilum.app.dimse_server import dimse_services
from hilum.app.settings import Settings
from hilum.archive.remotes import DimseUse
from hilum.dicom.dictionary import sop_class_names
from hilum.dicom.uids import (
    APPLICATION_CONTEXT,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    INSTANCE_AVAILABILITY_NOTIFICATION,
    MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,
    MODALITY_WORKLIST_FIND,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_SOP_CLASSES,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    TRANSFER_SYNTAXES,
    UNIFIED_PROCEDURE_STEP_EVENT,
    VERIFICATION,
)
from hilum.dimse.status import GENERAL, PROCEDURE_STEP, QUERY, RETRIEVE, STORAGE, StatusRow, describe_status
from hilum.kernel import limits
from hilum.net.tls import SPEAKS_TLS_1_3, TLS_1_2_SUITES
from hilum.scp.calls import DimseService
from hilum.scp.commitment import COMMITMENT_STATUSES
from hilum.scp.procedure_step import PROCEDURE_STEP_STATUSES
from hilum.scp.statuses import (
    FIND_STATUSES,
    RETRIEVE_STATUSES,
    STORE_STATUSES,
    WORKITEM_STATUSES,
    StatusTable,
)

_SCU: Final[Mapping[str, Sequence[str]]] = {
    "`hilum echo`, `hilum remote echo`": (VERIFICATION,),
    "`hilum find`, search of a remote": (PATIENT_ROOT_FIND, STUDY_ROOT_FIND, MODALITY_WORKLIST_FIND),
    "`hilum move`, `hilum get`, pulling and prefetching": (
        PATIENT_ROOT_MOVE,
        STUDY_ROOT_MOVE,
        PATIENT_ROOT_GET,
        STUDY_ROOT_GET,
    ),
    "`hilum commitment`, and answers to commitment requests (in the SCP role)": (STORAGE_COMMITMENT_PUSH_MODEL,),
    "notices that a study is available": (INSTANCE_AVAILABILITY_NOTIFICATION,),
    "notices of procedure steps (in the SCP role)": (MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,),
    "events of workitems to subscribers (in the SCP role)": (UNIFIED_PROCEDURE_STEP_EVENT,),
}
"""What Hilum asks of others, and on what occasion; storage SOP classes come besides."""

_TOLD: Final = frozenset({MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION})
"""Of these Hilum is SCP, though it opens the association and nobody asks."""

_STATUSES: Final[Mapping[DimseUse, tuple[StatusTable, tuple[StatusRow, ...]]]] = {
    DimseUse.STORE: (STORE_STATUSES, STORAGE),
    DimseUse.QUERY: (FIND_STATUSES, QUERY),
    DimseUse.RETRIEVE: (RETRIEVE_STATUSES, RETRIEVE),
    DimseUse.WORKLIST: (FIND_STATUSES, QUERY),
    DimseUse.PROCEDURE_STEP: (PROCEDURE_STEP_STATUSES, PROCEDURE_STEP),
    DimseUse.WORKITEM: (WORKITEM_STATUSES, PROCEDURE_STEP),
    DimseUse.COMMITMENT: (COMMITMENT_STATUSES, GENERAL),
}
"""The failures of each service: its table, and what its codes mean."""

_HEAD: Final = f"""# DICOM conformance statement

This page follows PS3.2 and is made from the tables the program works by (`python -m hilum.app.conformance_statement`);
a test keeps it true. It is for version {__version__}. What a person needs to set up stands in the guide; which other
implementations were tried stands in [peers.md](peers.md).

## 1. Overview

Hilum is an archive. It receives, keeps, finds and gives back composite instances, offers a modality worklist, follows
performed procedure steps and unified procedure steps, and commits itself to what it keeps. The same instances are
served by DICOMweb (STOW-RS, QIDO-RS, WADO-RS; PS3.18): see the guide's chapter on DICOMweb.
"""


class _Nothing:
    """Stands for every part of an archive: what is served is asked only what it would agree to."""

    def __getattr__(self, name: str) -> Any:
        return self


def conformance_statement() -> str:
    """Return the page."""
    services = dimse_services(Settings(), cast(Any, _Nothing()))
    parts = [
        _HEAD,
        _services(services),
        _association(),
        _accepted(services),
        _made(),
        _requested(),
        _statuses(),
        _security(),
        _character_sets(),
        _storage(),
        _transfer_syntaxes(services),
    ]
    return "\n".join(parts)


_TITLES: Final[Mapping[DimseUse, str]] = {
    DimseUse.ECHO: "Verification (PS3.4 Annex A)",
    DimseUse.STORE: "Storage (PS3.4 Annex B)",
    DimseUse.QUERY: "Query (PS3.4 §C.4.1)",
    DimseUse.RETRIEVE: "Retrieval by C-MOVE and C-GET (PS3.4 §C.4.2, §C.4.3, Annex Y, Annex Z)",
    DimseUse.WORKLIST: "Modality Worklist (PS3.4 Annex K)",
    DimseUse.PROCEDURE_STEP: "Modality Performed Procedure Step (PS3.4 Annex F)",
    DimseUse.WORKITEM: "Unified Procedure Step (PS3.4 Annex CC)",
    DimseUse.COMMITMENT: "Storage Commitment (PS3.4 Annex J)",
}


def _served(service: DimseService) -> Iterator[tuple[str, str]]:
    """Yield UID and name of the SOP classes of a service that is not for storage."""
    if service.rule(next(iter(STORAGE_SOP_CLASSES))) is None:
        for uid, name in sop_class_names().items():
            if service.rule(uid) is not None:
                yield uid, name


def _services(services: Sequence[DimseService]) -> str:
    rows = [
        f"| {name} | `{uid}` | {'yes' if uid in _asked() else ''} | yes |"
        for service in services
        for uid, name in _served(service)
    ]
    names = sop_class_names()
    scp = {uid for service in services for uid, _ in _served(service)}
    rows += [
        f"| {names[uid]} | `{uid}` | | yes |" if uid in _TOLD else f"| {names[uid]} | `{uid}` | yes | |"
        for uid in _asked()
        if uid not in scp
    ]
    return (
        "| SOP class | UID | as SCU | as SCP |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + f"\n| {len(STORAGE_SOP_CLASSES)} storage SOP classes ([below](#8-storage-sop-classes)), private and unknown ones"
        " | | yes | yes |\n"
    )


def _asked() -> list[str]:
    return [uid for uids in _SCU.values() for uid in uids]


def _association() -> str:
    return f"""## 2. Associations

| | |
|---|---|
| application context | `{APPLICATION_CONTEXT}` |
| implementation class UID | `{IMPLEMENTATION_CLASS_UID}` |
| implementation version name | `{IMPLEMENTATION_VERSION_NAME}` |
| longest PDU announced | {limits.MAX_PDU_LENGTH_BYTES:,} bytes (`dicom.max_pdu_length_bytes`) |
| longest PDU of the peer | any from {limits.MIN_PEER_PDU_LENGTH_BYTES} bytes; 0 means no bound |
| associations at a time | {limits.MAX_ASSOCIATIONS:,} for each worker (`dicom.max_associations`); more are rejected as transient |
| operations at a time on one association | as acceptor {limits.MAX_OPERATIONS_PERFORMED} if the requestor asks for a window |
| presentation contexts | {limits.MAX_PRESENTATION_CONTEXTS} |
| ARTIM | {limits.ARTIM_TIMEOUT_S:g} s |
| silence on an association with nothing under way | {limits.IDLE_TIMEOUT_S:g} s (`dicom.idle_timeout_s`), then it is aborted |
| as requestor, wait for a response | {limits.RESPONSE_TIMEOUT_S:g} s |

Who may associate is decided by the registry of remote application entities and the settings `dicom.allowed_callers` and
`dicom.accept_unknown_callers`; what a registered one may use, by its entry. Rejections carry the reasons of PS3.8 §9.3.4
(called or calling AE title not recognized, application context not supported; user identity refused: no reason given).
"""


def _accepted(services: Sequence[DimseService]) -> str:
    rows: dict[str, None] = {}
    for service in services:
        uids = [uid for uid, _ in _served(service)]
        if not uids:
            continue
        rule = service.rule(uids[0])
        assert rule is not None
        syntaxes = [uid for uid in TRANSFER_SYNTAXES if uid in rule.acceptable]
        shown = (
            "every one of [section 9](#9-transfer-syntaxes)"
            if len(syntaxes) > _MOST_SHOWN
            else ", ".join(TRANSFER_SYNTAXES[uid].name for uid in syntaxes)
        )
        rows[f"| {_TITLES[service.use]} | {shown} |"] = None
    return (
        "## 3. Presentation contexts accepted\n\n"
        "Of the transfer syntaxes proposed for a context the first acceptable one is taken, so that the requestor need\n"
        "convert nothing; for storage `dicom.transfer_syntax_order` may prefer others.\n\n"
        "| service | transfer syntaxes |\n|---|---|\n" + "\n".join(rows) + "\n"
        f"| {_TITLES[DimseUse.STORE]} | every one of [section 9](#9-transfer-syntaxes) |\n\n"
        "Extended negotiation is answered for Storage (level 2, full; no coercion), for queries (relational queries,\n"
        "combined date-time matching, fuzzy matching of names, time zone; not enhanced multi-frame conversion), for the\n"
        "Modality Worklist (fuzzy matching of names, time zone) and for retrieval (relational). In fuzzy matching each word\n"
        "of the key has to begin a word of the name, in any component group and order, whatever case and accents.\n"
        "Role selection is granted for storage SOP classes with C-GET, and for Storage Commitment and UPS Event where the\n"
        "requestor is SCP.\n"
    )


_MOST_SHOWN: Final = 6


def _made() -> str:
    return """### Instances that are made to be retrieved

Composite Instance Root Retrieve serves the IMAGE and FRAME levels with all three frame keys (PS3.4 Annex Y). An instance
made of frames has a new SOP Instance UID, Frame Extraction Sequence and Contributing Equipment Sequence; it stays in
study and series, and is not kept. Offset tables are made anew, each frame is one fragment. Per-frame functional groups,
frame time, frame time vector, frame delay and vectors with one value for each frame become those of the frames; private
attributes, concatenation, trims, frame numbers of interest, icon, signatures, and overlays with frames of their own are
left out. Refused with AA01: instances whose frames mean something together only (tiles in the organization TILED_FULL,
doses with Grid Frame Offset Vector), unless all frames are asked for. Video streams are refused with AA02.

Composite Instance Retrieve Without Bulk Data (Annex Z) leaves out what Table Z.1-1 names, Waveform Data, and the
extended offset table. Private attributes are kept.
"""


def _requested() -> str:
    names = sop_class_names()
    rows = [f"| {occasion} | {', '.join(names[uid] for uid in uids)} |" for occasion, uids in _SCU.items()]
    return (
        "## 4. Presentation contexts proposed\n\n"
        "| occasion | SOP classes |\n|---|---|\n" + "\n".join(rows) + "\n"
        "| `hilum send`, C-MOVE, forwarding | the storage SOP class of each instance |\n\n"
        "Storage proposes the transfer syntax an instance is stored in, in a context of its own, and beside it those it\n"
        "can be converted to without loss; it is converted only when the remote does not take it as it is, or when a rule\n"
        "asks for it. All else proposes explicit and implicit VR little endian.\n"
    )


def _statuses() -> str:
    blocks = []
    for use, (table, meanings) in _STATUSES.items():
        codes = sorted({*table.families.values(), *table.codes.values()})
        rows = [f"| {code:04X} | {describe_status(code, meanings).meaning} |" for code in codes]
        blocks.append(f"**{_TITLES[use]}**\n\n| failure | meaning |\n|---|---|\n" + "\n".join(rows) + "\n")
    return (
        "## 5. Statuses\n\nSuccess is 0000, cancellation FE00, pending FF00 (FF01 when optional keys are not supported).\n"
        "A failure carries an Error Comment that names what was wrong, and the Offending Element where there is one;\n"
        "neither holds patient data.\n\n" + "\n".join(blocks)
    )


def _security() -> str:
    profiles = "\n".join(
        f"| {profile.value} | {profile.reference} | {'yes' if profile in SPEAKS_TLS_1_3 else 'no'} | {', '.join(suites)} |"
        for profile, suites in TLS_1_2_SUITES.items()
    )
    return f"""## 6. Security

Associations over TLS (PS3.15 §B), on a port of their own beside the plain one, with certificates of either side; the
setting `dicom.tls.profile` chooses the secure transport connection profile:

| `dicom.tls.profile` | profile | TLS 1.3 | cipher suites of TLS 1.2 |
|---|---|---|---|
{profiles}

Certificates of either side are checked against certificate revocation lists (RFC 5280) where `dicom.tls.crl` names them.
TLS sessions are not resumed.

User identity (PS3.7 §D.3.3.7): user name, user name and passcode, and JSON web token are mapped to users; Kerberos and
SAML are refused. A positive response is given when it is asked for.
"""


def _character_sets() -> str:
    return """## 7. Character sets

Every Specific Character Set of PS3.5 is read, with and without code extensions; bytes that do not fit the declared set
are decoded as far as they go and the instance is flagged. Answers are in the default repertoire where it suffices, else
in the set the remote prefers (its entry in the registry, or that of its request), else in ISO_IR 192, so that nothing is
lost. Instances are given back in the bytes they came in.
"""


def _storage() -> str:
    rows = [f"| {known.name} | `{uid}` |" for uid, known in STORAGE_SOP_CLASSES.items()]
    return "## 8. Storage SOP classes\n\n| SOP class | UID |\n|---|---|\n" + "\n".join(rows) + "\n"


def _transfer_syntaxes(services: Sequence[DimseService]) -> str:
    rule = next(
        rule for service in reversed(services) if (rule := service.rule(next(iter(STORAGE_SOP_CLASSES)))) is not None
    )
    rows = [f"| {known.name} | `{uid}` |" for uid, known in TRANSFER_SYNTAXES.items() if uid in rule.acceptable]
    return "## 9. Transfer syntaxes\n\n| transfer syntax | UID |\n|---|---|\n" + "\n".join(rows) + "\n"


if __name__ == "__main__":
    page = Path(__file__).parents[3] / "docs" / "conformance" / "statement.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(conformance_statement(), encoding="utf-8")
