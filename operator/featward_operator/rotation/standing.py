"""How the authorities of an environment stand, as its CA tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featward.authority.v1 import authority_pb2

__all__ = ["Standing", "standing_of"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One owner's: the authority that signs, and the rotation under way. Times are Unix seconds."""

    id: str
    generation: int
    not_after: float
    replace_at: float
    """When the CA's schedule begins to replace it; 0: it does not, or has begun."""
    left: bool
    """Whether the authority that was replaced last is still accepted. After a rotation on schedule, which ends
    when the new one signs, it is until it expires.
    """
    rotation: authority_pb2.Rotation | None


def standing_of(owner: str, shown: authority_pb2.ShowResponse) -> Standing | None:
    """Of one owner; None where nothing signs for it."""
    mine = [one for one in shown.authorities if one.owner == owner]
    active = next((one for one in mine if one.state == "active"), None)
    if active is None:
        return None
    return Standing(
        active.id,
        active.generation,
        active.not_after,
        active.replace_at,
        any(_is_left(one, active) for one in mine),
        next((one for one in shown.rotations if one.owner == owner), None),
    )


def _is_left(one: authority_pb2.Authority, active: authority_pb2.Authority) -> bool:
    # Older ones may wait for their end since a rotation on schedule.
    return one.state == "tainted" or (
        one.state == "old" and one.generation == active.generation - 1
    )
