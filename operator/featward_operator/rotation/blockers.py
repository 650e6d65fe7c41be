"""What a step waits for, in sentences: clients by the pods that they are, as far as that is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward_operator.answers import moment

if TYPE_CHECKING:
    from featward.authority.v1 import authority_pb2

__all__ = ["MOST", "Pods", "sentences"]

MOST = 16
"""As many as a status holds."""
_LONGEST = 256

Pods: TypeAlias = Callable[[str, str], int]
"""How many pods run as this service account (namespace, name) in this cluster."""


def sentences(rotation: authority_pb2.Rotation, pods: Pods, clusters: int) -> list[str]:
    """One for each thing that the step waits for, the last of them for those that are left out.

    ``clusters``: how many the environment has; in another one than ours pods can't be seen.
    """
    told = [_sentence(one, pods, clusters)[:_LONGEST] for one in rotation.blockers]
    more = len(told) + rotation.blockers_left_out - MOST
    if more > 0:
        told = [*told[: MOST - 1], f"and {more + 1} more: featward ca authority list"]
    return told


def _sentence(one: authority_pb2.Blocker, pods: Pods, clusters: int) -> str:
    if not one.HasField("client"):
        return one.text
    client, account = one.client, _service_account(one.client.spiffe_id)
    ends = f"its SVID ends at {moment(client.not_after)}"
    if account is None:
        state = "is connected, and behind" if client.connected else f"is not connected; {ends}"
        return f"{client.spiffe_id} {state}"
    called = "/".join(account)
    if client.connected:
        return f"a pod of {called} is connected, and behind"
    running = pods(*account)
    if running:
        which = "is gone, or does not reach the CA"
        return f"a pod of {called} {which} ({running} run); {ends}"
    if clusters > 1:
        return f"a pod of {called} is gone, or of another cluster and away; {ends}"
    return f"a pod of {called} is gone; {ends}"


def _service_account(spiffe_id: str) -> tuple[str, str] | None:
    try:
        SpiffeId.parse(spiffe_id)
    except SpiffeIdError:
        return None
    match spiffe_id.removeprefix("spiffe://").split("/")[1:]:
        case ["bu", _, "ns", namespace, "sa", name]:
            return namespace, name
    return None
