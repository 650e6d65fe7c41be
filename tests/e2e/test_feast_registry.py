"""featward reads Feast's registry by field numbers of its own: here they are held against real Feasts."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from featward.feast import registry_pb2
from featward.feast.catalogue import read
from featward.feast.source import open_repository
from featward_demo.feast_environment import NEWEST, OLD_CLIENT, ensure
from featward_demo.stack import Stack

# Ours by name, and the message of Feast that each is a part of.
MESSAGES = {
    "Registry": "Registry",
    "Project.Spec": "ProjectSpec",
    "Entity.Spec": "EntitySpecV2",
    "Field": "FeatureSpecV2",
    "DataSource": "DataSource",
    "DataSource.RequestData": "DataSource.RequestDataOptions",
    "FeatureView.Spec": "FeatureViewSpec",
    "StreamFeatureView.Spec": "StreamFeatureViewSpec",
    "LabelView.Spec": "LabelViewSpec",
    "OnDemandFeatureView.Spec": "OnDemandFeatureViewSpec",
    "OnDemandSource": "OnDemandSource",
    "Projection": "FeatureViewProjection",
    "FeatureService.Spec": "FeatureServiceSpec",
}
# Run by Feast's interpreter: every message of feast.core with its fields' numbers, and whether they repeat.
DESCRIBE = """
import importlib, json, pkgutil
from feast.protos.feast import core
for module in pkgutil.iter_modules(core.__path__):
    if module.name.endswith("_pb2"):
        importlib.import_module(f"feast.protos.feast.core.{module.name}")
from google.protobuf import descriptor_pool
pool, found = descriptor_pool.Default(), {}
for name in %r:
    try:
        message = pool.FindMessageTypeByName(f"feast.core.{name}")
    except KeyError:
        continue
    found[name] = {f.name: [f.number, f.cpp_type, f.is_repeated] for f in message.fields}
print(json.dumps(found))
"""
# Run by Feast's interpreter, in the repository: the columns of a service's answer.
COLUMNS = """
import json, sys
from feast import FeatureStore
store = FeatureStore(".")
service = store.get_feature_service(sys.argv[1])
rows = [{"customer_id": "c1"}]
answer = store.get_online_features(features=service, entity_rows=rows, full_feature_names=True)
print(json.dumps(list(answer.to_dict())))
"""
SHOP = Path(__file__).parents[1] / "shared" / "feast_repository"
# Enums are read as their numbers: int32 (1) where Feast has an enum (8).
INT32, ENUM = 1, 8


@cache
def described(version: str) -> dict[str, dict[str, list[int]]]:
    """The messages of a Feast release, by name; asked once, since Feast takes seconds to import."""
    command = [str(ensure(version).python), "-c", DESCRIBE % sorted(MESSAGES.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, list[int]]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("version", [NEWEST, OLD_CLIENT])
def test_field_numbers_are_those_of_feast(version: str) -> None:
    theirs = described(version)
    file = registry_pb2.DESCRIPTOR
    compared = 0
    for ours, name in MESSAGES.items():
        outer, *inner = ours.split(".")
        message = file.message_types_by_name[outer]
        for nested in inner:
            message = message.nested_types_by_name[nested]
        for field in message.fields:
            if field.name not in theirs.get(name, {}):
                continue
            number, kind, repeated = theirs[name][field.name]
            kind = INT32 if kind == ENUM else kind
            assert [field.number, field.cpp_type, field.is_repeated] == [number, kind, repeated], (
                field.full_name
            )
            compared += 1
    assert compared > 40


def test_every_message_is_known_to_the_newest_feast() -> None:
    assert set(described(NEWEST)) == set(MESSAGES.values())


def test_the_registry_of_a_real_feast_is_read_whole(stack: Stack) -> None:
    repository = open_repository(stack.feast.repository)
    catalogue = read(repository.registry, repository.project)
    assert catalogue.notes == ()
    assert {name: feature.type for name, feature in catalogue.features().items()} == {
        "conv_rate_plus:conv_plus": "double",
        "customer_profile:current_balance": "double",
        "customer_profile:lifetime_trip_count": "int64",
        "driver_hourly_stats:acc_rate": "float",
        "driver_hourly_stats:avg_daily_trips": "int64",
        "driver_hourly_stats:conv_rate": "double",
    }
    (service,) = catalogue.services
    assert service.features == ("conv_rate_plus:conv_plus", "driver_hourly_stats:conv_rate")


def test_a_registry_in_a_database_is_read_by_feast_itself(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sql")
    python = ensure(NEWEST).python
    (folder / "feature_store.yaml").write_text(
        "project: drivers\nprovider: local\nentity_key_serialization_version: 3\n"
        f"registry: {{registry_type: sql, path: 'sqlite:///{folder}/registry.db'}}\n"
        f"online_store: {{type: sqlite, path: {folder}/online.db}}\n"
    )
    for name in ("definitions.py", "data"):
        (folder / name).symlink_to(stack.feast.repository / name)
    apply = "import feast, definitions as d; feast.FeatureStore('.').apply([d.driver, d.driver_hourly_stats])"
    subprocess.run([python, "-c", apply], cwd=folder, check=True, capture_output=True)
    repository = open_repository(folder, feast_python=python)
    features = read(repository.registry, repository.project).features()
    assert features["driver_hourly_stats:conv_rate"].type == "double"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that is not the demo's, applied and filled by Feast."""
    folder = tmp_path_factory.mktemp("shop") / "repo"
    shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [str(ensure(NEWEST).python), "definitions.py"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def test_a_service_whose_columns_feast_names_after_an_alias_is_left_out(shop: Path) -> None:
    command = [str(ensure(NEWEST).python), "-c", COLUMNS, "history_v1"]
    done = subprocess.run(command, cwd=shop, check=True, capture_output=True, text=True)
    # The reason: no FeatureSet has a feature `history:vip`, and Feast refuses to be asked for one.
    assert "history__vip" in json.loads(done.stdout.splitlines()[-1])
    catalogue = read(open_repository(shop).registry, "shop")
    assert [service.name for service in catalogue.services] == ["checkout_v1", "risk_v1"]
    assert any("history_v1 is left out" in note for note in catalogue.notes)


def test_sources_that_a_service_of_an_on_demand_view_has_not_are_noted(shop: Path) -> None:
    catalogue = read(open_repository(shop).registry, "shop")
    (note,) = (note for note in catalogue.notes if " computes " in note)
    assert note.startswith("service risk_v1 computes basket_risk from order_history:orders_30d,")
