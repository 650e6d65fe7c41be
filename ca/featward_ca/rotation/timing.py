"""When the schedule replaces an authority, by what the manifests want."""

from collections.abc import Mapping
from dataclasses import dataclass

from featward.manifests.platform import AUTHORITY_TTLS
from featward_ca.rotation.known import ROOT, Known, KnownAuthority
from featward_ca.settings import PREPARE_AT_LEFT, Lifetimes


@dataclass(frozen=True)
class Terms:
    """What the manifests want: who has an authority (owner to path prefix), and how long all of it
    lives.
    """

    trust_domain: str
    lifetimes: Lifetimes
    prefixes: Mapping[str, str]

    def lifetime(self, owner: str) -> float:
        """How long an owner's authority lives, in seconds."""
        return self.lifetimes.root if owner == ROOT else self.lifetimes.of(owner)


def scheduled_for(known: Known, terms: Terms) -> dict[str, float]:
    """When the schedule begins to replace each authority that it has not begun to replace, by its id."""
    return {
        active.id: replace_at(active, terms.lifetimes)
        for owner in (ROOT, *terms.prefixes)
        if (active := known.active(owner)) and follows_schedule(active)
        if known.rotation_of(owner) is None
    }


def prepare_at(active: KnownAuthority) -> float:
    """When the schedule begins to replace an authority at the latest."""
    return active.not_after - (active.not_after - active.not_before) * PREPARE_AT_LEFT


def replace_at(active: KnownAuthority, lifetimes: Lifetimes) -> float:
    """When the schedule begins to replace it: as often as the manifests ask, but never before everybody
    can have learned of it.
    """
    every = lifetimes.rotate_every.get(active.owner)
    if every is None:
        return prepare_at(active)
    made = active.not_before + lifetimes.backdate
    return min(prepare_at(active), made + max(every, AUTHORITY_TTLS * lifetimes.svid))


def follows_schedule(active: KnownAuthority) -> bool:
    """A root that another machine keeps is replaced by a ceremony, never by itself."""
    return active.owner != ROOT or active.has_key
