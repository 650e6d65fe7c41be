"""The names by which people call identities, feature sets and features on a command line, and what they may
have meant by one that is not declared.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from featward.errors import FeatwardError
from featward.identity.called import Called
from featward.identity.spiffe import SpiffeId
from featward.manifests.catalogue import Binding, Catalogue, Set

__all__ = [
    "binding_called",
    "feature_set_called",
    "identity_called",
    "nearest_features",
    "require_features",
    "require_service",
    "short_name",
]


def identity_called(catalogue: Catalogue, name: str) -> SpiffeId:
    """The identity of a full SPIFFE ID, of `prod.payments/pricing-api` or of `namespace/service-account`.

    Raises FeatwardError when it is none of them, or not declared.
    """
    called = Called.parse(name)
    if called.spiffe_id is not None:
        return called.spiffe_id
    if called.is_workload:
        identity = catalogue.workload(called.owner, called.name)
    else:
        identity = catalogue.service_account(called.owner, called.name)
    if identity is None:
        raise FeatwardError(
            f"{name!r} names no identity: give a SPIFFE ID, a declared workload as "
            "<environment>.<unit>/<name>, or a service account as <namespace>/<name> of a declared namespace"
        )
    return identity


def binding_called(catalogue: Catalogue, name: str) -> Binding:
    """The binding of `namespace/name`. Raises FeatwardError when there is none."""
    namespace, _, own = name.partition("/")
    binding = catalogue.bindings.get((namespace, own))
    if binding is None:
        known = sorted(one.name for one in catalogue.bindings.values())
        close = get_close_matches(name, [*known, *(one.partition("/")[2] for one in known)], n=1)
        remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(known) or 'none'}"
        raise FeatwardError(f"binding {name!r} is not declared as <namespace>/<name>: {remedy}")
    return binding


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


def require_features(catalogue: Catalogue, sets: Sequence[Set], names: Iterable[str]) -> None:
    """Raises FeatwardError when one of the names is no feature of these sets."""
    listed = {feature for one in sets for feature in catalogue.listing_of(one).features}
    unknown = [name for name in names if name not in listed]
    if unknown:
        raise FeatwardError("; ".join(_no_feature(catalogue, sets, name) for name in unknown))


def require_service(catalogue: Catalogue, sets: Sequence[Set], name: str) -> None:
    """Raises FeatwardError when the name is no service of these sets."""
    services = {service for one in sets for service in catalogue.listing_of(one).services}
    if name not in services:
        close = get_close_matches(name, sorted(services), n=1)
        remedy = f"did you mean {close[0]}?" if close else _see(sets)
        raise FeatwardError(f"there is no service {name!r} in {_names(sets)}: {remedy}")


def nearest_features(name: str, features: Iterable[str]) -> list[str]:
    """The feature that was probably meant, if any: of the same view where it has that view, by its column."""
    view, colon, column = name.partition(":")
    if not colon:
        # A column without its view.
        view, column = "", name
    # A whole view in common makes any two of its columns look alike, so columns are compared alone.
    columns = {
        one.partition(":")[2]: one for one in features if one.startswith(f"{view}:") or not colon
    }
    if columns or not colon:
        near = get_close_matches(column, columns, n=1)
        return [columns[one] for one in near]
    return get_close_matches(name, list(features), n=1)


def short_name(environment: str, identity: str) -> str:
    """The short form of an identity of this environment, the identity itself where there is none."""
    match identity.removeprefix("spiffe://").split("/")[1:]:
        case ["bu", unit, "svc", name]:
            return f"{environment}.{unit}/{name}"
        case ["bu", _, "ns", namespace, "sa", name]:
            return f"{namespace}/{name}"
        case _:
            return identity


def _no_feature(catalogue: Catalogue, sets: Sequence[Set], name: str) -> str:
    elsewhere = [
        one.name
        for one in catalogue.feature_sets.values()
        if name in catalogue.listing_of(one).features
    ]
    if elsewhere:
        return f"feature {name!r} is not in {_names(sets)}: give --feature-set {elsewhere[0]}"
    near = nearest_features(name, [f for one in sets for f in catalogue.listing_of(one).features])
    remedy = f"did you mean {near[0]}?" if near else _see(sets)
    return f"there is no feature {name!r} in {_names(sets)}: {remedy}"


def _names(sets: Sequence[Set]) -> str:
    return ", ".join(one.name for one in sets) or "any feature set"


def _see(sets: Sequence[Set]) -> str:
    files = dict.fromkeys(one.source.name for one in sets)
    return f"see what {', '.join(files)} lists" if files else "no feature set is declared"
