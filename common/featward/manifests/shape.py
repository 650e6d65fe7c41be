"""What one document may look like: a tree of plain values becomes a model, or findings that say why not.

Pydantic's errors are put into words here: what was wrong, which value, what was expected, what to do.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from featward.manifests.document import CLUSTER_KINDS, KINDS, AnyModel, Document, Source
from featward.manifests.findings import Finding
from featward.manifests.labels import unknown_labels
from featward.manifests.model import API_VERSION
from featward.manifests.text import EXPECTED
from featward.strictyaml import Path, Tree, show_path

__all__ = ["declared_names", "modelled", "shape", "spoken_kind"]

_M = TypeVar("_M", bound=BaseModel)


def shape(tree: Tree, source: Source, index: int) -> Document[AnyModel] | list[Finding]:
    """The document that a tree stands for, or all that is wrong with its shape."""
    problem = _Problem(source, index)
    if not isinstance(tree.value, dict):
        message = f"a manifest is a mapping of keys to values, this is {_show(tree.value)}"
        return [problem.at((), "not-a-mapping", message, "begin it with apiVersion and kind")]
    model = KINDS.get(kind) if isinstance(kind := tree.value.get("kind"), str) else None
    if model is None or tree.value.get("apiVersion") not in (API_VERSION, None, "v1"):
        return [problem.unknown_kind(tree.value)]
    found = modelled(tree.value, model, source, index)
    labels = list(problem.unknown_labels(tree.value))
    if isinstance(found, list):
        return [*found, *labels]
    return labels or Document(found, source, index, tree.line)


def modelled(
    value: dict[str, Any],
    model: type[_M],
    source: Source,
    index: int,
    page: str = "docs/manifests.md",
) -> _M | list[Finding]:
    """The model of a document of this kind, or what is wrong in it, its labels aside.

    ``page`` says what belongs where.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        return list(_Problem(source, index, page, model.__name__).explain(error, model))


def declared_names(value: Any) -> Iterator[tuple[str, str]]:
    """What a malformed document seems to declare: ("feature set", "driver-stats")."""
    if not isinstance(value, dict):
        return
    for group in ("metadata", "spec"):
        name = value[group].get("name") if isinstance(value.get(group), dict) else None
        if isinstance(name, str) and isinstance(kind := value.get("kind"), str):
            yield spoken_kind(kind), name


