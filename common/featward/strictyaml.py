"""YAML read so that it can mean one thing only, with the place of every node at hand.

featward and Kubernetes read the same files, with readers of different YAML versions. So only the JSON schema
of YAML 1.2 is understood: null, true, false, JSON numbers, text. A plain scalar that another reader would take
for something else (``yes``, ``017``, ``~``), anchors, tags, merge keys and duplicate keys are faults. Parsing
is libyaml's; where the C library is missing, PyYAML's own parser gives the same events, slower.

Places are not kept while reading, because a hundred thousand documents without a fault need none: ``places``
reads one document again when a fault in it is to be shown.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from featward.yamlsyntax import slip

__all__ = ["Fault", "Path", "Place", "Tree", "is_plain_text", "places", "read", "show_path"]

Path: TypeAlias = tuple[str | int, ...]


class Place(NamedTuple):
    """Where a node begins, both counted from 1; ``key`` is its key's place in the mapping that holds it."""

    line: int
    column: int
    key: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that the reader refuses; reading goes on after all but broken syntax."""

    code: str
    line: int
    column: int
    path: Path
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Tree:
    """One document as plain values, the line on which it begins, and whether it is free of faults."""

    value: Any
    line: int
    sound: bool


def read(text: str) -> tuple[list[Tree], list[Fault]]:
    """Every document of the text, and every fault in them. Empty documents are left out."""
    composer = _Composer(text)
    trees = [Tree(value, line, sound) for value, line, sound in composer.documents()]
    return [tree for tree in trees if not (tree.value is None and tree.sound)], composer.faults


def places(text: str) -> list[dict[Path, Place]]:
    """The place of every node, one dictionary for each document that ``read`` returns, the root at ``()``."""
    composer = _Composer(text, keep_places=True)
    found = []
    for value, _, sound in composer.documents():
        if not (value is None and sound):
            found.append(composer.places)
        composer.places = {}
    return found


def show_path(path: Path) -> str:
    """``spec.features[0].name``; keys that are no plain words are quoted."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _WORD.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def is_plain_text(text: str) -> bool:
    """Whether every YAML reader takes this for text without quotes, as far as its type goes."""
    return text not in _CONSTANTS and not _NUMBER.fullmatch(text) and not _AMBIGUOUS.fullmatch(text)


class _Abandoned(Exception):  # noqa: N818  (control flow, never seen outside)
    """The rest of the text can't be read."""


