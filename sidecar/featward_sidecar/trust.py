"""The CA's word on whom to trust, in the words of apps. In those of the engine: `featward.identity.trust`."""

from featward.identity.trust import tainted_authorities, use_trust
from featward.identity.v1 import identity_pb2
from featward_sidecar.content import Bundle

__all__ = ["bundles", "tainted_authorities", "use_trust"]


def bundles(trust: identity_pb2.Trust) -> tuple[Bundle, list[Bundle]]:
    """Our own domain's bundle, and those of the federated ones."""
    foreign = [Bundle(each.trust_domain, tuple(each.roots)) for each in trust.foreign]
    return Bundle(trust.trust_domain, tuple(trust.roots)), foreign
