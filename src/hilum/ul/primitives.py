"""What the upper layer and its user say to each other: the service primitives of PS3.8 §7 as plain values.

The same class serves as request (given to `AssociationCore.send`) and as indication (taken from
`AssociationCore.next_event`). Values here are already understood: titles are stripped, codes are enums,
lists are tuples. How they look on the wire is the business of `pdu` and `codec`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview


class ContextResult(IntEnum):
    """Answer to one proposed presentation context.

    Reference: PS3.8 §9.3.3.2, Table 9-18
    """

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


class RejectResult(IntEnum):
    """Whether a rejected requestor may try again.

    Reference: PS3.8 §9.3.4, Table 9-21
    """

    PERMANENT = 1
    TRANSIENT = 2


class RejectSource(IntEnum):
    """Which layer of the acceptor rejected the association.

    Reference: PS3.8 §9.3.4, Table 9-21
    """

    SERVICE_USER = 1
    SERVICE_PROVIDER_ACSE = 2
    SERVICE_PROVIDER_PRESENTATION = 3


class RejectReason(Enum):
    """Why an association was rejected; a reason's number has a meaning only beside its source.

    Reference: PS3.8 §9.3.4, Table 9-21
    """

    NO_REASON_GIVEN = (RejectSource.SERVICE_USER, 1)
    APPLICATION_CONTEXT_NOT_SUPPORTED = (RejectSource.SERVICE_USER, 2)
    CALLING_AE_TITLE_NOT_RECOGNIZED = (RejectSource.SERVICE_USER, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED = (RejectSource.SERVICE_USER, 7)
    ACSE_NO_REASON_GIVEN = (RejectSource.SERVICE_PROVIDER_ACSE, 1)
    PROTOCOL_VERSION_NOT_SUPPORTED = (RejectSource.SERVICE_PROVIDER_ACSE, 2)
    PRESENTATION_NO_REASON_GIVEN = (RejectSource.SERVICE_PROVIDER_PRESENTATION, 0)
    TEMPORARY_CONGESTION = (RejectSource.SERVICE_PROVIDER_PRESENTATION, 1)
    LOCAL_LIMIT_EXCEEDED = (RejectSource.SERVICE_PROVIDER_PRESENTATION, 2)

    @property
    def source(self) -> RejectSource:
        """The layer this reason belongs to."""
        return self.value[0]

    @property
    def code(self) -> int:
        """The number that stands in the PDU."""
        return self.value[1]


class AbortSource(IntEnum):
    """Who ended the association abruptly.

    Reference: PS3.8 §9.3.8, Table 9-26
    """

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


class AbortReason(IntEnum):
    """Why the service provider aborted; a service user's abort always carries `NOT_SPECIFIED`.

    Reference: PS3.8 §9.3.8, Table 9-26
    """

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PDU_PARAMETER = 4
    UNEXPECTED_PDU_PARAMETER = 5
    INVALID_PDU_PARAMETER_VALUE = 6


class UserIdentityType(IntEnum):
    """What the primary field of a user identity holds.

    Reference: PS3.7 §D.3.3.7, Table D.3-14
    """

    USERNAME = 1
    USERNAME_AND_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JWT = 5


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context a requestor proposes.

    Reference: PS3.8 §9.3.2.2
    """

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextAnswer:
    """The acceptor's answer to one proposed presentation context.

    `transfer_syntax` says something only when the context was accepted. In a refusal it may stand to fill the
    field; it is not read from a peer's.

    Reference: PS3.8 §9.3.3.2
    """

    context_id: int
    result: ContextResult
    transfer_syntax: str | None = None


@dataclass(frozen=True, slots=True)
class AsyncOperationsWindow:
    """How many operations may be outstanding; 0 means no bound. Absent, the window is 1 and 1.

    Reference: PS3.7 §D.3.3.3
    """

    max_invoked: int = 1
    max_performed: int = 1


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """Which roles the requestor takes (in a request: proposes) for a SOP class.

    Reference: PS3.7 §D.3.3.4
    """

    sop_class_uid: str
    scu_role: bool
    scp_role: bool


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """Application information of a service class for one SOP class, uninterpreted.

    Reference: PS3.7 §D.3.3.5
    """

    sop_class_uid: str
    application_information: bytes


