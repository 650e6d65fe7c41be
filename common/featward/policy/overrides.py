"""What somebody decided by hand, as a snapshot says it: which override holds for a set or a binding, and what
it becomes for an engine that knows none.

Apart from the compiler because the order among overrides is a rule of its own: a close beats a relax, and among
equals the later end wins, then the first name. An override of an environment is one of each of its sets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from featward.errors import CompileError
from featward.manifests.overriding import in_force
from featward.manifests.text import second_of
from featward.policy.v1 import snapshot_pb2 as v1

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featward.manifests.catalogue import Catalogue
    from featward.manifests.governance import Override

__all__ = ["KNOWN_SINCE", "Chosen", "InForce", "apply_overrides", "lowers", "overrides_in_force"]

# The first engine that reads overrides; one before it refuses a snapshot that holds any.
KNOWN_SINCE = "0.2.0"
_ACTIONS = {"relax": v1.OVERRIDE_ACTION_RELAX, "close": v1.OVERRIDE_ACTION_CLOSE}


@dataclass(frozen=True, slots=True)
class InForce:
    """An Override that is in force: judged by ``maxOverride`` and its dates before it comes here.

    ``until`` is in Unix seconds, exclusive. Exactly one of ``feature_set`` and ``binding`` (namespace, name)
    and ``environment`` says what it is about. A binding can only be closed.
    """

    name: str
    action: Literal["relax", "close"]
    until: int
    feature_set: tuple[str, str] | None = None
    binding: tuple[str, str] | None = None
    environment: str | None = None

    def __post_init__(self) -> None:
        """Refuse what the engine would refuse, and the whole snapshot with it. Raises ValueError."""
        targets = [self.feature_set, self.binding, self.environment]
        if sum(target is not None for target in targets) != 1:
            raise ValueError(f"override {self.name!r} must have one target, and has {targets}")
        if self.binding is not None and self.action != "close":
            raise ValueError(f"override {self.name!r} relaxes a binding, which can only be closed")
        if not self.name or self.until <= 0:
            raise ValueError(
                f"override {self.name!r} must have a name and an end, not {self.until}"
            )


def apply_overrides(snapshot: v1.Snapshot, overrides: Iterable[InForce], engine: str) -> None:
    """Write what was decided by hand into a snapshot that is complete otherwise, for an engine of this version.

    For one that is older than overrides it is lowered: a relaxed set is in shadow, a closed one enforces and
    has no bindings, and a closed binding is left out. That is the same for callers, but for the reason, and for
    the end, which needs another snapshot. Raises CompileError for a version that is none.
    """
    chosen = Chosen(overrides, snapshot.environment, lowered=lowers(engine))
    for one in snapshot.feature_sets:
        chosen.write_set(one)
    if chosen.lowered:
        _leave_out_closed(snapshot, chosen)
        return
    for binding in snapshot.bindings if chosen.bindings else ():
        chosen.write_binding(binding)
    if any(one.HasField("override") for one in (*snapshot.feature_sets, *snapshot.bindings)):
        snapshot.engine_version = KNOWN_SINCE


def lowers(engine: str) -> bool:
    """Whether an engine of this version knows no overrides. Raises CompileError for a version that is none."""
    return _version(engine) < _version(KNOWN_SINCE)


def overrides_in_force(catalogue: Catalogue, now: float) -> tuple[InForce, ...]:
    """The Overrides of a catalogue that hold at this moment, as the compiler takes them."""
    return tuple(_in_force(override.model) for override in in_force(catalogue, now))


def _in_force(override: Override) -> InForce:
    target, until = override.spec.target, second_of(override.spec.expires)
    return InForce(
        override.metadata.name,
        override.spec.action,
        until,
        feature_set=(target.feature_set.namespace, target.feature_set.name)
        if target.feature_set
        else None,
        binding=(target.binding.namespace, target.binding.name) if target.binding else None,
        environment=target.environment,
    )


class Chosen:
    """Which override holds for each set and each binding of one environment, and how it is written.

    ``bindings`` are those that are closed, by namespace and name.
    """

    def __init__(self, overrides: Iterable[InForce], environment: str, *, lowered: bool) -> None:
        self.lowered = lowered
        first = sorted(overrides, key=_precedence, reverse=True)
        self.bindings = {one.binding: one for one in first if one.binding is not None}
        everywhere = [one for one in first if one.environment == environment]
        self._everywhere = everywhere[-1] if everywhere else None
        self._sets = {one.feature_set: one for one in first if one.feature_set is not None}

    def of_set(self, namespace: str, name: str) -> InForce | None:
        """The override of a set, its own or its environment's."""
        both = (self._sets.get((namespace, name)), self._everywhere)
        return min((one for one in both if one is not None), key=_precedence, default=None)

    def closes(self, namespace: str, name: str) -> bool:
        """Whether a set is closed."""
        found = self.of_set(namespace, name)
        return found is not None and found.action == "close"

    def write_set(self, feature_set: v1.FeatureSet) -> None:
        """Write the override of a set into it, or what it amounts to."""
        found = self.of_set(feature_set.namespace, feature_set.name)
        if found is None:
            return
        if self.lowered:
            feature_set.mode = _lowered_mode(found, feature_set.mode)
        else:
            feature_set.override.CopyFrom(_written(found))

    def write_binding(self, binding: v1.Binding) -> None:
        """Write the override that closes a binding, for an engine that knows it."""
        closing = self.bindings.get((binding.namespace, binding.name))
        if closing is not None:
            binding.override.CopyFrom(_written(closing))


def _leave_out_closed(snapshot: v1.Snapshot, chosen: Chosen) -> None:
    closed = {
        (one.namespace, one.name)
        for one in snapshot.feature_sets
        if chosen.closes(one.namespace, one.name)
    }
    kept = [
        binding
        for binding in snapshot.bindings
        if (binding.namespace, binding.name) not in chosen.bindings
        and (binding.feature_set_namespace, binding.feature_set_name) not in closed
    ]
    if len(kept) < len(snapshot.bindings):
        del snapshot.bindings[:]
        snapshot.bindings.extend(kept)


def _lowered_mode(one: InForce, mode: v1.Mode) -> v1.Mode:
    return v1.MODE_ENFORCE if one.action == "close" else min(mode, v1.MODE_SHADOW)


def _precedence(one: InForce) -> tuple[bool, int, str]:
    return one.action != "close", -one.until, one.name


def _written(one: InForce) -> v1.Override:
    return v1.Override(action=_ACTIONS[one.action], until=one.until, name=one.name)


def _version(engine: str) -> tuple[int, ...]:
    # Ten digits and more are no version, and must not cost the time of a long number.
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){2}", engine) is None:
        raise CompileError(
            f"an engine's version is three numbers as in 0.2.0, and not {engine[:40]!r}"
        )
    return tuple(int(number) for number in engine.split("."))
