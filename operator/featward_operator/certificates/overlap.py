"""What is to be done about the webhook's authority now: one step at a time, from what is stored and published.

A new authority is made when two thirds of the old one's life are over, announced beside it in the caBundle,
used when it has been seen there for a while, and the old one is forgotten when no leaf of it can be left. Each
step is stored before the next, so that any replica goes on from where another was killed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from featward_operator.certificates.authority import Authority, Kept, pem_blocks

__all__ = ["Lives", "Publish", "Step", "Store", "Wait", "plan"]


@dataclass(frozen=True, slots=True)
class Lives:
    """How long things last, in seconds."""

    authority: float = 365 * 86400.0
    leaf: float = 86400.0
    announced: float = 60.0
    """How long a new authority is in the caBundle before it signs: API servers watch, and several may lag."""


@dataclass(frozen=True, slots=True)
class Store:
    """Write this into the Secret."""

    kept: Kept
    what: Literal["made", "announced", "not announced", "used", "forgotten"]


@dataclass(frozen=True, slots=True)
class Publish:
    """Write this into the caBundle."""

    bundle: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing, until this moment (Unix seconds) or until something has changed."""

    until: float


Step = Store | Publish | Wait


def plan(
    kept: Kept | None,
    published: bytes | None,
    now: float,
    lives: Lives,
    make: Callable[[], Authority],
) -> Step:
    """The next step. ``published`` is the caBundle as read back just now, None without a configuration."""
    if kept is None or now >= kept.current.not_after:
        # Nobody trusts an authority that has ended: there is nothing to overlap with.
        return Store(Kept(make()), "made")
    if published is not None and pem_blocks(published) != pem_blocks(kept.bundle):
        return _republish(kept, published)
    if kept.next is not None:
        return _announced(kept, kept.next, published, now, lives)
    if kept.previous is not None:
        done = kept.since + 2 * lives.leaf
        return (
            Store(replace(kept, previous=None, since=0.0), "forgotten")
            if now >= done
            else Wait(done)
        )
    due = _due(kept.current)
    return Store(replace(kept, next=make(), since=0.0), "made") if now >= due else Wait(due)


def _republish(kept: Kept, published: bytes) -> Step:
    """The time for which the next one has been known is counted anew when somebody has taken it out."""
    seen = kept.next is not None and pem_blocks(kept.next.certificate) <= pem_blocks(published)
    if kept.next is not None and kept.since and not seen:
        return Store(replace(kept, since=0.0), "not announced")
    return Publish(kept.bundle)


def _announced(
    kept: Kept, following: Authority, published: bytes | None, now: float, lives: Lives
) -> Step:
    if published is None:
        return Wait(now + lives.announced)
    if not kept.since:
        return Store(replace(kept, since=now), "announced")
    ready = kept.since + lives.announced
    if now < ready:
        return Wait(ready)
    return Store(Kept(following, previous=kept.current.certificate, since=now), "used")


def _due(authority: Authority) -> float:
    return authority.not_before + (authority.not_after - authority.not_before) * 2 / 3
