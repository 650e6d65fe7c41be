"""What is made of a cluster's objects, without a server: each kind of fault costs what it says."""

from typing import Any

import pytest

from featward_ca.cluster.names import ObjectName
from featward_ca.cluster.objects import Malformed, Objects, read
from featward_ca.errors import ConfigurationError
from featward_ca.settings import DAY


def raw(kind: str, name: str, spec: Any, created: int = 1) -> dict[str, Any]:
    made = f"2026-11-23T18:00:0{created}Z"
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "uid": "x", "resourceVersion": "7", "creationTimestamp": made},
        "spec": spec,
        "status": {"conditions": []},
    }


def put(objects: Objects, kind: str, name: str, spec: Any, created: int = 1) -> None:
    objects.put(kind, name, read(raw(kind, name, spec, created)))


@pytest.fixture
def objects() -> Objects:
    found = Objects("eu1", "prod")
    put(found, "Environment", "prod", {"trustDomain": "prod.acme.example"})
    put(found, "BusinessUnit", "prod.payments", {"authority": {"lifetime": "30d"}})
    put(found, "Workload", "feast", {"businessUnit": "prod.payments", "name": "feast"})
    return found


def test_good_objects_are_a_directory(objects: Objects) -> None:
    directory, problems = objects.directory()
    assert problems == []
    assert directory.business_units == {"prod.default": 7 * DAY, "prod.payments": 30 * DAY}
    assert list(directory.workloads) == ["prod.payments/feast"]
    assert (directory.default_unit, directory.namespaces) == ("prod.default", {})


def test_a_workload_that_can_not_be_read_is_as_it_was(objects: Objects) -> None:
    before, _ = objects.directory()
    put(objects, "Workload", "feast", {"businessUnit": "prod.payments", "nmae": "feast"})
    put(objects, "Workload", "new", {"businessUnit": 7, "name": "new"})
    directory, (feast, new) = objects.directory(before)
    assert directory.workloads == before.workloads
    assert feast.startswith("Workload feast: ")
    assert "nmae" in feast
    assert feast.endswith("it stays as it was")
    assert new.startswith("Workload new: ")
    # What is gone is gone, however it was written last.
    objects.put("Workload", "feast", None)
    objects.put("Workload", "new", None)
    directory, problems = objects.directory(before)
    assert (dict(directory.workloads), problems) == ({}, [])


def test_a_unit_that_can_not_be_read_keeps_its_workloads(objects: Objects) -> None:
    put(objects, "BusinessUnit", "prod.payments", {"authority": {"lifetime": "soon"}})
    directory, (problem,) = objects.directory()
    assert directory.business_units["prod.payments"] == 30 * DAY
    assert "BusinessUnit prod.payments" in problem
    started = Objects("eu1", "prod")
    put(started, "Environment", "prod", {"trustDomain": "prod.acme.example"})
    put(started, "BusinessUnit", "prod.payments", {"authority": {"lifetime": "soon"}})
    put(started, "Workload", "feast", {"businessUnit": "prod.payments", "name": "feast"})
    directory, (problem,) = started.directory()
    assert directory.business_units["prod.payments"] == 7 * DAY
    assert list(directory.workloads) == ["prod.payments/feast"]
    assert not problem.endswith("as it was")


def test_a_life_that_can_not_hold_is_the_one_of_before(objects: Objects) -> None:
    before, _ = objects.directory()
    put(objects, "BusinessUnit", "prod.payments", {"authority": {"lifetime": "5h"}})
    directory, (problem,) = objects.directory(before)
    assert directory.business_units["prod.payments"] == 30 * DAY
    assert "6h (6 x the svidTTL)" in problem
    directory, _ = objects.directory()
    assert directory.business_units["prod.payments"] == 7 * DAY


def test_of_two_workloads_of_one_name_the_older_is_there(objects: Objects) -> None:
    spec = {"businessUnit": "prod.payments", "name": "feast"}
    put(objects, "Workload", "a", spec | {"attest": {"unix": {"user": "mallory"}}}, created=5)
    directory, (problem,) = objects.directory()
    assert directory.workload("prod.payments/feast").unix_user is None
    assert problem.startswith("Workload a: Workload feast, which is older, is prod.payments/feast")


def test_an_undeclared_unit_costs_its_workloads_alone(objects: Objects) -> None:
    put(objects, "Workload", "lost", {"businessUnit": "prod.nobody", "name": "lost"})
    put(objects, "Workload", "other", {"businessUnit": "dev.payments", "name": "other"})
    directory, (problem,) = objects.directory()
    assert list(directory.workloads) == ["prod.payments/feast"]
    assert "prod.nobody is not declared" in problem


@pytest.mark.parametrize("spec", [{"trustDomain": "dev.acme.example"}, {"trustDomain": 7}])
def test_beside_a_second_environment_nobody_is_anybodys_by_default(
    objects: Objects, spec: Any
) -> None:
    put(objects, "Environment", "dev", spec)
    assert objects.directory()[0].default_unit is None


def test_without_its_environment_there_is_no_directory(objects: Objects) -> None:
    before, _ = objects.directory()
    put(objects, "Environment", "prod", {"trustDomain": "Prod!"})
    directory, (problem,) = objects.directory(before)
    assert directory == before
    assert "Environment prod" in problem
    objects.put("Environment", "prod", None)
    with pytest.raises(ConfigurationError, match=r"no Environment prod yet.*there are: none"):
        objects.directory(before)
    put(objects, "Environment", "prod", {"trustDomain": 7})
    with pytest.raises(ConfigurationError, match="the Environment prod of the cluster eu1 can't"):
        objects.directory()


def test_what_others_write_into_an_object_is_no_change() -> None:
    one = raw("Workload", "feast", {"businessUnit": "prod.payments", "name": "feast"})
    other = one | {"status": {"a": 1}}
    other["metadata"] = one["metadata"] | {"resourceVersion": "8", "managedFields": [{}]}
    assert read(one) == read(other)
    assert not isinstance(read(one), Malformed)


def test_names_of_objects() -> None:
    assert ObjectName.parse("eu1/featward/kek") == ObjectName("eu1", "featward", "kek")
    for text in ("featward/kek", "eu1//kek", "a/b/c/d", ""):
        with pytest.raises(ConfigurationError, match="CLUSTER/NAMESPACE/NAME"):
            ObjectName.parse(text)
