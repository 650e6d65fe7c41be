"""The decision as the rules say it, to compare the engine with.

Written from the rules and not from the engine: every question goes back to the snapshot's own messages, nothing
is indexed, and sets are compared as sets. It is slow on purpose. The rules:

- A binding speaks to a caller through a subject: rank 0 for its SPIFFE ID, 1 for its service account or
  workload, 2 for its business unit. An identity of a foreign trust domain is in no business unit.
- An override is in force while ``now < until``. A set is relaxed or closed by it, a binding closed.
- A binding applies while ``now < expires`` and it is not closed. A feature is granted by the applicable binding
  that lists it with the lowest (rank, namespace, name). What nothing grants is missing, whether it exists or
  not.
- Something missing denies, unless something is granted and every binding used says strip: then it is left out.
- When every missing feature is listed by some binding that speaks to the caller and is expired or closed, the
  denial is ``closed`` if one of these bindings is not expired, by the first in the order of trial of the first
  feature that has one; else it is ``binding-expired``. Otherwise it is ``nothing-left`` when nothing is granted
  and the bindings that apply to the caller (there is one at least) all say strip; else ``not-granted``.
- Each binding used is charged rows x the cost of what it granted. More rows than the smallest of their
  ``rows_per_request`` denies, then a charge above a burst does.
- Without identity the denial is ``identity-required``. The caller passes all the same while every set asked
  admits such callers and none of them enforces.
- The mode is the strictest of the sets asked. Asking for what is unknown, or for nothing, asks every set. The
  mode of a relaxed set is at most shadow.
- A closed set among those asked denies as ``closed`` what would be answered otherwise: what is allowed, and in
  observe and shadow also what is not, unless the caller has no identity and is not admitted. No binding decides
  then, and none is charged. The mode of such a request is enforce, whatever came of it.
- The overrides named are those in force of the sets asked that are known (of all sets where none is), then the
  one that closes the binding that decided.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from featward.policy.v1.snapshot_pb2 import (
    MODE_ENFORCE,
    MODE_SHADOW,
    ON_EXCESS_STRIP,
    OVERRIDE_ACTION_CLOSE,
    OVERRIDE_ACTION_RELAX,
    SUBJECT_KIND_BUSINESS_UNIT,
    SUBJECT_KIND_SPIFFE_ID,
    SUBJECT_KIND_WORKLOAD,
    Binding,
    Feature,
    FeatureSet,
    Mode,
    OverrideAction,
    Snapshot,
    Subject,
)

RANKS = [SUBJECT_KIND_SPIFFE_ID, SUBJECT_KIND_WORKLOAD, SUBJECT_KIND_BUSINESS_UNIT]
KINDS = ["spiffe-id", "workload", "business-unit"]


class Evaluator:
    """Answers the engine's questions about one snapshot."""

    def __init__(self, snapshot: bytes) -> None:
        self.snapshot = Snapshot.FromString(snapshot)
        self.digest = hashlib.sha256(snapshot).hexdigest()

    def decide(self, question: dict[str, Any]) -> dict[str, Any]:
        """The decision in the engine's JSON form."""
        now = question["now"]
        sets = self._sets_asked(question)
        served = self._sets_judged(question)
        answer: dict[str, Any] = {
            "outcome": "deny",
            "rule": None,
            "granted": [],
            "granted_by": [],
            "missing": [],
            "stripped": [],
            "charges": [],
            "expires": None,
            "feature_sets": [_name(fs) for fs in sets],
            "mode": _mode(served, now),
            "unidentified_allowed": question["identity"] is None
            and bool(served)
            and all(_admits(fs, now) for fs in served),
            "digest": self.digest,
        }
        answer |= self._verdict(question)
        if any(_is(OVERRIDE_ACTION_CLOSE, fs, now) for fs in served):
            answer |= _closed(question, answer)
        overriding = [
            fs.override.name for fs in sets or self.snapshot.feature_sets if _forced(fs, now)
        ]
        if answer["reason"] == "closed" and answer["rule"] is not None:
            overriding += [
                b.override.name for b in self.snapshot.bindings if _name(b) == answer["rule"]
            ]
        answer["overrides"] = overriding
        missing = answer["missing"] + answer["stripped"]
        answer["nearest"] = self._nearest(question, answer["granted"], missing)
        return answer

    def readers(self, feature: str, now: float) -> list[dict[str, Any]]:
        """Every subject with the best binding through which it reads the feature."""
        through = [
            ((RANKS.index(subject.kind), subject.value), binding)
            for binding in self.snapshot.bindings
            for subject in binding.subjects
            if feature in binding.features
            and _applies(binding, now)
            and not self._is_closed(feature, now)
        ]
        best = {who: min((b for w, b in through if w == who), key=_order) for who, _ in through}
        return [
            {"kind": KINDS[rank], "subject": value, **_grant(best[rank, value])}
            for rank, value in sorted(best)
        ]

    def grants(self, identity: str, now: float) -> list[dict[str, Any]]:
        """Every feature that the identity reads, with its binding."""
        return [
            {"feature": feature.name, "feature_set": _name(fs), **_grant(binding)}
            for fs in self.snapshot.feature_sets
            for feature in fs.features
            if (binding := self._granting(identity, feature.name, now)) is not None
            and not self._is_closed(feature.name, now)
        ]

    def _verdict(self, question: dict[str, Any]) -> dict[str, Any]:
        identity, now, rows = question["identity"], question["now"], question["rows"]
        asked = self._asked(question)
        if identity is None:
            return {"reason": "identity-required", "missing": asked}
        grant = {name: self._granting(identity, name, now) for name in asked}
        used = {name: binding for name, binding in grant.items() if binding is not None}
        granted = [name for name in asked if name in used]
        missing = [name for name in asked if name not in used]
        verdict: dict[str, Any] = {
            "granted": granted,
            "granted_by": [_name(used[name]) for name in granted],
        }
        everything = bool(used) and not missing
        strip = bool(used) and {b.on_excess for b in used.values()} == {ON_EXCESS_STRIP}
        if not everything and not strip:
            return verdict | {"missing": missing} | self._denial(identity, now, granted, missing)
        verdict["stripped"] = missing
        return verdict | self._limits(granted, used, rows)

    def _denial(
        self, identity: str, now: float, granted: list[str], missing: list[str]
    ) -> dict[str, Any]:
        lapsed = {
            name: [b for _, b in self._speaking(identity) if name in b.features] for name in missing
        }
        if missing and all(lapsed.values()):
            closed = [b for name in missing for b in lapsed[name] if now < b.expires]
            if closed:
                return {"reason": "closed", "rule": _name(closed[0])}
            # The latest to end; among those of one moment the first in the order of trial.
            last = max(lapsed[missing[0]], key=lambda b: b.expires)
            return {"reason": "binding-expired", "rule": _name(last)}
        choices = {b.on_excess for _, b in self._speaking(identity) if _applies(b, now)}
        if not granted and choices == {ON_EXCESS_STRIP}:
            return {"reason": "nothing-left"}
        return {"reason": "not-granted"}

    def _limits(self, granted: list[str], used: dict[str, Binding], rows: int) -> dict[str, Any]:
        bindings = sorted({_order(b): b for b in used.values()}.items())
        costs = {name: feature.cost for name, feature in self._features().items()}
        charge = {
            order: rows * sum(costs[name] for name in granted if _order(used[name]) == order)
            for order, _ in bindings
        }
        limits: dict[str, Any] = {
            "charges": [{"binding": _name(b), "cost": charge[order]} for order, b in bindings],
            "expires": min(b.expires for _, b in bindings),
        }
        capped = [b for _, b in bindings if b.rows_per_request]
        narrow = min(capped, key=lambda b: b.rows_per_request, default=None)
        if narrow is not None and rows > narrow.rows_per_request:
            return limits | {"reason": "rows-over-limit", "rule": _name(narrow)}
        burst = [b for o, b in bindings if b.HasField("cost") and charge[o] > b.cost.burst]
        if burst:
            return limits | {"reason": "cost-over-burst", "rule": _name(burst[0])}
        return limits | {"outcome": "allow", "reason": "granted", "rule": _name(used[granted[0]])}

    def _nearest(
        self, question: dict[str, Any], granted: list[str], missing: list[str]
    ) -> str | None:
        identity = question["identity"]
        speaking = set() if identity is None else {_order(b) for _, b in self._speaking(identity)}
        candidates = []
        for b in self.snapshot.bindings if missing else ():
            others, lapsed = _order(b) not in speaking, not _applies(b, question["now"])
            own = 0 if others or lapsed else sum(name in b.features for name in granted)
            listed = sum(name in b.features for name in missing)
            if own or listed:
                candidates.append((-own, -listed, others, lapsed, _order(b)))
        return "/".join(min(candidates)[-1]) if candidates else None

    def _granting(self, identity: str, feature: str, now: float) -> Binding | None:
        return next(
            (b for _, b in self._speaking(identity) if feature in b.features and _applies(b, now)),
            None,
        )

    def _speaking(self, identity: str) -> list[tuple[int, Binding]]:
        """The bindings that name the caller, each under each of its ranks, in the order of trial."""
        ranked = [
            (RANKS.index(subject.kind), binding)
            for binding in self.snapshot.bindings
            for subject in binding.subjects
            if self._addresses(subject, identity)
        ]
        return sorted(ranked, key=lambda pair: (pair[0], _order(pair[1])))

    def _addresses(self, subject: Subject, identity: str) -> bool:
        if subject.kind != SUBJECT_KIND_BUSINESS_UNIT:
            return subject.value == identity
        unit = subject.value.removeprefix(self.snapshot.environment + ".")
        return identity.startswith(f"spiffe://{self.snapshot.trust_domain}/bu/{unit}/")

    def _is_closed(self, feature: str, now: float) -> bool:
        return any(
            _is(OVERRIDE_ACTION_CLOSE, fs, now)
            for fs in self.snapshot.feature_sets
            if feature in {known.name for known in fs.features}
        )

    def _features(self) -> dict[str, Feature]:
        return {f.name: f for fs in self.snapshot.feature_sets for f in fs.features}

    def _asked(self, question: dict[str, Any]) -> list[str]:
        if question.get("service") is None:
            return list(question["features"])
        services = {s.name: s for fs in self.snapshot.feature_sets for s in fs.services}
        known = services.get(question["service"])
        return [] if known is None else list(known.features)

    def _sets_asked(self, question: dict[str, Any]) -> list[FeatureSet]:
        asked = set(self._asked(question))
        sets = self.snapshot.feature_sets
        return [fs for fs in sets if asked & {feature.name for feature in fs.features}]

    def _sets_judged(self, question: dict[str, Any]) -> list[FeatureSet]:
        asked = set(self._asked(question))
        strange = not asked or not asked <= self._features().keys()
        return list(self.snapshot.feature_sets) if strange else self._sets_asked(question)