def spoken_kind(kind: str) -> str:
    """``feature set`` for FeatureSet."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", kind).lower()


class _Problem:
    """Makes findings at the places of one document."""

    def __init__(self, source: Source, index: int, page: str = "", kind: str = "") -> None:
        self._source = source
        self._index = index
        self._page = page
        self._kind = kind

    def at(
        self, path: Path, code: str, message: str, remedy: str, *, on_key: bool = False
    ) -> Finding:
        place = self._source.place(self._index, path)
        line, column = place.key if on_key else place[:2]
        shown = show_path(path)
        return Finding(self._source.name, line, column, shown, code, message, remedy, self._kind)

    def unknown_kind(self, value: dict[str, Any]) -> Finding:
        kind, version = value.get("kind"), value.get("apiVersion")
        if isinstance(kind, str) and kind in KINDS:
            message = f"apiVersion {_show(version)} of kind {kind} is not known"
            expected = "v1" if kind == "Namespace" else API_VERSION
            return self.at(
                ("apiVersion",), "unknown-kind", message, f"write apiVersion: {expected}"
            )
        if isinstance(kind, str) and kind in CLUSTER_KINDS:
            message = f"an {kind} is made by hand in a cluster, and never kept in a folder"
            return self.at(
                ("kind",), "unknown-kind", message, "remove it, or edit what it is about"
            )
        message = (
            f"kind {_show(kind)} is not known" if "kind" in value else "the document has no kind"
        )
        remedy = _suggest(str(kind), list(KINDS)) or f"use one of {', '.join(KINDS)}"
        return self.at(
            ("kind",), "unknown-kind", message, f"{remedy}; keep other tools' files elsewhere"
        )

    def explain(self, error: ValidationError, model: type[BaseModel]) -> Iterator[Finding]:
        for detail in error.errors(include_url=False):
            # Items that were refused are reported themselves, and not counted by pydantic.
            if detail["type"] != "too_short" or not detail["input"]:
                yield self._explain(detail, model)

    def _explain(self, detail: ErrorDetails, model: type[BaseModel]) -> Finding:
        path, kind, given = tuple(detail["loc"]), detail["type"], detail["input"]
        context = detail.get("ctx", {})
        name = show_path(path) or "the document"
        if kind == "extra_forbidden":
            return self._unknown_key(path, _keys_at(model, path[:-1]))
        if kind == "missing":
            # There is no node to point at: the mapping that lacks it is the nearest place.
            remedy = _field_help(model, path)
            return self.at(path[:-1], "missing-key", f"required key {name} is missing", remedy)
        if given is None:
            return self.at(
                path, "empty-value", f"{name} has no value", "give it one, or leave the key out"
            )
        if kind in _TYPES:
            message = f"{name} is {_show(given)}, expected {_TYPES[kind]}"
            return self.at(path, "wrong-type", message, _type_remedy(kind, given, self._page))
        return self.at(path, "invalid-value", *_invalid(kind, name, given, context))

    def _unknown_key(self, path: Path, known: list[str]) -> Finding:
        others = f"; known here: {', '.join(known)}" if known else ""
        remedy = _suggest(str(path[-1]), known) or f"remove it{others}"
        message = f"key {show_path(path)} is not known to this version"
        return self.at(path, "unknown-key", message, remedy, on_key=True)

    def unknown_labels(self, value: dict[str, Any]) -> Iterator[Finding]:
        """A misspelt label of ours would silently move a namespace to another business unit."""
        for group, key, expected in unknown_labels(value["kind"], value.get("metadata")):
            yield self._unknown_key(("metadata", group, key), list(expected))


def _invalid(kind: str, name: str, given: Any, context: dict[str, Any]) -> tuple[str, str]:
    if kind == "string_pattern_mismatch":
        return f"{name} is {_show(given)}", f"write {EXPECTED[context['pattern']]}"
    if kind == "literal_error":
        expected = str(context["expected"]).replace("'", "")
        return f"{name} is {_show(given)}", f"write {expected}"
    if kind == "value_error":
        problem = str(context["error"])
        shown = "" if isinstance(given, dict) else f" is {_show(given)}"
        return f"{name}{shown}: {problem}" if shown else f"{name}: {problem}", "correct it"
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"{name} is {_show(given)}", f"write {words.format(context[key])}"
    return f"{name} is {_show(given)}: {kind.replace('_', ' ')}", "correct it"


def _type_remedy(kind: str, given: Any, page: str) -> str:
    if kind == "string_type" and isinstance(given, (bool, int, float)):
        return "put it in quotes"
    return f"see {page} for what belongs here"


def _show(value: Any) -> str:
    """The value as its YAML would have it, shortened."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 4] + '..."'


def _suggest(wrong: str, known: list[str]) -> str | None:
    close = get_close_matches(wrong, known, n=1, cutoff=0.6)
    by_case = [
        name for name in known if name.lower() == wrong.lower().replace("_", "").replace("-", "")
    ]
    match = next(iter(by_case or close), None)
    return f"did you mean {match}?" if match else None


def _keys_at(model: type[BaseModel], path: Path) -> list[str]:
    found = _model_at(model, path)
    return [info.alias or name for name, info in found.model_fields.items()] if found else []


def _field_help(model: type[BaseModel], path: Path) -> str:
    found = _model_at(model, path[:-1])
    for name, info in found.model_fields.items() if found else ():
        if (info.alias or name) == path[-1]:
            return f"add {path[-1]}: {_first_sentence(info.description or '')}"
    return f"add {path[-1]}"


def _first_sentence(text: str) -> str:
    return text.split(". ")[0].rstrip(".")


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    found: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, int):
            continue
        fields = found.model_fields.items() if found else ()
        annotation = next(
            (info.annotation for name, info in fields if (info.alias or name) == step), None
        )
        found = _inner_model(annotation)
    return found


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model inside ``X``, ``X | None`` or ``tuple[X, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, tuple):
        return next((found for part in get_args(annotation) if (found := _inner_model(part))), None)
    return None


_SHOWN = 60
_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}
_BOUNDS = {
    "greater_than_equal": ("a number of at least {}", "ge"),
    "less_than_equal": ("a number of at most {}", "le"),
    "string_too_long": ("at most {} characters", "max_length"),
    "string_too_short": ("at least {} character", "min_length"),
    "too_short": ("at least {} item", "min_length"),
    "too_long": ("at most {} items", "max_length"),
}
