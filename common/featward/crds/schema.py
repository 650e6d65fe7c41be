"""From a model to the structural schema of a CRD, with the model's rules beside what they judge.

Pydantic's JSON schema is the source, so that grammars and bounds are written once, in the models. What a CRD
may not hold is left out: `additionalProperties: false` (an API server drops or refuses what it does not know)
and defaults, which would enter the stored spec and with it the digest of a binding, and would quarrel with
whoever else applies the object.
"""

from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from featward.manifests.model import Model, Rule
from featward.manifests.text import EXPECTED, LONGEST_DURATION

__all__ = ["Node", "structural"]

Node: TypeAlias = dict[str, Any]

RULES = "x-kubernetes-validations"
_LIST_TYPE = "x-kubernetes-list-type"
_LIST_KEYS = "x-kubernetes-list-map-keys"
# How the row's key of a model gets through pydantic's schema; no CRD holds it.
_ROW_KEY = "row-key"

# As pydantic and a CRD call them alike, in the order in which they are written.
_BOUNDS = (
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)
# What the text of a format must also be, which no pattern can say. Each has one: a server's check of types lets
# a list pass where a format is given, and only a rule stumbles over it.
_OF_FORMAT = {
    "date": (
        Rule(
            "self >= timestamp('1000-01-01T00:00:00Z')",
            "expected a day of the calendar such as 2027-03-31",
        ),
    ),
    "date-time": (
        Rule(
            "self >= timestamp('1000-01-01T00:00:00Z')",
            "expected a moment such as 2026-11-23T18:00:00Z",
        ),
    ),
    "duration": (
        Rule(
            f"self > duration('0s') && self <= duration('{LONGEST_DURATION}s')",
            "expected more than nothing and at most 100 years",
        ),
    ),
}


def structural(model: type[BaseModel]) -> Node:
    """The structural schema of a model, everything inside it written out in its place."""
    whole = model.model_json_schema(schema_generator=_WithRules)
    return _node(whole, whole.get("$defs", {}))


class _WithRules(GenerateJsonSchema):
    """Pydantic's schema, in which each model also has its rules."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        model = schema["cls"]
        if issubclass(model, Model) and (rules := (*model.rules, *model.transitions)):
            found[RULES] = rules
        if key := getattr(model, "row_key", None):
            found[_ROW_KEY] = key
        return found


def _node(raw: Node, definitions: Node) -> Node:
    raw = _resolved(raw, definitions)
    node: Node = {"type": raw["type"]}
    if description := _description(raw):
        node = {"description": description, **node}
    node |= {key: raw[key] for key in _BOUNDS if key in raw}
    if raw["type"] == "integer":
        node["format"] = "int64"
    if rules := [*raw.get(RULES, ()), *(_OF_FORMAT[raw["format"]] if "format" in raw else ())]:
        node[RULES] = [{"rule": rule.cel, "message": rule.message} for rule in rules]
    if raw["type"] == "array":
        node |= _items(raw, definitions)
    if raw["type"] == "object":
        node |= _properties(raw, definitions)
    return node


def _resolved(raw: Node, definitions: Node) -> Node:
    """With references followed, and a choice between a type and null as that type; what stands beside wins."""
    if choices := raw.get("anyOf"):
        (inner,) = (one for one in choices if one != {"type": "null"})
        raw = {**inner, **{key: value for key, value in raw.items() if key != "anyOf"}}
    if reference := raw.get("$ref"):
        inner = _resolved(definitions[reference.rpartition("/")[2]], definitions)
        raw = {**inner, **{key: value for key, value in raw.items() if key != "$ref"}}
    if "const" in raw:
        raw = {**raw, "enum": [raw["const"]]}
    return raw


def _description(raw: Node) -> str:
    """What it means, and what was expected: the pattern alone, which a server's refusal shows, helps nobody."""
    said = " ".join(raw.get("description", "").split())
    if expected := EXPECTED.get(raw.get("pattern", "")):
        said = f"{said} Expected: {expected}.".strip()
    return said


def _items(raw: Node, definitions: Node) -> Node:
    """A list of rows is kept by their key and one of texts as a set: a server refuses the second of a name, and
    two writers may each have their part of it. Any other list has one writer.
    """
    inner = _resolved(raw["items"], definitions)
    key = inner.get(_ROW_KEY) or ("name" if "name" in inner.get("required", ()) else None)
    node: Node = {_LIST_TYPE: "atomic"}
    if key is not None:
        node = {_LIST_TYPE: "map", _LIST_KEYS: [key]}
    elif inner["type"] == "string":
        node = {_LIST_TYPE: "set"}
    return node | {"items": _node(raw["items"], definitions)}


def _properties(raw: Node, definitions: Node) -> Node:
    values = raw.get("additionalProperties")
    if isinstance(values, dict):
        return {"additionalProperties": _node(values, definitions)}
    node: Node = {"required": raw["required"]} if raw.get("required") else {}
    inside = raw.get("properties", {})
    return node | {"properties": {key: _node(one, definitions) for key, one in inside.items()}}
