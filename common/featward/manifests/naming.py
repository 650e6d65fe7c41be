"""The short names by which people call identities and feature sets on a command line."""

from difflib import get_close_matches

from featward.errors import FeatwardError
from featward.identity.spiffe import SpiffeId
from featward.manifests.catalogue import Catalogue, Set

__all__ = ["feature_set_called", "identity_called", "short_name"]


def identity_called(catalogue: Catalogue, name: str) -> SpiffeId:
    """The identity of a full SPIFFE ID, of `prod.payments/pricing-api` or of `namespace/service-account`.

    Raises FeatwardError when it is none of them, or not declared.
    """
    if name.startswith("spiffe:"):
        return SpiffeId.parse(name)
    owner, slash, own = name.partition("/")
    # A namespace is one label, so a dot makes it a business unit.
    identity = (
        catalogue.workload(owner, own) if "." in owner else catalogue.service_account(owner, own)
    )
    if not slash or identity is None:
        raise FeatwardError(
            f"{name!r} names no identity: give a SPIFFE ID, a declared workload as "
            "<environment>.<unit>/<name>, or a service account as <namespace>/<name> of a declared namespace"
        )
    return identity


def feature_set_called(catalogue: Catalogue, name: str) -> Set:
    """The feature set of `namespace/name`, or of a name that only one has."""
    found = [
        one
        for one in catalogue.feature_sets.values()
        if name in (one.name, one.model.metadata.name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(sorted(one.name for one in found))
        raise FeatwardError(
            f"feature set {name!r} could be any of {choices}: give the namespace as well"
        )
    known = sorted(one.name for one in catalogue.feature_sets.values())
    close = get_close_matches(name, [*known, *(one.partition("/")[2] for one in known)], n=1)
    remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(known) or 'none'}"
    raise FeatwardError(f"feature set {name!r} is not declared: {remedy}")


def short_name(environment: str, identity: str) -> str:
    """The short form of an identity of this environment, the identity itself where there is none."""
    match identity.removeprefix("spiffe://").split("/")[1:]:
        case ["bu", unit, "svc", name]:
            return f"{environment}.{unit}/{name}"
        case ["bu", _, "ns", namespace, "sa", name]:
            return f"{namespace}/{name}"
        case _:
            return identity
