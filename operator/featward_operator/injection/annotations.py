"""What a pod's annotations say about its sidecar: each read by its grammar, all errors in one go.

An unknown annotation of our prefix is an error, too: a limit that is misspelt is a limit that does not hold.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from featward_operator.injection.facts import Facts
from featward_operator.injection.grammar import FIRST_PORT, LAST_PORT, MOST_SETS, READERS, Named
from featward_operator.injection.names import (
    ANNOTATIONS,
    INJECT,
    INJECTED,
    PREFIX,
    SERVER,
    STATUS,
    url_variable,
)
from featward_operator.injection.quantities import cpu_amount, memory_amount
from featward_operator.injection.settings import InjectionSettings

__all__ = ["Asked", "SetAsked", "asked_in", "listening"]

_SETS = f"{PREFIX}feature-sets"
# So many that nothing reads are told with what may be meant, which takes 0.1 ms each.
_SUGGESTED = 16
_SERVERS_ALONE = ("upstream", "port", "plain-port", "plain")


@dataclass(frozen=True, slots=True)
class SetAsked:
    """A feature set that the app reads, and the loopback port on which it finds it."""

    name: str
    """As it was written, with its namespace or without."""
    port: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The annotations over the defaults. Names are those of the annotations."""

    feature_sets: tuple[SetAsked, ...]
    upstream: str | None
    port: int
    plain_port: int
    health_port: int
    outbound_port: int
    cpu_request: str
    cpu_limit: str
    memory_request: str
    memory_limit: str
    log_level: str
    hold_application: bool
    plain: bool
    image_pull_policy: str
    drain_seconds: int


def asked_in(
    facts: Facts, settings: InjectionSettings, kind: str
) -> tuple[Asked, tuple[str, ...], tuple[str, ...]]:
    """What the pod asks for, what is wrong with it, and what may be a mistake.

    What can't be read stands at its default, so that all errors are found.
    """
    errors = list(_strangers(facts))
    values, faults = _values(facts)
    errors += faults
    if kind != "server":
        errors += [
            _error(f"{PREFIX}{name}", facts.annotations[f"{PREFIX}{name}"], "only servers have it")
            for name in _SERVERS_ALONE
            if f"{PREFIX}{name}" in facts.annotations
        ]
    named: tuple[Named, ...] = values.pop("feature_sets", ())
    defaults = {
        field.name: getattr(settings, field.name)
        for field in fields(Asked)
        if hasattr(settings, field.name)
    }
    told = defaults | values
    asked = Asked(
        feature_sets=_with_ports(named, told["outbound_port"]),
        upstream=told.pop("upstream", None),
        hold_application=told.pop("hold_application", False),
        plain=told.pop("plain", False),
        **told,
    )
    errors += _clashes(asked, kind)
    errors += _disorder(asked, facts)
    errors += _twins(named)
    ambiguous, unknown = _resolved(facts, named)
    return asked, tuple(errors + ambiguous), tuple(unknown)


def _error(key: str, value: str, expected: str) -> str:
    return f"{key} is {value!r}: {expected}"


def _strangers(facts: Facts) -> Iterator[str]:
    known = (*ANNOTATIONS, INJECT, STATUS)
    strange = sorted(
        (key, value)
        for key, value in facts.annotations.items()
        if key.startswith(PREFIX) and key not in known
    )
    for key, value in strange[:_SUGGESTED]:
        near = get_close_matches(key, known, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}?" if near else f"those are known: {', '.join(known)}"
        yield _error(key, value, f"nothing reads it; {hint}")
    if (more := len(strange) - _SUGGESTED) > 0:
        yield f"{more} more annotations of {PREFIX} are there that nothing reads"
    for key in (INJECTED, SERVER):
        if key in facts.labels and not facts.has_sidecar:
            yield _error(key, facts.labels[key], "featward sets this label by itself; leave it out")


def _values(facts: Facts) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    errors: list[str] = []
    for key in ANNOTATIONS:
        if (text := facts.annotations.get(key)) is None:
            continue
        name = key.removeprefix(PREFIX)
        try:
            values[name.replace("-", "_")] = READERS[name](text)
        except ValueError as unfit:
            errors.append(_error(key, text, f"expected {unfit}"))
    return values, errors


def _with_ports(named: Iterable[Named], first: int) -> tuple[SetAsked, ...]:
    """Those without a port get the next free one of the row, in their order."""
    named = tuple(named)
    taken = {one.port for one in named}
    row = (port for port in range(first, first + 2 * MOST_SETS + 1) if port not in taken)
    return tuple(SetAsked(one.text, one.port or next(row)) for one in named)


def listening(asked: Asked, kind: str) -> list[tuple[str, int]]:
    """Annotation and port of all that the sidecar listens on."""
    found = [(f"{PREFIX}health-port", asked.health_port)]
    if kind == "server":
        found.append((f"{PREFIX}port", asked.port))
        found += [(f"{PREFIX}plain-port", asked.plain_port)] if asked.plain else []
    return [*found, *((f"{_SETS} ({one.name})", one.port) for one in asked.feature_sets)]


def _clashes(asked: Asked, kind: str) -> Iterator[str]:
    """Two of our own listeners on one port."""
    taken: dict[int, str] = {}
    for key, port in listening(asked, kind):
        if port > LAST_PORT:
            yield _error(key, str(port), f"expected a port from {FIRST_PORT} to {LAST_PORT}")
        elif port in taken:
            yield _error(key, str(port), f"expected another port than that of {taken[port]}")
        taken.setdefault(port, key)


def _disorder(asked: Asked, facts: Facts) -> Iterator[str]:
    for what, amount in (("cpu", cpu_amount), ("memory", memory_amount)):
        request, limit = getattr(asked, f"{what}_request"), getattr(asked, f"{what}_limit")
        if request and limit and amount(request) > amount(limit):
            yield _error(f"{PREFIX}{what}-request", request, f"expected at most the limit, {limit}")
    drain = facts.annotations.get(f"{PREFIX}drain-seconds")
    if drain is not None and asked.drain_seconds >= facts.grace_seconds:
        yield _error(
            f"{PREFIX}drain-seconds",
            drain,
            f"expected less than the pod's terminationGracePeriodSeconds, {facts.grace_seconds}",
        )


def _twins(named: tuple[Named, ...]) -> Iterator[str]:
    """Two sets for which the app would find one address."""
    taken: dict[str, str] = {}
    for one in named:
        variable = url_variable(one.text)
        if variable in taken:
            yield _error(
                _SETS,
                one.text,
                f"its address would be in {variable}, as that of {taken[variable]}; leave one out",
            )
        taken.setdefault(variable, one.text)


def _resolved(facts: Facts, named: tuple[Named, ...]) -> tuple[list[str], list[str]]:
    """Names that mean several sets, and those that mean none yet: the set may come after the pod."""
    ambiguous: list[str] = []
    unknown: list[str] = []
    for one in named:
        places = sorted(facts.namespace.sets.get(one.name, ())) if facts.namespace else []
        if one.namespace is None and len(places) > 1:
            choice = ", ".join(f"{place}/{one.name}" for place in places)
            ambiguous.append(_error(_SETS, one.text, f"expected one of {choice}"))
        elif not places or (one.namespace is not None and one.namespace not in places):
            unknown.append(
                f"featward: {_SETS}: there is no FeatureSet {one.text} yet; calls of it fail until there is"
            )
    return ambiguous, unknown
