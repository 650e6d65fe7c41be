"""A sidecar's status as a person reads it: whether it is well first, then who called, then what went wrong.

Pure: the document of `GET /status` in, something for rich out. Times are relative to the document's own
clock, so that a status that was saved reads the same a week later.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from featward.cli.columns import Cell, columns
from featward_sidecar import status_head
from featward_sidecar.status_words import ago, span, verbatim

__all__ = ["render"]

Row = Mapping[str, Any]

SHOWN = 20
"""Callers listed; JSON has them all."""

REFUSALS = 3
"""Would-be refusals of a caller listed, likewise."""

WOULD_REFUSE = {"would-deny", "would-limit", "unjudged", "unmanaged-route"}
"""Ends of requests that passed only because nothing is enforced."""


def render(status: Row) -> Group:
    """The whole view."""
    agent = status.get("agent") or {}
    parts: list[RenderableType] = [
        status_head.title(status, agent),
        status_head.health(status, agent),
    ]
    if sets := (status.get("policy") or {}).get("feature_sets"):
        parts.append(_feature_sets(sets, status["time"]))
    if outbound := status.get("outbound"):
        parts.append(_outbound(outbound, status["time"]))
    parts += _drift(status)
    parts += _callers(status)
    parts += _errors(status, agent)
    return Group(*parts)


def _feature_sets(sets: Sequence[Row], now: float) -> Text:
    headings = ("feature set", "version", "mode", "without identity", "owner")
    return _table(headings, [_feature_set(each, now) for each in sets])


def _feature_set(each: Row, now: float) -> tuple[Cell, ...]:
    style = {"enforce": "green", "shadow": "yellow", "observe": "yellow"}.get(each["mode"], "")
    until = each.get("unidentified_until")
    owner = each.get("owner") or {}
    return (
        verbatim(each["name"]),
        verbatim(each["version"]),
        Text(verbatim(_mode(each, now)).plain, style=style),
        f"allowed for {span(until - now)}" if until and until > now else "refused",
        verbatim(" ".join(filter(None, (owner.get("team"), owner.get("contact"))))),
    )


def _mode(each: Row, now: float) -> str:
    """The mode that holds, and the override that makes it so."""
    mode, override = str(each["mode"]), each.get("override")
    if not override:
        return mode
    closed = "closed" if override["action"] == "close" else mode
    return f"{closed} for {span(override['until'] - now)} ({override['name']})"


def _outbound(outbound: Sequence[Row], now: float) -> Text:
    headings = ("outbound", "apps call", "server", "identity", "last answer", "last failure")
    return _table(headings, [_outbound_set(each, now) for each in outbound])


def _outbound_set(each: Row, now: float) -> tuple[Cell, ...]:
    server, failure = each.get("server") or {}, each.get("last_failure")
    answered = each.get("last_answer")
    # What has been answered since is over.
    current = failure and failure["time"] >= (answered or 0)
    return (
        verbatim(each["feature_set"]),
        verbatim(each["listen"]),
        verbatim(server["address"]) if server else Text("none known", style="red"),
        verbatim(server.get("spiffe_id", "")),
        ago(answered, now) if answered else "none yet",
        Text(_failure(failure, now), style="red" if current else "dim") if failure else "",
    )


def _failure(failure: Row, now: float) -> str:
    words = f"{ago(failure['time'], now)}: {failure['reason']}: {failure['detail']}"
    return verbatim(words).plain


def _drift(status: Row) -> Iterator[Text]:
    """Columns that vanish are seen by nobody but here."""
    for each in status.get("drift") or []:
        found = [
            f"{words} {', '.join(each[key])}"
            for key, words in (
                ("unlisted", "serves columns that the set does not list:"),
                ("unanswered", "does not answer what is granted:"),
            )
            if each[key]
        ]
        text = f"{each['feature_set']}, {ago(each['time'], status['time'])}: the feature server "
        words = verbatim(f"{text}{'; it '.join(found)}").plain
        yield Text(f"\n{words}", style="yellow")
        yield Text("  run `featward import feast --check`", style="yellow")


def _callers(status: Row) -> Iterator[RenderableType]:
    now = status["time"]
    called = ("caller", "last seen", "requests", "decisions", "newest refusal")
    for title, rows in (
        ("callers with identity", status.get("callers") or []),
        ("callers without identity, to be moved", status.get("unidentified") or []),
    ):
        yield from _titled(title, rows, called, lambda row: _caller(row, now))
    standing = ("caller", "last seen", "standing", "refusals, newest first")
    refused = status.get("would_refuse") or []
    yield from _titled(_refused_title(status), refused, standing, lambda row: _refused(row, now))


def _titled(
    title: str,
    rows: Sequence[Row],
    headings: Sequence[str],
    shown: Callable[[Row], Sequence[Cell]],
) -> Iterator[Text]:
    if not rows:
        return
    yield Text(f"\n{title} ({len(rows)})", style="bold")
    yield _table(headings, [shown(row) for row in rows[:SHOWN]])
    if len(rows) > SHOWN:
        yield Text(f" and {len(rows) - SHOWN} more: --output json", style="dim")


def _caller(row: Row, now: float) -> tuple[Cell, ...]:
    counts = (row.get("decisions") or {}).items()
    return (
        _who(row),
        ago(row["last_seen"], now),
        str(row["requests"]),
        ", ".join(f"{name} {count}" for name, count in counts),
        verbatim(_trouble(row.get("newest_trouble"), now)),
    )


def _who(row: Row) -> Text:
    return verbatim(row.get("identity") or row.get("source") or "a UNIX socket")


def _refused_title(status: Row) -> str:
    """Once all is enforced, who still calls is refused, and stands in the lists above with that."""
    sets = (status.get("policy") or {}).get("feature_sets") or []
    if sets and all(each["mode"] == "enforce" for each in sets):
        return "passed before all was enforced, and have not asked for it since"
    return "would be refused when enforced"


STANDING = {
    "would-be-refused": Text("would be refused", style="yellow"),
    "not-seen-since-the-edit": Text("not seen since the edit", style="dim"),
    "not-allowed-since-the-edit": Text("nothing allowed since the edit", style="yellow"),
}


def _refused(row: Row, now: float) -> tuple[Cell, ...]:
    standing = row.get("standing") or ""
    troubles = [each for each in row.get("troubles") or [] if each["decision"] in WOULD_REFUSE]
    told = [_trouble(each, now) for each in troubles[:REFUSALS]]
    if len(troubles) > REFUSALS:
        told.append(f"and {len(troubles) - REFUSALS} more")
    return (
        _who(row),
        ago(row["last_seen"], now),
        STANDING.get(standing) or verbatim(standing),
        verbatim("; ".join(told)),
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Text:
    return columns(rows, headings, indent=1)


def _trouble(trouble: Row | None, now: float) -> str:
    if not trouble:
        return ""
    missing = ", ".join(trouble.get("missing") or [])
    place = f" ({trouble['feature_set']})" if trouble["feature_set"] else ""
    text = f"{trouble['reason']}{place}, {ago(trouble['time'], now)}"
    return text + (f": {missing}" if missing else "")


def _errors(status: Row, agent: Row) -> Iterator[RenderableType]:
    found = [
        (section, agent[section]["last_error"])
        for section in ("ca", "identity", "apps", "operator", "policy")
        if (agent.get(section) or {}).get("last_error")
    ]
    for section, error in found:
        # What is wrong with an edit stands beside the policy in use, where it is one thing.
        if section == "policy" and status.get("policy") and len(error.get("findings") or []) < 2:
            continue
        when = ago(error["time"], status["time"])
        yield Text(f"\n{section}, {when}: {error['message']}", style="red")
        yield from (
            Text(f"  {finding}", style="red") for finding in (error.get("findings") or [])[1:]
        )
