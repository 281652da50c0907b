"""Which presentation contexts instances need, and which associations carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hilum.kernel.limits import MAX_PRESENTATION_CONTEXTS
from hilum.ul.primitives import ProposedContext


@dataclass(frozen=True, slots=True)
class InstanceKind:
    """What instances have in common that can go over the same contexts.

    `transfer_syntaxes` are those they can be sent in, best first.
    """

    sop_class_uid: str
    transfer_syntaxes: tuple[str, ...]


def plan_contexts(kinds: Sequence[InstanceKind]) -> list[dict[InstanceKind, tuple[ProposedContext, ...]]]:
    """Return the presentation contexts for instances of these kinds, one mapping for each association needed.

    Each SOP class and transfer syntax has a context of its own, so that the acceptor says of every one whether it takes
    it; the contexts of a kind stand in its order. An association holds 128 contexts at most; their ids are odd.

    Reference: PS3.8 §9.3.2.2, PS3.4 §B.3
    """
    plans: list[dict[InstanceKind, tuple[ProposedContext, ...]]] = []
    contexts: dict[tuple[str, str], ProposedContext] = {}
    # Kinds of one SOP class stand together, since they share the contexts they can fall back on.
    for kind in sorted(dict.fromkeys(kinds), key=lambda kind: kind.sop_class_uid):
        pairs = [(kind.sop_class_uid, syntax) for syntax in kind.transfer_syntaxes[:MAX_PRESENTATION_CONTEXTS]]
        added = sum(pair not in contexts for pair in pairs)
        if not plans or len(contexts) + added > MAX_PRESENTATION_CONTEXTS:
            plans.append({})
            contexts = {}
        for sop_class_uid, syntax in pairs:
            if (sop_class_uid, syntax) not in contexts:
                proposed = ProposedContext(2 * len(contexts) + 1, sop_class_uid, (syntax,))
                contexts[sop_class_uid, syntax] = proposed
        plans[-1][kind] = tuple(contexts[pair] for pair in pairs)
    return plans
