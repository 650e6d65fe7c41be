"""How explanations look on a terminal."""

from datetime import UTC, datetime
from typing import Any

from rich.markup import escape

from featward.cli.columns import columns
from featward.cli.console import console

__all__ = ["show_decision", "show_grants", "show_readers"]

_COLOURS = {"allow": "green", "deny": "red", "limited": "yellow", "undecided": "yellow"}
_MODES = {
    "observe": "observe: recorded only, the caller gets its answer",
    "shadow": "shadow: recorded only, for callers with an identity",
    "enforce": "enforce: applied",
}

_ENDS = {
    "expires": "",
    "approval": ", the last day of its approval",
    "recertifyBy": ", the day by which it was to be recertified",
}


def show_decision(decision: dict[str, Any]) -> None:
    """The outcome first, then what it rests on, then what to do."""
    outcome = decision["outcome"]
    colour = _COLOURS.get(outcome, "yellow")
    console.print(f"[bold {colour}]{outcome}[/] ({decision['reason']})")
    for label, value in _rows(decision):
        console.print(f"  [dim]{label:<16}[/]{escape(value)}")
    for name in decision["without_approval"]:
        console.print(
            f"\n{escape(name)} grants it, and its business unit has not consented: "
            f"[bold]featward approve {escape(name)}[/]"
        )
    if decision["request"]:
        console.print(f"\nTo ask for it: [bold]{escape(decision['request'])}[/]")


def show_readers(feature: str, readers: list[dict[str, Any]]) -> None:
    """One line for each subject."""
    if not readers:
        console.print(f"Nobody can read {feature} now.", markup=False)
        return
    table = columns(
        [
            (one["kind"], one["subject"], one["binding"], one["purpose"], _day(one["expires"]))
            for one in readers
        ],
        ("kind", "who", "binding", "purpose", "until"),
    )
    console.print(table)


def show_grants(identity: str, grants: list[dict[str, Any]]) -> None:
    """One line for each feature."""
    if not grants:
        console.print(f"{identity} can read nothing now.", markup=False)
        return
    table = columns(
        [
            (
                one["feature"],
                one["feature_set"],
                one["binding"],
                one["purpose"],
                _day(one["expires"]),
            )
            for one in grants
        ],
        ("feature", "feature set", "binding", "purpose", "until"),
    )
    console.print(table)


def _rows(decision: dict[str, Any]) -> list[tuple[str, str]]:
    nearest = decision["nearest_binding"]
    rows = [
        ("caller", decision["identity"] or "without identity"),
        ("feature sets", ", ".join(decision["feature_sets"])),
        ("mode", _MODES.get(decision["mode"], decision["mode"])),
        ("rule", decision["rule"] or "none"),
        ("granted", ", ".join(decision["granted"])),
        ("missing", ", ".join(decision["missing"])),
        ("left out", ", ".join(decision["stripped"])),
        (
            "cost",
            ", ".join(f"{charge['cost']} by {charge['binding']}" for charge in decision["charges"]),
        ),
        ("nearest binding", _nearest(nearest) if nearest else ""),
        ("not approved", ", ".join(decision["without_approval"])),
        ("policy", decision["digest"]),
    ]
    return [(label, value) for label, value in rows if value]


def _nearest(binding: dict[str, Any]) -> str:
    subjects, features = ", ".join(binding["subjects"]), ", ".join(binding["features"])
    until = f"until {_day(binding['expires'])}{_ENDS[binding['ends_by']]}"
    return f"{binding['name']}: {features} to {subjects} {until}"


def _day(expires: int) -> str:
    """The last day on which it holds; `expires` is the second after it."""
    return datetime.fromtimestamp(expires - 1, UTC).date().isoformat()
