"""What every manifest has in common: strictness, and the metadata that Kubernetes gives each object.

The models hold only what this version enforces, and refuse every other key: a key that is read and then
ignored would be a promise not kept. They are written so that a CRD's structural schema can say the same: no
unions of types, and a choice between forms is an object with optional members of which one must be there.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from featward.manifests.text import Label, Name

__all__ = [
    "API_VERSION",
    "BUSINESS_UNIT_LABEL",
    "ClusterMetadata",
    "Distinct",
    "Items",
    "Model",
    "Namespaced",
    "Rule",
    "exactly_one",
    "one_of",
]

API_VERSION = "featward.dev/v1alpha1"
BUSINESS_UNIT_LABEL = "featward.dev/business-unit"

_T = TypeVar("_T")
_H = TypeVar("_H", bound=Hashable)

# A list in YAML, kept as a tuple; only the outer type is read leniently, the items stay strict.
Items: TypeAlias = Annotated[tuple[_T, ...], Field(strict=False)]


def _none_twice(items: tuple[_H, ...]) -> tuple[_H, ...]:
    seen: set[_H] = set()
    for item in items:
        if item in seen:
            raise ValueError(f"{item} is listed a second time")
        seen.add(item)
    return items


# The same for texts that stand for themselves: an API server keeps such a list as a set.
Distinct: TypeAlias = Annotated[tuple[_H, ...], Field(strict=False), AfterValidator(_none_twice)]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a validator refuses, said again for an API server: CEL over ``self``, by the keys of the YAML.

    A CRD gives no defaults, so a key that may be left out is asked for with ``has``. ``message`` is what the
    server answers where the rule does not hold.
    """

    cel: str
    message: str


class Model(BaseModel):
    """Strict, frozen, camelCase, and without a place for unknown keys.

    A model with a validator has its ``rules`` beside it, so that an API server refuses what it refuses.
    ``transitions`` are what only a server can refuse: edits, judged by ``self`` and ``oldSelf``.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", alias_generator=to_camel)
    rules: ClassVar[tuple[Rule, ...]] = ()
    transitions: ClassVar[tuple[Rule, ...]] = ()


class ClusterMetadata(Model):
    """Names an object of the whole environment."""

    name: Name = Field(description="The object's name.")
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels, as Kubernetes has them. Those of `featward.dev/` must be known.",
    )
    annotations: dict[str, str] = Field(
        default_factory=dict,
        description="Annotations, as Kubernetes has them. Those of `featward.dev/` must be known.",
    )


class Namespaced(ClusterMetadata):
    """Names an object of one namespace."""

    namespace: Label = Field(
        description="The namespace that the object lives in, declared by a Namespace."
    )


def one_of(*keys: str) -> Rule:
    """The rule beside `exactly_one`, by the keys of the YAML."""
    given = ", ".join(f"has(self.{key})" for key in keys)
    return Rule(f"[{given}].exists_one(given, given)", f"expected exactly one of {', '.join(keys)}")


def exactly_one(model: BaseModel, *names: str) -> None:
    """Refuse a model in which not exactly one of these optional members is set."""
    given = [name for name in names if getattr(model, name) is not None]
    if len(given) != 1:
        keys = [type(model).model_fields[name].alias or name for name in names]
        found = " and ".join(keys[names.index(name)] for name in given) or "none"
        raise ValueError(f"expected exactly one of {', '.join(keys)}, found {found}")