@dataclass
class _Composer:
    """Builds plain values from libyaml's events, and notes faults as it goes."""

    text: str
    keep_places: bool = False
    faults: list[Fault] = field(default_factory=list)
    places: dict[Path, Place] = field(default_factory=dict)

    def documents(self) -> Iterator[tuple[Any, int, bool]]:
        # Recreated for each text: a loader holds the whole of it.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(self.text)
        self._next = loader.get_event
        try:
            yield from self._documents()
        except yaml.YAMLError as error:
            self._note_syntax(error)
        except _Abandoned:
            pass
        finally:
            loader.dispose()

    def _documents(self) -> Iterator[tuple[Any, int, bool]]:
        while not isinstance(event := self._next(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                faults_before = len(self.faults)
                root = self._next()
                value = self._value(root, (), 0)
                self._keep((), root, root)
                yield value, root.start_mark.line + 1, len(self.faults) == faults_before

    def _value(self, event: Any, path: Path, depth: int) -> Any:
        kind = type(event)
        if kind is ScalarEvent:
            return self._scalar(event, path)
        if kind is AliasEvent:
            self._note(event, path, *_ANCHOR)
            return None
        if depth == _DEEPEST:
            self._note(
                event, path, "too-deep", f"nested deeper than {_DEEPEST} levels", "flatten it"
            )
            raise _Abandoned
        self._check_properties(event, path)
        if kind is MappingStartEvent:
            return self._mapping(path, depth)
        return self._sequence(path, depth)

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while type(event := self._next()) is not MappingEndEvent:
            key = self._key(event, path, depth)
            value_event = self._next()
            value = self._value(value_event, (*path, key or ""), depth + 1)
            if key is None:
                continue
            if key in mapping:
                self._note(
                    event, (*path, key), "duplicate-key", f"key {key!r} is given twice", "keep one"
                )
                continue
            mapping[key] = value
            self._keep((*path, key), value_event, event)
        return mapping

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while type(event := self._next()) is not SequenceEndEvent:
            item_path = (*path, len(items))
            items.append(self._value(event, item_path, depth + 1))
            self._keep(item_path, event, event)
        return items

    def _key(self, event: Any, path: Path, depth: int) -> str | None:
        if type(event) is not ScalarEvent:
            self._note(
                event, path, "key-not-text", "a key must be text, this one is not", "write a word"
            )
            self._value(event, path, depth + 1)
            return None
        if event.implicit[0] and event.value == "<<":
            self._note(
                event, path, "yaml-merge-key", "merge keys are not read", "write the keys out"
            )
            return None
        key = self._scalar(event, path)
        if isinstance(key, str):
            return key
        self._note(
            event,
            path,
            "key-not-text",
            f"key {event.value!r} is not text",
            f'write "{event.value}"',
        )
        return None

    def _scalar(self, event: Any, path: Path) -> Any:
        if event.tag is not None or event.anchor is not None:
            self._check_properties(event, path)
        if not event.implicit[0]:
            return event.value
        text: str = event.value
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _NUMBER.fullmatch(text):
            return self._number(event, path)
        if text[0] in _SUSPICIOUS and _AMBIGUOUS.fullmatch(text):
            what = f"plain {text} means different things to different YAML readers"
            self._note(event, path, "ambiguous-scalar", what, _remedy(text))
        return text

    def _number(self, event: Any, path: Path) -> int | float:
        text: str = event.value
        is_float = any(mark in text for mark in ".eE")
        number = (
            float(text) if is_float else int(text) if len(text) <= _LONGEST_INTEGER else math.inf
        )
        if not math.isfinite(number) or (not is_float and abs(number) >= 2**63):
            what = f"number {text[:40]} does not fit into 64 bits"
            self._note(event, path, "number-out-of-range", what, "write a smaller number")
            return 0
        return number

    def _check_properties(self, event: Any, path: Path) -> None:
        if event.anchor is not None:
            self._note(event, path, *_ANCHOR)
        if event.tag is not None:
            self._note(
                event, path, "yaml-tag", f"the tag {event.tag} is not read", "remove the tag"
            )

    def _keep(self, path: Path, event: Any, key_event: Any) -> None:
        if self.keep_places:
            mark, key = event.start_mark, key_event.start_mark
            self.places[path] = Place(
                mark.line + 1, mark.column + 1, (key.line + 1, key.column + 1)
            )

    def _note(self, event: Any, path: Path, code: str, message: str, remedy: str) -> None:
        mark = event.start_mark
        self.faults.append(Fault(code, mark.line + 1, mark.column + 1, path, message, remedy))

    def _note_syntax(self, error: yaml.YAMLError) -> None:
        if likely := slip(self.text, error):
            line, column, cause, remedy = likely
            message = f"this is not YAML: {cause}"
            self.faults.append(Fault("yaml-syntax", line, column, (), message, remedy))
            return
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else self._unprintable(error)
        problem = (
            getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be read"
        )
        message = f"this is not YAML: {problem}"
        self.faults.append(
            Fault("yaml-syntax", line, column, (), message, "correct the syntax here")
        )

    def _unprintable(self, error: yaml.YAMLError) -> tuple[int, int]:
        """The reader's errors carry an offset only, and the C parser's not even the right one."""
        bad = _UNPRINTABLE.search(self.text)
        before = self.text[: bad.start() if bad else 0]
        return before.count("\n") + 1, len(before) - before.rfind("\n")


def _remedy(text: str) -> str:
    lower = text.lower()
    if lower in _TRUTH:
        return f'write {_TRUTH[lower]}, or "{text}" in quotes for the text'
    if lower in ("~", "null"):
        return f'leave the key out, or write "{text}" in quotes for the text'
    return f'write a plain decimal number, or "{text}" in quotes for the text'


# More than any manifest needs (8), and far below Python's own limit on recursion.
_DEEPEST = 64
# Digits of 2**63 and a sign; Python refuses to read integers of more than 4,300 digits at all.
_LONGEST_INTEGER = 20
_ANCHOR = ("yaml-anchor", "anchors and aliases are not read", "write the value out here")
_CONSTANTS: dict[str, Any] = {"": None, "null": None, "true": True, "false": False}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
# What YAML 1.1 (kubectl's) or the core schema of 1.2 take for a truth value, a null or a number.
_AMBIGUOUS = re.compile(
    r"""(?: y|n|yes|no|on|off|true|false|null|~
          | [-+]?0b[01_]+ | [-+]?0x[0-9a-f_]+ | [-+]?0o[0-7_]+
          | [-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:e[-+]?[0-9]+)?
          | [-+]?\.inf | \.nan )""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_SUSPICIOUS = frozenset("yYnNoOtTfF~+-.0123456789")
_TRUTH = dict.fromkeys(("y", "yes", "on", "true"), "true") | dict.fromkeys(
    ("n", "no", "off", "false"), "false"
)
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
