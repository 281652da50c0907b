"""Hypothesis strategies for upper layer primitives that can be written and read back."""

from __future__ import annotations

from hypothesis import strategies as st

from hilum.kernel import limits
from hilum.ul.primitives import (
    Abort,
    AbortReason,
    AbortSource,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsyncOperationsWindow,
    CommonExtendedNegotiation,
    ContextAnswer,
    ContextResult,
    ExtendedNegotiation,
    PData,
    PresentationDataValue,
    Primitive,
    ProposedContext,
    RejectReason,
    RejectResult,
    ReleaseRequest,
    ReleaseResponse,
    RoleSelection,
    UserIdentity,
    UserIdentityType,
    UserInformation,
)

uids = st.text("0123456789.", min_size=1, max_size=64)
printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\")
ae_titles = st.text(printable, min_size=1, max_size=16).map(str.strip).filter(bool)
version_names = st.text(printable, min_size=1, max_size=16).map(str.strip).filter(bool)
context_ids = st.integers(0, 127).map(lambda n: 2 * n + 1)
u16 = st.integers(0, 0xFFFF)

windows = st.builds(AsyncOperationsWindow, u16, u16)
roles = st.builds(RoleSelection, uids, st.booleans(), st.booleans())
extended = st.builds(ExtendedNegotiation, uids, st.binary(max_size=40))
common = st.builds(CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=3).map(tuple))
identities = st.builds(
    UserIdentity, st.sampled_from(UserIdentityType), st.binary(max_size=200), st.binary(max_size=40), st.booleans()
)
user_informations = st.builds(
    UserInformation,
    max_pdu_length=st.one_of(st.just(0), st.integers(limits.MIN_PEER_PDU_LENGTH_BYTES, 0xFFFFFFFF)),
    implementation_class_uid=uids,
    implementation_version_name=st.none() | version_names,
    async_operations_window=st.none() | windows,
    role_selections=st.lists(roles, max_size=3).map(tuple),
    extended_negotiations=st.lists(extended, max_size=3).map(tuple),
    common_extended_negotiations=st.lists(common, max_size=2).map(tuple),
    user_identity=st.none() | identities,
    user_identity_response=st.none() | st.binary(max_size=40),
)
proposed_contexts = st.builds(ProposedContext, context_ids, uids, st.lists(uids, max_size=4).map(tuple))
context_answers = st.one_of(
    st.builds(ContextAnswer, context_ids, st.just(ContextResult.ACCEPTANCE), uids),
    st.builds(ContextAnswer, context_ids, st.sampled_from(list(ContextResult)[1:])),
)


def _by_id(contexts: st.SearchStrategy[ProposedContext] | st.SearchStrategy[ContextAnswer]) -> st.SearchStrategy:  # type: ignore[type-arg]
    return st.lists(contexts, min_size=1, max_size=5, unique_by=lambda context: context.context_id).map(tuple)


requests = st.builds(AssociateRequest, ae_titles, ae_titles, uids, _by_id(proposed_contexts), user_informations)
accepts = st.builds(AssociateAccept, ae_titles, ae_titles, uids, _by_id(context_answers), user_informations)
rejects = st.builds(AssociateReject, st.sampled_from(RejectResult), st.sampled_from(RejectReason))
pdvs = st.builds(PresentationDataValue, context_ids, st.booleans(), st.booleans(), st.binary(min_size=1, max_size=300))
p_datas = st.builds(PData, st.lists(pdvs, min_size=1, max_size=4).map(tuple))
aborts = st.one_of(
    st.just(Abort()), st.builds(Abort, st.just(AbortSource.SERVICE_PROVIDER), st.sampled_from(AbortReason))
)
primitives: st.SearchStrategy[Primitive] = st.one_of(
    requests, accepts, rejects, p_datas, aborts, st.just(ReleaseRequest()), st.just(ReleaseResponse())
)
