"""Keeps what one workload serves and grants up to date, step by step, and judges how far a slip reaches.

Every function that does work is a generator which yields after each document, so that whoever runs it can give
the loop back in between. Edits may come then: they leave dirt behind, and the steps go on until none is left.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from featward.manifests.findings import Scope
from featward.manifests.rules.grants import too_long_until
from featward.manifests.rules.serving import observed_until, served_together
from featward.manifests.validation import judge
from featward.policy.bindings import compile_binding, grantable
from featward.policy.feature_sets import each_feature_set
from featward.policy.index import Dirt
from featward.policy.serving import Base, ServedSet, entry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from featward.identity.spiffe import SpiffeId
    from featward.manifests.catalogue import Set
    from featward.manifests.document import AnyModel, Document
    from featward.manifests.findings import Finding
    from featward.policy.index import Key, PolicyIndex

__all__ = ["Refreshing", "Served", "Work"]

_Steps: TypeAlias = "Generator[None, None, None]"


@dataclass(slots=True)
class Work:
    """What was done so far; tests hold the cost of an edit by it."""

    sets: int = 0
    bindings: int = 0
    judged: int = 0
    joined: int = 0


@dataclass(slots=True)
class Served:
    """One workload: what it serves, and what has to be looked at again."""

    workload: SpiffeId
    dirt: Dirt = field(default_factory=lambda: Dirt(everything=True))
    platform: tuple[Finding, ...] = ()
    sets: tuple[Finding, ...] = ()
    # The last good one; None until there was one.
    base: Base | None = None
    # Sets were judged and are good, but not compiled yet.
    pending: bool = False
    # What becomes the base when its last binding is done, and the bindings done in it.
    staged: Base | None = None
    done: set[Key] = field(default_factory=set)
    reduced: Base | None = None
    # Those that are wrong.
    wrong: set[Key] = field(default_factory=set)
    # When to look again at a binding, or at the sets (None), because of a date.
    flips: dict[Key | None, float] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def held(self) -> tuple[Finding, ...]:
        """Why edits wait."""
        found = (*self.platform, *self.sets)
        return tuple(one for one in found if one.blocks and one.scope is not Scope.BINDING)


class Refreshing:
    """The steps, over one index; ``work`` counts them."""

    def __init__(self, index: PolicyIndex, work: Work) -> None:
        self._index, self._catalogue = index, index.catalogue
        self._work = work

    def refresh(self, served: Served, now: float) -> _Steps:
        """Look again at all that edits and dates have touched, until nothing is left."""
        dirt = served.dirt
        while True:
            _due(served, now)
            if dirt.everything:
                dirt.everything, dirt.platform, dirt.sets = False, True, True
                if served.base is not None:
                    dirt.bindings |= self._bindings_of(served.base)
            if dirt.platform:
                dirt.platform = False
                served.platform = tuple(self._judge_platform(served.workload, now))
                yield
            if dirt.sets:
                dirt.sets = False
                yield from self._judge_sets(served, now)
                continue
            if served.held:
                self._unstage(served)
                return
            if served.pending:
                served.pending = False
                yield from self._compile_sets(served)
                continue
            if not dirt.bindings:
                if served.staged is not None:
                    served.base, served.staged = served.staged, None
                    served.done.clear()
                served.reduced = None
                return
            key = dirt.bindings.pop()
            if served.staged is not None:
                served.done.add(key)
            base = served.staged or served.base
            if base is not None:
                self._compile_binding(served, base, key, now)
            yield

    def _judge_platform(self, workload: SpiffeId, now: float) -> Iterator[Finding]:
        """What is wrong with the documents that say that there is such a workload."""
        for document in self._above(workload):
            metadata = document.model.metadata
            yield from self._index.refused(document.kind, None, metadata.name)
            yield from self._judge(document, now)

    def _above(self, workload: SpiffeId) -> Iterator[Document[AnyModel]]:
        catalogue = self._catalogue
        # The first has the trust domain; a second one that claims it holds nobody but itself.
        for name, environment in catalogue.environments.items():
            if environment.model.spec.trust_domain == workload.trust_domain:
                yield environment
                unit = f"{name}.{workload.business_unit}"
                break
        else:
            return
        if unit in catalogue.business_units:
            yield catalogue.business_units[unit]
        match workload.path.split("/")[3:]:
            case ["svc" | "ci", own] if (unit, own) in catalogue.workloads:
                yield catalogue.workloads[unit, own]
            case ["ns", namespace, *_] if namespace in catalogue.namespaces:
                yield catalogue.namespaces[namespace]

    def _judge(self, document: Document[AnyModel], now: float) -> Iterator[Finding]:
        self._work.judged += 1
        return judge(self._catalogue, document, int(now))

    def _judge_sets(self, served: Served, now: float) -> _Steps:
        found: list[Finding] = []
        ends: list[float] = []
        wrong: set[Key] = set()
        sets = [*self._sets(served)]
        for document in sets:
            refused = self._index.refused("FeatureSet", *_key(document))
            wrong |= {_key(document)} if refused else set()
            found += (*refused, *self._judge(document, now))
            until = observed_until(self._catalogue, document)
            ends += [until] if until is not None and until > now else []
            yield
        found += served_together(sets)
        wrong |= {_key(one) for one in found if one.blocks and one.name}
        served.sets, served.wrong = tuple(found), wrong
        served.pending, served.reduced = True, None
        served.flips.pop(None, None)
        if ends:
            served.flips[None] = min(ends)
        yield

    def _sets(self, served: Served) -> list[Set]:
        return self._catalogue.served_by.get(served.workload, [])

    def _compile_sets(self, served: Served) -> _Steps:
        """Begin a new base, in which the bindings of each set that has changed are to be done again."""
        self._unstage(served)
        before = served.base or Base()
        compiled: dict[Key, ServedSet] = {}
        yield from self._each_set(served, compiled)
        changed = {key for key, one in compiled.items() if before.sets.get(key) != one}
        if not changed and before.sets.keys() == compiled.keys() and served.base is not None:
            return
        staged = before.copy()
        staged.sets = compiled
        for key, feature_set in before.set_of.items():
            if feature_set not in compiled or feature_set in changed:
                staged.remove(key)
        for feature_set in changed:
            for binding in self._catalogue.bindings_of.get(feature_set, ()):
                served.dirt.bindings.add(_key(binding))
        served.staged = staged

    def _each_set(self, served: Served, compiled: dict[Key, ServedSet]) -> _Steps:
        sets = [*self._sets(served)]
        for document, message in zip(sets, each_feature_set(self._catalogue, sets), strict=True):
            self._work.sets += 1
            served_names = (feature.name for feature in message.features)
            allowed = grantable(self._catalogue, document, served_names)
            compiled[_key(document)] = ServedSet(document, message, entry(message), allowed)
            yield

    def _unstage(self, served: Served) -> None:
        """Give up a base that was being made; the bindings done in it are to be done again."""
        served.dirt.bindings |= served.done
        served.done.clear()
        if served.staged is not None:
            served.staged, served.pending = None, True

    def _bindings_of(self, base: Base) -> set[Key]:
        of_sets = (self._catalogue.bindings_of.get(key, ()) for key in base.sets)
        return {*base.entries, *(_key(binding) for one in of_sets for binding in one)}

    def _compile_binding(self, served: Served, base: Base, key: Key, now: float) -> None:
        base.remove(key)
        served.flips.pop(key, None)
        document = self._catalogue.bindings.get(key)
        if document is None:
            return
        of = (key[0], document.model.spec.feature_set.name)
        feature_set = base.sets.get(of)
        if feature_set is None:
            return
        self._work.bindings += 1
        findings = tuple(self._judge(document, now))
        if findings:
            base.findings[key] = findings
        if any(one.blocks for one in findings):
            until = too_long_until(self._catalogue, document)
            if until is not None and until > now:
                served.flips[key] = until
            return
        message = compile_binding(
            self._catalogue, document, feature_set.document, feature_set.allowed
        )
        if message is not None:
            base.insert(key, of, message)

    def reduce(self, served: Served, now: float) -> _Steps:
        """All that a held workload serves but for the sets that are wrong; nothing where more than sets is.

        What those claim stays claimed, so that nothing is granted that was not before.
        """
        if served.reduced is not None or any(one.blocks for one in served.platform):
            return
        base = Base()
        yield from self._each_set(served, base.sets)
        base.sets = {key: one for key, one in base.sets.items() if key not in served.wrong}
        for feature_set in [*base.sets]:
            for binding in [*self._catalogue.bindings_of.get(feature_set, ())]:
                self._compile_binding(served, base, _key(binding), now)
                yield
        served.reduced = base


def _due(served: Served, now: float) -> None:
    for key in [key for key, when in served.flips.items() if when <= now]:
        del served.flips[key]
        if key is None:
            served.dirt.sets = True
        else:
            served.dirt.bindings.add(key)


def _key(document: Document[AnyModel] | Finding) -> Key:
    namespace, _, name = document.name.partition("/")
    return namespace, name
