"""The models can become CRDs: a structural schema has one type in each place and no choices between types."""

from collections.abc import Iterator
from typing import Any

import pytest

from featward.manifests.document import KINDS


def choices(schema: Any, path: str = "") -> Iterator[str]:
    """The places where a schema chooses between more than a type and null."""
    if isinstance(schema, dict):
        options = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
        if len(options) > 1 or {"oneOf", "allOf", "not"} & schema.keys():
            yield path
        for key, value in schema.items():
            yield from choices(value, f"{path}.{key}")


@pytest.mark.parametrize("kind", KINDS)
def test_no_place_has_two_types(kind: str) -> None:
    assert list(choices(KINDS[kind].model_json_schema())) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_has_a_type(kind: str) -> None:
    schema = KINDS[kind].model_json_schema()
    for model in (schema, *schema.get("$defs", {}).values()):
        for name, field in model["properties"].items():
            known = {"type", "$ref", "anyOf", "const", "enum"} & field.keys()
            assert known, f"{kind} {name}"
