"""A Feast registry as bytes, built by hand from the fields that featward reads."""

from collections.abc import Callable

import pytest

from featward.feast import registry_pb2 as pb

STRING, INT64, DOUBLE = 2, 4, 5
INT64_LIST = 14


def driver_registry() -> pb.Registry:
    """One project with a stored view, an on-demand view and a service over both."""
    registry = pb.Registry(registry_schema_version="1")
    registry.projects.add().spec.name = "drivers"
    entity = registry.entities.add().spec
    entity.name, entity.join_key, entity.value_type, entity.project = (
        "driver",
        "driver_id",
        INT64,
        "drivers",
    )
    view = registry.feature_views.add().spec
    view.name, view.project, view.online = "stats", "drivers", True
    view.owner, view.tags["team"] = "ml@acme.example", "driver-ml"
    view.entities.append("driver")
    view.batch_source.name = "warehouse.stats"
    view.entity_columns.add(name="driver_id", value_type=INT64)
    view.features.add(name="rate", value_type=DOUBLE)
    view.features.add(name="trips", value_type=INT64).tags["sensitivity"] = "2"
    view.features.add(name="history", value_type=INT64_LIST)
    computed = registry.on_demand_feature_views.add().spec
    computed.name, computed.project = "plus", "drivers"
    computed.features.add(name="rate_plus", value_type=DOUBLE)
    computed.sources["stats"].feature_view_projection.feature_view_name = "stats"
    given = computed.sources["given"].request_data_source.request_data_options.schema.add()
    given.name, given.value_type = "added", INT64
    service = registry.feature_services.add().spec
    service.name, service.project = "activity", "drivers"
    service.features.add(feature_view_name="stats").feature_columns.add(name="rate")
    service.features.add(feature_view_name="plus").feature_columns.add(name="rate_plus")
    return registry


@pytest.fixture
def registry() -> Callable[[], pb.Registry]:
    """Makes a fresh registry that a test may change."""
    return driver_registry
