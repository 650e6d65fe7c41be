"""What `featward import feast --check` says has changed, and whom it breaks."""

from collections.abc import Callable

from featward.feast import registry_pb2 as pb
from featward.feast.catalogue import FeastCatalogue, read
from featward.feast.comparison import Declared, Grant, Kind, compare

Registry = Callable[[], pb.Registry]
PRICING = "spiffe://prod.acme.example/bu/payments/svc/pricing-api"
RISK = "spiffe://prod.acme.example/bu/risk/svc/scoring"


def declared_as(catalogue: FeastCatalogue) -> Declared:
    """Manifests that say exactly what this Feast serves."""
    return Declared(
        features={name: feature.type for name, feature in catalogue.features().items()},
        services={service.name: frozenset(service.features) for service in catalogue.services},
        keys={"driver_id": "int64", "added": "int64"},
    )


GRANTS = [
    Grant("ml/pricing", (PRICING,), services=frozenset({"activity"})),
    Grant("ml/risk", (RISK,), features=frozenset({"stats:trips"})),
]


def test_nothing_is_reported_where_nothing_changed(registry: Registry) -> None:
    catalogue = read(registry().SerializeToString())
    assert compare(declared_as(catalogue), catalogue, GRANTS) == []


def test_a_removed_feature_names_the_bindings_and_identities_that_it_breaks(
    registry: Registry,
) -> None:
    before = declared_as(read(registry().SerializeToString()))
    changed = registry()
    del changed.feature_views[0].spec.features[1]
    (change,) = compare(before, read(changed.SerializeToString()), GRANTS)
    assert (change.kind, change.name, change.drifts) == (Kind.REMOVED, "stats:trips", True)
    assert change.bindings == ("ml/risk",)
    assert change.identities == (RISK,)


def test_a_like_name_of_the_same_type_is_a_rename(registry: Registry) -> None:
    before = declared_as(read(registry().SerializeToString()))
    changed = registry()
    changed.feature_views[0].spec.features[1].name = "trips_daily"
    (change,) = compare(before, read(changed.SerializeToString()), GRANTS)
    assert (change.kind, change.name) == (Kind.RENAMED, "stats:trips")
    assert "stats:trips_daily" in change.detail


def test_a_like_name_of_another_type_is_a_removal_and_an_addition(registry: Registry) -> None:
    before = declared_as(read(registry().SerializeToString()))
    changed = registry()
    changed.feature_views[0].spec.features[1].name = "trips_daily"
    changed.feature_views[0].spec.features[1].value_type = 5
    kinds = [change.kind for change in compare(before, read(changed.SerializeToString()), GRANTS)]
    assert kinds == [Kind.ADDED, Kind.REMOVED]


def test_an_added_feature_alone_is_no_drift(registry: Registry) -> None:
    before = declared_as(read(registry().SerializeToString()))
    changed = registry()
    changed.feature_views[0].spec.features.add(name="brand_new", value_type=5)
    (change,) = compare(before, read(changed.SerializeToString()), GRANTS)
    assert (change.kind, change.drifts) == (Kind.ADDED, False)


def test_a_service_that_gains_a_feature_widens_the_grants_by_it(registry: Registry) -> None:
    before = declared_as(read(registry().SerializeToString()))
    changed = registry()
    changed.feature_services[0].spec.features[0].feature_columns.add(name="trips")
    (change,) = compare(before, read(changed.SerializeToString()), GRANTS)
    assert (change.kind, change.bindings) == (Kind.SERVICE_CHANGED, ("ml/pricing",))
    assert change.detail == "gains stats:trips"


def test_a_join_key_of_another_type_hits_whoever_may_ask_with_it(registry: Registry) -> None:
    before = declared_as(read(registry().SerializeToString()))
    changed = registry()
    changed.feature_views[0].spec.entity_columns[0].value_type = 2
    (change,) = compare(before, read(changed.SerializeToString()), GRANTS)
    assert (change.kind, change.name) == (Kind.INPUT_CHANGED, "driver_id")
    assert change.bindings == ("ml/pricing", "ml/risk")


def test_keys_of_a_view_that_no_set_has_yet_are_no_drift(registry: Registry) -> None:
    before = declared_as(read(registry().SerializeToString()))
    changed = registry()
    riders = changed.feature_views.add().spec
    riders.name, riders.project, riders.online = "riders", "drivers", True
    riders.entities.append("rider")
    riders.entity_columns.add(name="rider", value_type=2)
    riders.features.add(name="age", value_type=4)
    kinds = [change.kind for change in compare(before, read(changed.SerializeToString()), GRANTS)]
    assert kinds == [Kind.ADDED]
