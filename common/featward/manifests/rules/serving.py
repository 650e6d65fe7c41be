"""Rules on feature sets: what they list is consistent, and the sets of one serving workload go together."""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Address, ip_address

from featward.manifests.catalogue import Catalogue, Set
from featward.manifests.feature_set import Serving
from featward.manifests.findings import Finding
from featward.manifests.rules.references import undeclared_namespace, unknown
from featward.manifests.text import day_after
from featward.strictyaml import Path

__all__ = ["observed_until", "served_together", "serving"]


def serving(catalogue: Catalogue, feature_set: Set, now: int) -> Iterator[Finding]:
    """One feature set by itself."""
    yield from _placed(catalogue, feature_set)
    yield from _lists(catalogue, feature_set)
    yield from _mode(catalogue, feature_set, now)
    yield from _reachable(catalogue, feature_set)
    yield from _in_clear(feature_set)


def served_together(sets: Sequence[Set]) -> Iterator[Finding]:
    """The sets of one serving workload, the older first."""
    yield from _claims(sets)
    yield from _columns(sets)
    yield from _answer_names(sets)
    yield from _endpoints(sets)


def observed_until(catalogue: Catalogue, feature_set: Set) -> int | None:
    """Until when (Unix seconds, exclusive) a set may be in observe; None where it may for ever, or is not.
    It is the one thing by which a set goes bad with time.
    """
    if feature_set.model.spec.enforcement.mode != "observe":
        return None
    last = _enforce_by(catalogue, feature_set)
    return day_after(last) if last else None


def _enforce_by(catalogue: Catalogue, feature_set: Set) -> str | None:
    business_unit = catalogue.business_unit_of(feature_set.model.metadata.namespace)
    environment = catalogue.environment_of(business_unit) if business_unit else None
    return environment.model.spec.enforce_by if environment else None


def _placed(catalogue: Catalogue, feature_set: Set) -> Iterator[Finding]:
    namespace = feature_set.model.metadata.namespace
    yield from undeclared_namespace(catalogue, feature_set, ("metadata", "namespace"), namespace)
    name = feature_set.model.spec.serving.workload_name
    business_unit = catalogue.business_unit_of(namespace)
    if (
        name is not None
        and business_unit is not None
        and (business_unit, name) not in catalogue.workloads
    ):
        known = [workload for unit, workload in catalogue.workloads if unit == business_unit]
        yield from unknown(
            catalogue, feature_set, ("spec", "serving", "workload", "name"), "workload", name, known
        )


def _lists(catalogue: Catalogue, feature_set: Set) -> Iterator[Finding]:
    """Names given once in each list, and services of features that exist."""
    spec = feature_set.model.spec
    yield from _twice(
        feature_set, ("spec", "features"), [feature.name for feature in spec.features]
    )
    yield from _twice(
        feature_set, ("spec", "services"), [service.name for service in spec.services]
    )
    yield from _twice(feature_set, ("spec", "entities"), [entity.name for entity in spec.entities])
    yield from _twice(
        feature_set, ("spec", "requestInputs"), [entity.name for entity in spec.request_inputs]
    )
    features = {feature.name for feature in spec.features}
    for index, service in enumerate(spec.services):
        for position, name in enumerate(service.features):
            if name not in features:
                path = ("spec", "services", index, "features", position)
                yield from unknown(catalogue, feature_set, path, "feature", name, features)


