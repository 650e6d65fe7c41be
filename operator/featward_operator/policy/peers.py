"""Who calls, from the headers that our own Listener sets after it has dropped the caller's.

Only the Listener reaches the socket that the service listens on, so they are as good as the handshake.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from featward.identity.spiffe import SpiffeId
from featward_operator.policy.refusals import not_permitted

__all__ = ["Peer", "peer_of"]

_PREFIX = "featward-peer-"


@dataclass(frozen=True, slots=True)
class Peer:
    """A workload of one of our environments, by its SVID."""

    identity: SpiffeId
    serial: str

    @property
    def service_account(self) -> tuple[str, str] | None:
        """Namespace and name of a service account; None for a workload outside Kubernetes."""
        match self.identity.path.split("/"):
            case ["", "bu", _, "ns", namespace, "sa", name]:
                return namespace, name
        return None


def peer_of(metadata: Iterable[tuple[str, str | bytes]], trust_domains: Collection[str]) -> Peer:
    """The caller of a request with these headers. Raises RefusedError for whom there is no policy here."""
    said = {
        key.removeprefix(_PREFIX): str(value) for key, value in metadata if key.startswith(_PREFIX)
    }
    if "spiffe-id" not in said or said.get("expired") == "1":
        raise not_permitted("show an SVID that is valid: policy is sent to nobody else")
    identity = SpiffeId.parse(said["spiffe-id"])
    if identity.trust_domain not in trust_domains or (
        said.get("trust-domain") not in (None, identity.trust_domain)
    ):
        asked = said.get("trust-domain") or ", ".join(sorted(trust_domains))
        raise not_permitted(
            f"{identity} is of another environment than {asked}, and nothing of one is given to another"
        )
    if identity.business_unit is None:
        raise not_permitted(f"{identity} is no workload of a business unit, and has no policy")
    return Peer(identity, said.get("serial", "").lower())