@dataclass(frozen=True, slots=True)
class CommonExtendedNegotiation:
    """The service class and the general SOP classes a SOP class is related to; requests only.

    Reference: PS3.7 §D.3.3.6
    """

    sop_class_uid: str
    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Credentials of the user behind the requestor. The fields never show in `repr`.

    `primary_field` is the user name in UTF-8, the Kerberos ticket, the SAML assertion or the JSON web token;
    `secondary_field` is the passcode and empty for all other types.

    Reference: PS3.7 §D.3.3.7
    """

    identity_type: UserIdentityType
    primary_field: bytes = field(repr=False)
    secondary_field: bytes = field(default=b"", repr=False)
    positive_response_requested: bool = False


@dataclass(frozen=True, slots=True)
class UserInformation:
    """The user information item of a request or of an accept.

    `max_pdu_length` bounds the P-DATA-TF PDUs its sender is ready to receive, in bytes after the 6-byte
    header; 0 means no bound. `common_extended_negotiations` and `user_identity` stand in requests only,
    `user_identity_response` in accepts only.

    Reference: PS3.8 §9.3.2.3 and Annex D, PS3.7 Annex D.3.3
    """

    max_pdu_length: int
    implementation_class_uid: str
    implementation_version_name: str | None = None
    async_operations_window: AsyncOperationsWindow | None = None
    role_selections: tuple[RoleSelection, ...] = ()
    extended_negotiations: tuple[ExtendedNegotiation, ...] = ()
    common_extended_negotiations: tuple[CommonExtendedNegotiation, ...] = ()
    user_identity: UserIdentity | None = None
    user_identity_response: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE request and indication.

    Reference: PS3.8 §7.1.1
    """

    called_ae_title: str
    calling_ae_title: str
    application_context_name: str
    presentation_contexts: tuple[ProposedContext, ...]
    user_information: UserInformation


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE response and confirmation with the result "accepted".

    The AE titles repeat the request's; a requestor may not test them (PS3.8 Table 9-17).

    Reference: PS3.8 §7.1.1
    """

    called_ae_title: str
    calling_ae_title: str
    application_context_name: str
    presentation_contexts: tuple[ContextAnswer, ...]
    user_information: UserInformation


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE response and confirmation with the result "rejected".

    Codes the standard reserves arrive as the "no reason given" of their source.

    Reference: PS3.8 §7.1.1, §9.3.4
    """

    result: RejectResult
    reason: RejectReason

    @property
    def source(self) -> RejectSource:
        """The layer that rejected."""
        return self.reason.source


@dataclass(frozen=True, slots=True)
class PresentationDataValue:
    """One PDV: a fragment of a command set or of a data set.

    `data` in an event is a view of the received bytes and pins the buffer they lie in. How long it may be held is
    the shell's to say: for ever if it gives the core `bytes`, shorter if it reads into a buffer it uses again.

    Reference: PS3.8 §9.3.5.1, Annex E.2
    """

    context_id: int
    is_command: bool
    is_last: bool
    data: Buffer


@dataclass(frozen=True, slots=True)
class PData:
    """P-DATA request and indication: the PDVs of one P-DATA-TF PDU.

    Reference: PS3.8 §7.6, §9.3.5
    """

    pdvs: tuple[PresentationDataValue, ...]


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE request and indication.

    After this no more P-DATA comes from the side that asked; the other side may still send until it answers.

    Reference: PS3.8 §7.2
    """


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """A-RELEASE response and confirmation.

    Reference: PS3.8 §7.2
    """


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT request and indication, and A-P-ABORT indication (source `SERVICE_PROVIDER`).

    In events `by_peer` tells whether the peer sent the abort or this side met the cause itself (an invalid
    PDU, a lost connection); `detail` then says what it was, without patient data. Both mean nothing in
    requests.

    Reference: PS3.8 §7.3, §7.4, §9.3.8
    """

    source: AbortSource = AbortSource.SERVICE_USER
    reason: AbortReason = AbortReason.NOT_SPECIFIED
    by_peer: bool = field(default=False, compare=False)
    detail: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The last event: write what `data_to_send` still holds, then close the transport connection.

    `by_peer` tells that the peer closed it already.
    """

    by_peer: bool = False


class NeedData(Enum):
    """Type of the sentinel `NEED_DATA`."""

    NEED_DATA = "need data"


NEED_DATA: Final = NeedData.NEED_DATA
"""No event is waiting: feed the core with `receive_data`, `receive_eof` or `handle_deadline`."""

Primitive: TypeAlias = (
    AssociateRequest | AssociateAccept | AssociateReject | PData | ReleaseRequest | ReleaseResponse | Abort
)
Event: TypeAlias = Primitive | ConnectionClosed
