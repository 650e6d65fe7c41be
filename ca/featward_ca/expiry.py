"""Which bound sets the end of an SVID, at issuing and when somebody asks about it afterwards.

An SVID is clamped to its authority instead of refused: a workload with a shorter certificate renews
sooner, a workload with none is down. An authority that would outlive its root is refused, because
then every SVID of a week would be clamped, and nobody would see why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from featward_ca.settings import Lifetimes
from featward_ca.store.authority_rows import AuthorityRow
from featward_ca.store.svids import Cap, SvidRow


class Bound(StrEnum):
    """What can end an SVID; the first two as they are stored with it."""

    SVID_TTL = Cap.SVID_TTL
    AUTHORITY = Cap.AUTHORITY
    ROOT = "root"


@dataclass(frozen=True)
class Limit:
    """One bound: no SVID of this order may live beyond `not_after`."""

    bound: Bound
    not_after: int
    text: str


def limits(issued_at: float, lifetimes: Lifetimes, chain: Sequence[AuthorityRow]) -> list[Limit]:
    """The bounds of an SVID issued at a moment, by its authority and that one's root, as far as
    they are stored.
    """
    found = [
        Limit(
            Bound.SVID_TTL,
            int(issued_at + lifetimes.svid),
            f"svidTTL of the Environment is {lifetimes.svid:g} s, counted from issuing",
        )
    ]
    for bound, row in zip((Bound.AUTHORITY, Bound.ROOT), chain, strict=False):
        text = f"the {'root' if bound is Bound.ROOT else 'authority'} {row.id} of {row.owner} ends"
        found.append(Limit(bound, row.not_after, text))
    return found


def least(found: Sequence[Limit]) -> Limit:
    """The bound that sets the end; of equal ones the first."""
    return min(found, key=lambda limit: limit.not_after)


def as_stored(row: SvidRow, lifetimes: Lifetimes, chain: Sequence[AuthorityRow]) -> list[Limit]:
    """The bounds of an SVID that was issued before. svidTTL is not stored: where it set the end the
    end tells it, else it is today's.
    """
    found = limits(row.issued_at, lifetimes, chain)
    if row.cap is Cap.SVID_TTL:
        ttl = row.not_after - row.issued_at
        text = f"svidTTL of the Environment was {ttl} s, counted from issuing"
        return [Limit(Bound.SVID_TTL, row.not_after, text), *found[1:]]
    return found
