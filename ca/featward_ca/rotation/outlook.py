"""What a rotation would do from a step on, in words, for who asks before it begins."""

from collections.abc import Iterator

from featward_ca.clock import span
from featward_ca.plurals import counted
from featward_ca.rotation.gates import REFRESHES
from featward_ca.rotation.known import ROOT, Known
from featward_ca.rotation.states import Kind, Step, steps_from
from featward_ca.rotation.timing import Terms


def outlook(
    owner: str, kind: Kind, step: Step, before: str, known: Known, terms: Terms
) -> tuple[str, ...]:
    """The steps that are left, in their order; `before`: the authority that is replaced."""
    left = steps_from(kind, step)
    return tuple(text for one in left for text in _said(one, left, owner, before, known, terms))


def _said(
    step: Step, left: tuple[Step, ...], owner: str, before: str, known: Known, terms: Terms
) -> Iterator[str]:
    match step:
        case Step.REQUEST:
            yield f"make a key for {owner}"
        case Step.PREPARE:
            yield f"{_certified(owner, known)}, and announce it"
        case Step.ACTIVATE:
            yield (
                f"sign with it when everybody has acknowledged it ({counted(known.clients, 'client')})"
            )
            if owner == ROOT:
                yield f"give {', '.join(terms.prefixes)} authorities under it, in the same way"
        case Step.TAINT:
            yield f"have all that {before} signed renewed"
        case Step.REVOKE:
            peers = span(REFRESHES * known.refresh_hint)
            late = (
                f", {peers} after the new root began to sign at the earliest"
                if owner == ROOT
                else ""
            )
            yield f"revoke {before} when nobody uses what it signed{late}"


def _certified(owner: str, known: Known) -> str:
    root = known.active(ROOT)
    if owner != ROOT and root is not None and not root.has_key:
        return "wait for the offline root to certify it (featward ca ceremony)"
    return "certify it"
