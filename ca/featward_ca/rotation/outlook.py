"""What a rotation would do from a step on, and whom it would wait for, for who asks before it begins."""

from collections.abc import Iterator

from featward_ca.clock import span
from featward_ca.plurals import counted
from featward_ca.rotation.gates import REFRESHES
from featward_ca.rotation.known import ROOT, Blocker, BlockerKind, Known
from featward_ca.rotation.states import Kind, Step, steps_from
from featward_ca.rotation.timing import Terms
from featward_ca.rotation.waiting import COMPROMISE_WAIT


def outlook(
    owner: str, kind: Kind, step: Step, before: str, known: Known, terms: Terms
) -> tuple[str, ...]:
    """The steps that are left, in their order; `before`: the authority that is replaced."""
    return tuple(
        text
        for one in steps_from(kind, step)
        for text in _said(one, owner, kind, before, known, terms)
    )


def would_wait(known: Known) -> tuple[Blocker, ...]:
    """Whom a rotation that began now would wait for, because nobody reaches them."""
    return tuple(
        Blocker(
            BlockerKind.CLIENT,
            one.spiffe_id,
            f"{one.spiffe_id} is not connected and would be waited for until its SVID ends",
            one.not_after,
            one,
        )
        for one in known.clients
        if not one.connected
    )


def _said(
    step: Step, owner: str, kind: Kind, before: str, known: Known, terms: Terms
) -> Iterator[str]:
    match step:
        case Step.REQUEST:
            yield f"make a key for {owner}"
        case Step.PREPARE:
            yield f"{_certified(owner, known)}, and announce it"
        case Step.ACTIVATE:
            yield f"sign with it when {_heard(kind, known)}"
            if owner == ROOT:
                yield f"give {', '.join(terms.prefixes)} authorities under it, in the same way"
        case Step.TAINT:
            yield f"have all that {before} signed renewed"
        case Step.REVOKE:
            yield f"revoke {before} when nobody uses what it signed{_not_before(owner, known)}"


def _certified(owner: str, known: Known) -> str:
    root = known.active(ROOT)
    if owner != ROOT and root is not None and not root.has_key:
        return "wait for the offline root to certify it (featward ca ceremony)"
    return "certify it"


def _heard(kind: Kind, known: Known) -> str:
    if kind is Kind.COMPROMISE:
        wait = span(COMPROMISE_WAIT)
        return f"everybody who is connected has acknowledged it, after {wait} at the latest"
    return f"everybody has acknowledged it ({counted(known.clients, 'client')})"


def _not_before(owner: str, known: Known) -> str:
    """Federated peers acknowledge nothing."""
    if owner != ROOT:
        return ""
    peers = span(REFRESHES * known.refresh_hint)
    return f", {peers} after the new root was announced at the earliest"
