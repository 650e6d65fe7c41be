"""The models can become CRDs: a structural schema has one type in each place and no choices between types,
every list an end, and every validator a rule that an API server can judge by.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from featward.manifests.document import CLUSTER_KINDS
from featward.manifests.model import Model


def choices(schema: Any, path: str = "") -> Iterator[str]:
    """The places where a schema chooses between more than a type and null."""
    if isinstance(schema, dict):
        options = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
        if len(options) > 1 or {"oneOf", "allOf", "not"} & schema.keys():
            yield path
        for key, value in schema.items():
            yield from choices(value, f"{path}.{key}")


@pytest.mark.parametrize("kind", CLUSTER_KINDS)
def test_no_place_has_two_types(kind: str) -> None:
    assert list(choices(CLUSTER_KINDS[kind].model_json_schema())) == []


@pytest.mark.parametrize("kind", CLUSTER_KINDS)
def test_every_place_has_a_type(kind: str) -> None:
    schema = CLUSTER_KINDS[kind].model_json_schema()
    for model in (schema, *schema.get("$defs", {}).values()):
        for name, field in model["properties"].items():
            known = {"type", "$ref", "anyOf", "const", "enum"} & field.keys()
            assert known, f"{kind} {name}"


def models(model: type[BaseModel]) -> Iterator[type[Model]]:
    """The model and all those inside it."""
    assert issubclass(model, Model)
    yield model
    for info in model.model_fields.values():
        for inner in re.findall(r"featward\.[\w.]+", repr(info.annotation)):
            found = named(inner)
            if found is not None:
                yield from models(found)


def named(name: str) -> type[BaseModel] | None:
    every = list(Model.__subclasses__())
    for one in every:
        every += one.__subclasses__()
        if f"{one.__module__}.{one.__qualname__}" == name:
            return one
    return None


ALL = sorted(
    {one for kind in CLUSTER_KINDS.values() for one in models(kind)}, key=lambda one: one.__name__
)


def test_all_models_are_found() -> None:
    assert {"Federation", "JwtAttestation", "Unidentified", "Subject", "Ceiling"} <= {
        one.__name__ for one in ALL
    }


@pytest.mark.parametrize("model", ALL, ids=lambda one: one.__name__)
def test_a_validator_of_every_model_has_its_rule(model: type[Model]) -> None:
    validators = model.__pydantic_decorators__.model_validators
    assert len(model.rules) >= len(validators), f"{', '.join(validators)} is no CEL rule"
    assert not model.rules or validators, "a rule says what no validator does"


@pytest.mark.parametrize("model", ALL, ids=lambda one: one.__name__)
def test_a_rule_asks_for_keys_of_its_model_and_for_optional_ones_first(model: type[Model]) -> None:
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    for rule in (*model.rules, *model.transitions):
        used = set(re.findall(r"self\.(\w+)", rule.cel))
        assert used or rule.cel == "self == oldSelf", rule
        assert used <= fields.keys(), rule
        for key in used:
            asked = f"has(self.{key})" in rule.cel
            assert asked or fields[key].is_required(), f"{key} may be missing in {rule.cel}"
        assert rule.message


@pytest.mark.parametrize("model", ALL, ids=lambda one: one.__name__)
def test_what_judges_an_edit_is_a_transition_and_nothing_else_is(model: type[Model]) -> None:
    assert not [rule for rule in model.rules if "oldSelf" in rule.cel]
    assert all("oldSelf" in rule.cel for rule in model.transitions)


@pytest.mark.parametrize("model", ALL, ids=lambda one: one.__name__)
def test_every_list_and_mapping_has_an_end(model: type[Model]) -> None:
    for name, info in model.model_fields.items():
        if name not in ("labels", "annotations") and re.search(
            r"tuple\[|dict\[", repr(info.annotation)
        ):
            assert any(getattr(one, "max_length", None) for one in info.metadata), name
