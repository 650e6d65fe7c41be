"""How a cluster stands, from its objects: what `status` shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from featward.kubectl.protection import suspended
from featward.kubectl.screen import Row, Section

__all__ = ["Found", "as_json", "sections"]

Found: TypeAlias = Mapping[str, list[Any]]
"""The objects of each kind."""
Object: TypeAlias = Mapping[str, Any]
# Conditions that are bad when they hold.
_BAD_WHEN_TRUE = ("Overdue", "Suspended")
_NOTED_WHEN_TRUE = ("Due", "Overridden")


def sections(found: Found) -> list[Section]:
    """The tables, in the order in which somebody looks at them."""
    return [
        Section(
            "Environments and business units",
            ("owner", "ready", "signs", "rotation", "acknowledged", "message"),
            tuple(_owner(one) for one in _by_name(found, "Environment", "BusinessUnit")),
        ),
        Section(
            "Feature sets",
            ("feature set", "ready", "mode", "sidecars", "refused/h", "would refuse", "message"),
            tuple(_feature_set(one) for one in _by_name(found, "FeatureSet")),
        ),
        Section(
            "Bindings to look at",
            ("binding", "granting", "expires", "recertify", "message"),
            tuple(_binding(one) for one in _by_name(found, "FeatureBinding") if _is_noted(one)),
        ),
        Section(
            "Overrides",
            ("override", "action", "target", "in force", "until", "reason"),
            tuple(_override(one) for one in _by_name(found, "Override") if not _has_ended(one)),
        ),
        Section(
            "Namespaces with protection suspended",
            ("namespace",),
            tuple(
                Row((_name(one),), bad=True)
                for one in _by_name(found, "Namespace")
                if suspended(one)
            ),
        ),
    ]


def as_json(found: Found) -> list[dict[str, Any]]:
    """The same for programs: kind, name and status of each object, namespaces only where suspended."""
    return [
        {
            "kind": one["kind"],
            "name": _name(one),
            **({"status": one["status"]} if one.get("status") else {}),
        }
        for kind in ("Environment", "BusinessUnit", "FeatureSet", "FeatureBinding", "Override")
        for one in _by_name(found, kind)
    ] + [
        {"kind": "Namespace", "name": _name(one), "protection": "suspended"}
        for one in _by_name(found, "Namespace")
        if suspended(one)
    ]


def _by_name(found: Found, *kinds: str) -> list[Object]:
    return sorted((one for kind in kinds for one in found.get(kind, ())), key=_name)


def _name(one: Object) -> str:
    metadata = one["metadata"]
    # A Namespace, and what lives in none, has its name alone.
    return "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def _status(one: Object) -> Mapping[str, Any]:
    return one.get("status") or {}


def _condition(one: Object, question: str) -> Mapping[str, Any]:
    rows: Iterable[Mapping[str, Any]] = _status(one).get("conditions") or ()
    return next((row for row in rows if row.get("type") == question), {})


def _is(one: Object, question: str, answer: str) -> bool:
    return _condition(one, question).get("status") == answer


def _ready(one: Object) -> str:
    found = _condition(one, "Ready")
    if not found:
        return "unknown"
    return "yes" if found["status"] == "True" else str(found["reason"])


def _message(one: Object, *questions: str) -> str:
    """What the first of these conditions says that is not as it should be."""
    for question in questions:
        found = _condition(one, question)
        if found.get("status") == "False":
            return str(found.get("message") or found.get("reason") or "")
    return ""


def _owner(one: Object) -> Row:
    status = _status(one)
    authority, rotation = status.get("authority") or {}, status.get("rotation") or {}
    rotating = _condition(one, "Rotating")
    reached = not _is(one, "AuthorityReachable", "False")
    bad = (
        not reached or _is(one, "Ready", "False") or rotating.get("reason") in ("Blocked", "Failed")
    )
    message = _message(one, "AuthorityReachable", "Ready")
    if not message and rotating.get("reason") in ("Blocked", "Failed", "Paused"):
        message = str(rotating.get("message") or "")
    signs = f"generation {authority['generation']}" if authority.get("generation") else ""
    word, progress = str(rotating.get("reason") or ""), str(rotation.get("progress") or "")
    return Row((_name(one), _ready(one), signs, word, progress, message), bad)


def _feature_set(one: Object) -> Row:
    status = _status(one)
    mode = status.get("mode") or (one["spec"].get("enforcement") or {}).get("mode") or "enforce"
    refusing = len(status.get("wouldBeRefused") or ())
    cells = (
        _name(one),
        _ready(one),
        str(mode),
        str(status.get("progress") or ""),
        str(status.get("refusedLastHour", "")),
        str(refusing or ""),
        _message(one, "Ready"),
    )
    return Row(cells, _is(one, "Ready", "False") or _is(one, "Suspended", "True"))


def _is_noted(one: Object) -> bool:
    return (
        _is(one, "Granting", "False")
        or _is(one, "Approved", "False")
        or any(_is(one, question, "True") for question in (*_BAD_WHEN_TRUE, *_NOTED_WHEN_TRUE))
    )


def _binding(one: Object) -> Row:
    spec, granting = one["spec"], _condition(one, "Granting")
    due = next(
        (
            str(row.get("message") or "")
            for question in ("Overdue", "Due")
            if (row := _condition(one, question)).get("status") == "True"
        ),
        "",
    )
    yes = granting.get("status") == "True"
    word = "yes" if yes else str(granting.get("reason") or "unknown")
    message = _message(one, "Granting", "Approved") or due
    cells = (_name(one), word, spec["expires"], spec.get("recertifyBy") or "", message)
    return Row(cells, not yes or _is(one, "Overdue", "True"))


def _override(one: Object) -> Row:
    spec, holds = one["spec"], _condition(one, "InForce")
    yes = holds.get("status") == "True"
    target = str(_status(one).get("target") or "")
    word = "yes" if yes else str(holds.get("reason") or "unknown")
    return Row(
        (_name(one), spec["action"], target, word, spec["expires"], spec["reason"]), bad=True
    )


def _has_ended(one: Object) -> bool:
    return _condition(one, "InForce").get("reason") == "Ended"
