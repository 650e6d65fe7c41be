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
from featward.policy.v1 import snapshot_pb2 as v1

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KNOWN_SINCE", "InForce", "apply_overrides"]

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
    lowers = _version(engine) < _version(KNOWN_SINCE)
    in_force = sorted(overrides, key=_precedence)
    sets: dict[tuple[str, str], InForce] = {}
    for one in snapshot.feature_sets:
        found = _first(in_force, one, snapshot.environment)
        if found is not None:
            sets[one.namespace, one.name] = found
            if lowers:
                one.mode = _lowered_mode(found, one.mode)
            else:
                one.override.CopyFrom(_written(found))
    bindings = {one.binding: one for one in reversed(in_force) if one.binding is not None}
    if lowers:
        _leave_out_closed(snapshot, sets, bindings)
        return
    for binding in snapshot.bindings if bindings else ():
        closing = bindings.get((binding.namespace, binding.name))
        if closing is not None:
            binding.override.CopyFrom(_written(closing))
    if any(one.HasField("override") for one in (*snapshot.feature_sets, *snapshot.bindings)):
        snapshot.engine_version = KNOWN_SINCE


def _first(in_force: list[InForce], one: v1.FeatureSet, environment: str) -> InForce | None:
    """The override of a set, its own or its environment's."""
    name = one.namespace, one.name
    return next(
        (each for each in in_force if each.feature_set == name or each.environment == environment),
        None,
    )


def _leave_out_closed(
    snapshot: v1.Snapshot,
    sets: dict[tuple[str, str], InForce],
    bindings: dict[tuple[str, str], InForce],
) -> None:
    closed = {name for name, one in sets.items() if one.action == "close"}
    kept = [
        binding
        for binding in snapshot.bindings
        if (binding.namespace, binding.name) not in bindings
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
