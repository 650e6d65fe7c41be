"""Random manifests: objects that a model takes, drawn from the model's own fields, and such objects spoilt.

Drawn from the fields and not from the CRD's schema, so that a schema which is narrower than its model is found.
What several fields say together is not understood here: what a model refuses is drawn anew, model by model.
"""

import copy
from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel, TypeAdapter, ValidationError

from featward.manifests.document import CLUSTER_KINDS
from featward.manifests.model import ClusterMetadata
from featward.manifests.text import Day, Duration, Line, Moment, VersionRange, VersionText

__all__ = ["SPOILERS", "Tree", "objects", "spoilt"]

Tree: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[str | int, ...]

# Long lists are tried on purpose elsewhere; here they would only cost time.
_ITEMS = 3
_POOL = 60


def _grammar(text: Any) -> str:
    (found,) = (one.pattern for one in get_args(text)[1:] if hasattr(one, "pattern"))
    return str(found)


# Texts of which a pattern alone would seldom draw one that means something.
_TEXTS: dict[str, SearchStrategy[str]] = {
    _grammar(Day): st.dates().map(str).filter(lambda day: "1000" <= day < "9000"),
    _grammar(Moment): st.datetimes()
    .map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
    .filter(lambda moment: "1000" <= moment < "9000"),
    _grammar(Duration): st.one_of(
        st.sampled_from(
            ["1s", "36600d", "99999h", "1h30m", "1d12h", "7d", "30d", "0d1s", "999999m"]
        ),
        st.from_regex("^([1-9][0-9]{0,2}d)?([0-9]{1,2}h)?([1-9][0-9]?m)?$", fullmatch=True),
    ),
    _grammar(VersionText): st.sampled_from(["1.2.0", "1", "2.0rc1", "1.0+local"]),
    _grammar(VersionRange): st.sampled_from([">=1.2,<2", "==1.*", "~=1.4"]),
    # The rest of Unicode, which a server must count as we do, in characters.
    _grammar(Line): st.text(
        st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Zs")),
        min_size=1,
        max_size=256,
    ),
}

SPOILERS: tuple[Any, ...] = (
    "",
    "x",
    "X",
    "-",
    "a.b",
    "x" * 300,
    "line\nline",
    "2027-02-30",
    "2027-02-28",
    "0999-01-01",
    "9000-01-01",
    "2026-11-23T24:00:00Z",
    "2026-11-23T18:00:00Z",
    "2026-11-23T18:00:60Z",
    "0s",
    "1h",
    "36601d",
    "99999d",
    "200000d",
    "30m1h",
    "*",
    -1,
    0,
    4,
    51,
    10**9,
    1.5,
    True,
    False,
    [],
    ["x"],
    ["x", "x"],
    [{}],
    {},
    {"x": "y"},
    {"name": "x"},
)
"""What is put in the place of a value: of each type, just out of bounds, right in form and wrong in meaning."""


def objects(kind: str, namespace: str) -> SearchStrategy[Tree]:
    """Objects of a kind that its model takes; those of a namespace are in this one."""
    model = CLUSTER_KINDS[kind]
    metadata = model.model_fields["metadata"].annotation
    assert isinstance(metadata, type)
    assert issubclass(metadata, ClusterMetadata)
    name = _value(metadata.model_fields["name"].annotation, metadata.model_fields["name"].metadata)
    inside = {"namespace": st.just(namespace)} if "namespace" in metadata.model_fields else {}
    spec = model.model_fields["spec"]
    return st.fixed_dictionaries(
        {
            "apiVersion": st.just("featward.dev/v1alpha1"),
            "kind": st.just(kind),
            "metadata": st.fixed_dictionaries({"name": name, **inside}),
            "spec": _value(spec.annotation, spec.metadata),
        }
    ).filter(lambda tree: _takes(model, tree))


@st.composite
def spoilt(draw: st.DrawFn, kind: str, namespace: str) -> Tree:
    """Such an object with one thing changed in its spec, most often for the worse."""
    tree = copy.deepcopy(draw(objects(kind, namespace)))
    *path, last = draw(st.sampled_from(sorted(_places(tree["spec"], ("spec",)), key=str)))
    parent: Any = tree
    for step in path:
        parent = parent[step]
    how = draw(st.sampled_from(["replace", "replace", "remove", "add", "repeat"]))
    if how == "replace":
        parent[last] = copy.deepcopy(draw(st.sampled_from(SPOILERS)))
    elif how == "remove":
        del parent[last]
    elif how == "repeat" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[0]))
    elif isinstance(parent[last], dict):
        parent[last]["misspelt"] = draw(st.sampled_from(["x", 1, {}]))
    return tree


def _places(value: Any, path: Place) -> Iterator[Place]:
    yield path
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for key, inner in inside:
        yield from _places(inner, (*path, key))


def _model(model: type[BaseModel]) -> SearchStrategy[Tree]:
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    drawn = {key: _value(info.annotation, info.metadata) for key, info in fields.items()}
    required = {key for key, info in fields.items() if info.is_required()}
    return st.fixed_dictionaries(
        {key: one for key, one in drawn.items() if key in required},
        optional={key: one for key, one in drawn.items() if key not in required},
    ).filter(lambda tree: _takes(model, tree))


def _value(annotation: Any, metadata: list[Any]) -> SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model(annotation)
    if origin is Annotated:
        return _value(arguments[0], [*arguments[1:], *metadata])
    if origin in (Union, UnionType):
        return _value(next(one for one in arguments if one is not type(None)), metadata)
    if origin is Literal:
        return st.sampled_from(arguments)
    low, high = _of(metadata, "min_length") or 0, _of(metadata, "max_length")
    if origin is tuple:
        most = min(high or _ITEMS, max(low, _ITEMS))
        return st.lists(_value(arguments[0], []), min_size=low, max_size=most, unique_by=_key)
    if origin is dict:
        claims = st.text("abcdefghijklmnopqrstuvwxyz_/.", min_size=1, max_size=20)
        return st.dictionaries(claims, _value(arguments[1], []), min_size=low, max_size=_ITEMS)
    if annotation is int:
        return st.integers(_of(metadata, "ge"), _of(metadata, "le"))
    if annotation is bool:
        return st.booleans()
    assert annotation is str, annotation
    return _text(_of(metadata, "pattern"), metadata)


def _text(pattern: str | None, metadata: list[Any]) -> SearchStrategy[str]:
    if pattern is None:
        return st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=9)
    adapter = TypeAdapter(Annotated[str, *metadata])
    return st.sampled_from([text for text in _drawn(pattern) if _is(adapter, text)])


@cache
def _drawn(pattern: str) -> tuple[str, ...]:
    """Texts of a grammar, drawn once: letter by letter they would take most of the time of a test."""
    texts: set[str] = set()
    letters = st.characters(codec="utf-8")
    other = st.from_regex(pattern, fullmatch=True, alphabet=letters)
    drawn = _TEXTS.get(pattern, other)

    @settings(
        max_examples=_POOL,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def collect(text: str) -> None:
        texts.add(text)

    collect()
    return tuple(sorted(texts))


def _of(metadata: list[Any], name: str) -> Any:
    return next(
        (found for one in metadata if (found := getattr(one, name, None)) is not None), None
    )


def _key(value: Any) -> Any:
    """What may be in a list once: a text, a row by its name, and of rows without names each."""
    return value.get("name", id(value)) if isinstance(value, dict) else value


def _takes(model: type[BaseModel], tree: Tree) -> bool:
    try:
        model.model_validate(tree)
    except ValidationError:
        return False
    return True


def _is(adapter: TypeAdapter[str], text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True