def _order(binding: Binding) -> tuple[str, str]:
    return binding.namespace, binding.name


def _name(thing: Binding | FeatureSet) -> str:
    return f"{thing.namespace}/{thing.name}"


def _grant(binding: Binding) -> dict[str, Any]:
    return {
        "binding": _name(binding),
        "purpose": binding.purpose,
        "expires": binding.expires,
    }


def _forced(thing: Binding | FeatureSet, now: float) -> bool:
    return thing.HasField("override") and now < thing.override.until


def _is(action: OverrideAction, thing: Binding | FeatureSet, now: float) -> bool:
    return _forced(thing, now) and thing.override.action == action


def _applies(binding: Binding, now: float) -> bool:
    return now < binding.expires and not _is(OVERRIDE_ACTION_CLOSE, binding, now)


def _closed(question: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """What a closed set among those asked makes of an answer."""
    enforced = {"mode": "enforce", "unidentified_allowed": False}
    admitted = question["identity"] is not None or answer["unidentified_allowed"]
    if answer["outcome"] != "allow" and (answer["mode"] == "enforce" or not admitted):
        return enforced
    denied: dict[str, Any] = {
        "outcome": "deny",
        "reason": "closed",
        "rule": None,
        "charges": [],
        "expires": None,
    }
    return enforced | denied


def _own_mode(fs: FeatureSet, now: float) -> Mode:
    return min(fs.mode, MODE_SHADOW) if _is(OVERRIDE_ACTION_RELAX, fs, now) else fs.mode


def _mode(sets: Iterable[FeatureSet], now: float) -> str:
    strictest = max((_own_mode(fs, now) for fs in sets), default=MODE_ENFORCE)
    return Mode.Name(strictest).removeprefix("MODE_").lower()


def _admits(fs: FeatureSet, now: float) -> bool:
    enforces = _own_mode(fs, now) == MODE_ENFORCE
    return not enforces and fs.unidentified_allow and now < fs.unidentified_until
