"""The head of a status: which sidecar it is, its identity and whether the CA still takes it, and its policy."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from featward.cli.columns import columns
from featward_sidecar.status_words import ago, count, span, verbatim

__all__ = ["health", "title"]

Row = Mapping[str, Any]


def title(status: Row, agent: Row) -> Text:
    """Which sidecar, and since when."""
    process = agent.get("process") or {}
    line = Text(f"featward sidecar {status.get('version', '')}", style="bold")
    if workload := process.get("workload"):
        line.append(f" for {workload}")
    if started := process.get("started"):
        line.append(f", process {process['pid']}, up {span(status['time'] - started)}", style="dim")
    if status.get("draining"):
        line.append(", draining", style="yellow")
    return line


def health(status: Row, agent: Row) -> Text:
    """Whether it is well, a row for each thing that it needs."""
    rows = [*_identity(status, agent), ("policy", _policy(status, agent))]
    if operator := agent.get("operator"):
        rows.append(("operator", _ca(operator, status["time"])))
    if dropped := status.get("records_dropped"):
        rows.append(("records dropped", Text(str(dropped), style="red")))
    return columns((Text(name, style="bold"), value) for name, value in rows)


def _identity(status: Row, agent: Row) -> Iterator[tuple[str, Text]]:
    now, identity, told = status["time"], status.get("identity"), agent.get("identity") or {}
    if identity is None:
        yield "identity", Text("none yet", style="red")
    else:
        yield "identity", Text(identity["spiffe_id"])
        left = identity["not_after"] - now
        runway = Text(f"{span(left)} left" if left > 0 else f"expired {span(left)} ago")
        refused = told.get("refused")
        runway.stylize("red" if left <= 0 else "yellow" if refused else "green")
        if (due := told.get("renew_at")) and due > now:
            runway.append(f", renewed {ago(due, now)}", style="dim")
        elif due:
            runway.append(f", renewal overdue for {span(now - due)}", style="yellow")
        if told.get("attested_by"):
            runway.append(f", attested by {told['attested_by']}", style="dim")
        yield "runway", runway
        if refused:
            words = f"by the CA for {span(now - refused['since'])}: {_reason(refused['reason'])}"
            yield "refused", Text(words, style="bold red")
        yield "serial", Text(str(identity.get("serial", "")), style="dim")
    source = told.get("attested_by")
    yield "source" if source in ("files", "workload-api") else "CA", _ca(agent.get("ca") or {}, now)
    apps = agent.get("apps") or {}
    if places := [verbatim(apps[name]) for name in ("socket", "files") if apps.get(name)]:
        yield "apps fetch it at", Text(", ").join(places)


_REASONS = {
    "banned": "banned or revoked; `featward ca ban list` says why",
    "authority-revoked": "its authority was revoked",
    "unknown-root": "its root is not trusted",
    "expired": "it has ended too long ago to be renewed",
}


def _reason(reason: str) -> str:
    """Why the CA takes the certificate for no good, and so do all who trust that CA."""
    return _REASONS.get(reason, reason)


def _ca(ca: Row, now: float) -> Text:
    address = ca.get("address", "")
    if ca.get("connected"):
        return Text(f"{address}, connected for {span(now - ca['since'])}")
    failures = count(ca.get("failures", 0), "failure")
    return Text(f"{address}, not connected ({failures})", style="yellow")


def _policy(status: Row, agent: Row) -> Text:
    policy, told = status.get("policy"), agent.get("policy") or {}
    if policy is None:
        return Text("none yet", style="red")
    bindings = count(policy["bindings"], "binding")
    text = Text(f"{policy['digest'][:12]}, {bindings}, applied {span(policy['age_seconds'])} ago")
    if told.get("source") == "kept":
        since = (
            "the operator has not spoken" if "operator" in agent else "the manifests do not compile"
        )
        text.append(f", kept from an earlier run: {since}", style="yellow")
    if refused := told.get("refused_edits"):
        standing = told.get("last_error")
        edits = f", {count(refused, 'edit')} refused{'' if standing else ' before'}"
        text.append(edits, style="yellow" if standing else "dim")
        if standing:
            text.append(f": {verbatim(standing['message']).plain}", style="red")
    return text