def _twice(feature_set: Set, path: Path, names: list[str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            message = f"{name} is listed a second time"
            yield feature_set.finding("duplicate-name", (*path, index, "name"), message, "keep one")
        seen.add(name)


def _mode(catalogue: Catalogue, feature_set: Set, now: int) -> Iterator[Finding]:
    enforcement = feature_set.model.spec.enforcement
    if enforcement.mode == "enforce" and enforcement.unidentified.allow:
        message = "callers without identity are allowed, but mode enforce refuses them"
        path: Path = ("spec", "enforcement", "unidentified", "allow")
        yield feature_set.finding(
            "unidentified-in-enforce", path, message, "remove unidentified, or use shadow"
        )
    until = observed_until(catalogue, feature_set)
    if until is not None and now >= until:
        last = _enforce_by(catalogue, feature_set)
        message = f"the set is in observe, which its environment allows until {last}"
        path = ("spec", "enforcement", "mode")
        yield feature_set.finding(
            "observe-after-enforce-by", path, message, "use shadow or enforce"
        )


def _reachable(catalogue: Catalogue, feature_set: Set) -> Iterator[Finding]:
    """On Kubernetes the operator knows the address, so only sets served elsewhere need one."""
    model = feature_set.model
    serving = model.spec.serving
    granted = (model.metadata.namespace, model.metadata.name) in catalogue.bindings_of
    if granted and serving.address is None and serving.workload_name is not None:
        message = f"clients of {feature_set.name} are not told where its sidecar listens"
        remedy = "add address: host:port"
        yield feature_set.finding("address-missing", ("spec", "serving"), message, remedy)
    yield from _gateway(feature_set)


def _in_clear(feature_set: Set) -> Iterator[Finding]:
    """The way to the feature server is plain HTTP, so a token may not leave the machine on it."""
    serving = feature_set.model.spec.serving
    if serving.upstream_auth == "none":
        return
    for index, endpoint in enumerate(serving.endpoints):
        host, _ = serving.upstream_of(endpoint)
        if not _is_loopback(host):
            message = (
                f"upstreamAuth: {serving.upstream_auth} would send tokens unencrypted to"
                f" {host}, where only loopback (127.0.0.1, ::1 or localhost) is safe"
            )
            path: Path = ("spec", "serving", "endpoints", index, "host")
            if serving.gateway is not None:
                path = _UPSTREAM
            remedy = "run the sidecar beside the feature server, or set upstreamAuth: none"
            yield feature_set.finding("token-in-clear", path, message, remedy)


def _gateway(feature_set: Set) -> Iterator[Finding]:
    serving = feature_set.model.spec.serving
    host = serving.gateway.upstream.rpartition(":")[0] if serving.gateway is not None else ""
    if host and _is_loopback(host):
        message = f"the upstream {host} is the gateway's own pod, in which no feature server runs"
        remedy = "name the feature server's Service, as <service>.<namespace>.svc:<port>"
        yield feature_set.finding("gateway-endpoint", _UPSTREAM, message, remedy)


def _is_loopback(host: str) -> bool:
    """Names are not resolved: what they mean on the sidecar's machine is not known here."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _claims(sets: Sequence[Set]) -> Iterator[Finding]:
    """The first of them, which is the older, keeps what two of them list."""
    features = [[one.name for one in feature_set.model.spec.features] for feature_set in sets]
    services = [[one.name for one in feature_set.model.spec.services] for feature_set in sets]
    yield from _second_claims(sets, "feature", features)
    yield from _second_claims(sets, "service", services)


def _second_claims(sets: Sequence[Set], what: str, names: list[list[str]]) -> Iterator[Finding]:
    owners: dict[str, Set] = {}
    for feature_set, listed in zip(sets, names, strict=True):
        for index, name in enumerate(listed):
            owner = owners.setdefault(name, feature_set)
            if owner is not feature_set:
                message = f"{what} {name} belongs to {owner.name}, which the same workload serves"
                path = ("spec", f"{what}s", index, "name")
                remedy = "list it in one of the two sets"
                yield feature_set.finding(f"{what}-claimed-twice", path, message, remedy)


def _columns(sets: Iterable[Set]) -> Iterator[Finding]:
    """A name has one type, whichever of the sets asks for it."""
    types: dict[str, tuple[str, Set]] = {}
    for feature_set in sets:
        spec = feature_set.model.spec
        for group, columns in (("entities", spec.entities), ("requestInputs", spec.request_inputs)):
            for index, column in enumerate(columns):
                known, owner = types.setdefault(column.name, (column.type, feature_set))
                if known != column.type:
                    message = f"{column.name} is {column.type} here and {known} in {owner.name}"
                    path = ("spec", group, index, "type")
                    yield feature_set.finding(
                        "column-type-conflict", path, message, "use one type for one name"
                    )


def _answer_names(sets: Iterable[Set]) -> Iterator[Finding]:
    """Columns that one answer might hold under one name.

    A feature is called `column` or, with full feature names, `view__column`. Two views may well have a column
    of one name: asked for together under their short names, Feast itself refuses them. What nobody refuses
    are two equal full names, and a feature that is called like an entity.
    """
    columns: dict[str, str] = {}
    for feature_set in sets:
        spec = feature_set.model.spec
        columns |= {column.name: "an entity" for column in (*spec.entities, *spec.request_inputs)}
    full_names: dict[str, str] = {}
    for feature_set in sets:
        for index, feature in enumerate(feature_set.model.spec.features):
            view, _, column = feature.name.partition(":")
            full = f"{view}__{column}"
            clash = next((columns[name] for name in (column, full) if name in columns), None)
            other = full_names.setdefault(full, feature.name)
            if clash is None and other != feature.name:
                clash = other
            if clash is not None:
                message = f"{feature.name} and {clash} would have one name in an answer"
                path = ("spec", "features", index, "name")
                remedy = "rename one in the feature server, or leave it out"
                yield feature_set.finding("answer-name-collision", path, message, remedy)


def _endpoints(sets: Iterable[Set]) -> Iterator[Finding]:
    """One sidecar has one feature server behind it, and one way to log in to it."""
    first: Set | None = None
    for feature_set in sets:
        first = first or feature_set
        ours, theirs = feature_set.model.spec.serving, first.model.spec.serving
        for key, same in (
            ("endpoints", _upstreams(ours) == _upstreams(theirs)),
            ("upstreamAuth", ours.upstream_auth == theirs.upstream_auth),
        ):
            if not same:
                message = f"{key} differs from {first.name}'s, which the same workload serves"
                path = ("spec", "serving", key)
                yield feature_set.finding("endpoint-conflict", path, message, "make them equal")


def _upstreams(serving: Serving) -> list[tuple[str, str, int]]:
    return [(one.adapter, *serving.upstream_of(one)) for one in serving.endpoints]


_UPSTREAM: Path = ("spec", "serving", "gateway", "upstream")
