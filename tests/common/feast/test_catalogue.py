"""What featward reads out of a Feast registry."""

from collections.abc import Callable

import pytest

from featward.feast import registry_pb2 as pb
from featward.feast.catalogue import Column, read
from featward.feast.errors import RegistryUnreadableError

Registry = Callable[[], pb.Registry]


def test_features_have_full_names_types_and_sources(registry: Registry) -> None:
    features = read(registry().SerializeToString()).features()
    assert {name: (f.type, f.lineage) for name, f in features.items()} == {
        "stats:rate": ("double", "warehouse.stats"),
        "stats:trips": ("int64", "warehouse.stats"),
        "stats:history": ("other", "warehouse.stats"),
        "plus:rate_plus": ("double", "stats"),
    }


def test_an_on_demand_view_needs_its_inputs_and_the_join_keys_of_its_sources(
    registry: Registry,
) -> None:
    plus = next(v for v in read(registry().SerializeToString()).views if v.name == "plus")
    assert plus.inputs == (Column("added", "int64"),)
    assert plus.entities == (Column("driver_id", "int64"),)


def test_a_service_is_expanded_to_its_features(registry: Registry) -> None:
    (service,) = read(registry().SerializeToString()).services
    assert service.features == ("plus:rate_plus", "stats:rate")


def test_a_service_asks_for_a_mapped_join_key_by_its_new_name(registry: Registry) -> None:
    changed = registry()
    changed.feature_services[0].spec.features[0].join_key_map["driver_id"] = "origin_id"
    (service,) = read(changed.SerializeToString()).services
    assert Column("origin_id", "int64") in service.entities


def test_a_service_that_renames_a_view_is_left_out_with_a_note_of_what_to_do(
    registry: Registry,
) -> None:
    changed = registry()
    changed.feature_services[0].spec.features[0].feature_view_name_alias = "old"
    catalogue = read(changed.SerializeToString())
    (note,) = catalogue.notes
    assert "service activity is left out: it calls view stats old" in note
    assert "take with_name out" in note
    assert catalogue.services == ()


def test_sources_of_an_on_demand_view_that_its_service_has_not_are_noted(
    registry: Registry,
) -> None:
    changed = registry()
    computed = changed.on_demand_feature_views[0].spec
    source = computed.sources["stats"].feature_view_projection
    source.feature_columns.add(name="rate")
    assert read(changed.SerializeToString()).notes == ()
    source.feature_columns.add(name="trips")
    catalogue = read(changed.SerializeToString())
    (note,) = catalogue.notes
    assert note.startswith("service activity computes plus from stats:trips, which")
    assert len(catalogue.services) == 1
    # Such a view is computed when it is written: nobody reads its sources.
    computed.write_to_online_store = True
    assert read(changed.SerializeToString()).notes == ()


def test_an_alias_that_is_the_name_of_the_view_renames_nothing(registry: Registry) -> None:
    changed = registry()
    changed.feature_services[0].spec.features[0].feature_view_name_alias = "stats"
    catalogue = read(changed.SerializeToString())
    assert catalogue.notes == ()
    assert len(catalogue.services) == 1


def test_a_view_that_is_not_online_is_left_out_with_its_services_and_a_note(
    registry: Registry,
) -> None:
    changed = registry()
    changed.feature_views[0].spec.online = False
    catalogue = read(changed.SerializeToString())
    assert [view.name for view in catalogue.views] == ["plus"]
    assert catalogue.services == ()
    assert len(catalogue.notes) == 2


def test_only_the_named_project_of_several_is_read(registry: Registry) -> None:
    changed = registry()
    changed.projects.add().spec.name = "riders"
    with pytest.raises(RegistryUnreadableError, match="--project"):
        read(changed.SerializeToString())
    assert read(changed.SerializeToString(), "riders").views == ()


def test_a_key_that_is_no_scalar_is_refused(registry: Registry) -> None:
    changed = registry()
    changed.feature_views[0].spec.entity_columns[0].value_type = 14
    with pytest.raises(RegistryUnreadableError, match="driver_id"):
        read(changed.SerializeToString())


@pytest.mark.parametrize("content", [b"", b"not a registry", b"\x0a\x01"])
def test_a_file_that_is_no_registry_is_refused(content: bytes) -> None:
    with pytest.raises(RegistryUnreadableError):
        read(content)
