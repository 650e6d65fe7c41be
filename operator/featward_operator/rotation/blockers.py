"""What a step waits for, in sentences: clients by the pods that they are, as far as that is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward_operator.conditions import moment

if TYPE_CHECKING:
    from featward.authority.v1 import authority_pb2

__all__ = ["MOST", "Pods", "sentences"]

MOST = 16
"""As many as a status holds."""
_LONGEST = 256
_OPERATOR = "/featward/operator"

Pods: TypeAlias = Callable[[str, str], int]
"""How many pods run as this service account (namespace, name) in this cluster."""


def sentences(rotation: authority_pb2.Rotation, pods: Pods, clusters: int) -> list[str]:
    """One for each thing that the step waits for, the last of them for those that are left out.

    ``clusters``: how many the environment has; in another one than ours pods can't be seen.
    """
    # Who is away comes first: those who are connected are seldom behind for long.
    first = sorted(rotation.blockers, key=lambda one: one.client.connected)
    told = [_sentence(one, pods, clusters)[:_LONGEST] for one in first]
    more = len(told) + rotation.blockers_left_out - MOST
    if more > 0:
        told = [*told[: MOST - 1], f"and {more + 1} more: featward ca authority list"]
    return told


def _sentence(one: authority_pb2.Blocker, pods: Pods, clusters: int) -> str:
    if not one.HasField("client"):
        return one.text
    client, account = one.client, _service_account(one.client.spiffe_id)
    called = client.spiffe_id
    if account is not None:
        called = f"a pod of {'/'.join(account)}"
    elif called.endswith(_OPERATOR):
        called = "a replica of the operator"
    if client.connected:
        return f"{called}, connected and behind"
    ends = f"its SVID ends at {moment(client.not_after)}"
    if account is None:
        return f"{called}, not connected; {ends}"
    if running := pods(*account):
        return f"{called} that is gone or does not reach the CA ({running} run); {ends}"
    which = "gone, or of another cluster and away" if clusters > 1 else "gone"
    return f"{called} that is {which}; {ends}"


def _service_account(spiffe_id: str) -> tuple[str, str] | None:
    try:
        SpiffeId.parse(spiffe_id)
    except SpiffeIdError:
        return None
    match spiffe_id.removeprefix("spiffe://").split("/")[1:]:
        case ["bu", _, "ns", namespace, "sa", name]:
            return namespace, name
    return None
