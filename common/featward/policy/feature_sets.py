"""Compiles the feature sets of one serving workload: each feature and service in the set that may claim it."""

from collections.abc import Iterable, Iterator

from featward.manifests.catalogue import Catalogue, Set
from featward.manifests.feature_set import Entity
from featward.manifests.text import day_after
from featward.policy.v1 import snapshot_pb2 as v1

__all__ = ["compile_feature_sets", "each_feature_set"]


def compile_feature_sets(catalogue: Catalogue, sets: Iterable[Set]) -> list[v1.FeatureSet]:
    """The sets, by namespace then name; of those given, the first that lists a feature or a service keeps it.

    A service that lists a feature which its set has lost goes with it: the feature server would still answer
    the whole service, while only the rest of it would have been judged.
    """
    return sorted(each_feature_set(catalogue, sets), key=lambda one: (one.namespace, one.name))


def each_feature_set(catalogue: Catalogue, sets: Iterable[Set]) -> Iterator[v1.FeatureSet]:
    """The same one after another, in the order in which they are given."""
    features_taken: set[str] = set()
    services_taken: set[str] = set()
    for feature_set in sets:
        yield _feature_set(catalogue, feature_set, features_taken, services_taken)
        features_taken |= {feature.name for feature in feature_set.model.spec.features}
        services_taken |= {service.name for service in feature_set.model.spec.services}


def _feature_set(
    catalogue: Catalogue, feature_set: Set, features_taken: set[str], services_taken: set[str]
) -> v1.FeatureSet:
    metadata, spec = feature_set.model.metadata, feature_set.model.spec
    unidentified = spec.enforcement.unidentified
    passes = unidentified.allow and unidentified.until is not None
    return v1.FeatureSet(
        namespace=metadata.namespace,
        name=metadata.name,
        version=spec.version,
        business_unit=catalogue.business_unit_of(metadata.namespace) or "",
        owner_team=spec.owner.team,
        owner_contact=spec.owner.contact,
        mode=_MODES[spec.enforcement.mode],
        unidentified_allow=passes,
        unidentified_until=day_after(unidentified.until) if passes and unidentified.until else 0,
        endpoints=_endpoints(feature_set),
        upstream_auth=_UPSTREAM_AUTH[spec.serving.upstream_auth],
        entities=_columns(spec.entities),
        request_inputs=_columns(spec.request_inputs),
        features=_features(feature_set, features_taken),
        services=_services(feature_set, features_taken, services_taken),
    )


def _endpoints(feature_set: Set) -> list[v1.Endpoint]:
    serving = feature_set.model.spec.serving
    upstreams = ((one.adapter, *serving.upstream_of(one)) for one in serving.endpoints)
    return [
        v1.Endpoint(adapter=adapter, host=host, port=port)
        for adapter, host, port in sorted(upstreams)
    ]


def _columns(columns: Iterable[Entity]) -> list[v1.Column]:
    return [
        v1.Column(name=column.name, type=_TYPES[column.type])
        for column in sorted(columns, key=lambda column: column.name)
    ]


def _features(feature_set: Set, taken: set[str]) -> list[v1.Feature]:
    return [
        v1.Feature(
            name=feature.name,
            type=_TYPES[feature.type],
            sensitivity=feature.sensitivity,
            cost=feature.cost,
            lineage=feature.lineage or "",
        )
        for feature in sorted(feature_set.model.spec.features, key=lambda feature: feature.name)
        if feature.name not in taken
    ]


def _services(
    feature_set: Set, features_taken: set[str], services_taken: set[str]
) -> list[v1.Service]:
    return [
        v1.Service(name=service.name, features=sorted(set(service.features)))
        for service in sorted(feature_set.model.spec.services, key=lambda service: service.name)
        if service.name not in services_taken and features_taken.isdisjoint(service.features)
    ]


_MODES = {"observe": v1.MODE_OBSERVE, "shadow": v1.MODE_SHADOW, "enforce": v1.MODE_ENFORCE}
_UPSTREAM_AUTH = {
    "none": v1.UPSTREAM_AUTH_NONE,
    "passthrough": v1.UPSTREAM_AUTH_PASSTHROUGH,
    "token": v1.UPSTREAM_AUTH_TOKEN,
}
_TYPES = {
    "int32": v1.COLUMN_TYPE_INT32,
    "int64": v1.COLUMN_TYPE_INT64,
    "float": v1.COLUMN_TYPE_FLOAT,
    "double": v1.COLUMN_TYPE_DOUBLE,
    "string": v1.COLUMN_TYPE_STRING,
    "bool": v1.COLUMN_TYPE_BOOL,
    "bytes": v1.COLUMN_TYPE_BYTES,
    "timestamp": v1.COLUMN_TYPE_TIMESTAMP,
    "other": v1.COLUMN_TYPE_OTHER,
}
