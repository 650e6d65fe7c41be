"""How the commands of `featward ca` show what the CA says."""

import datetime
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import Message
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from featward.authority.v1 import authority_pb2
from featward.cli.columns import columns
from featward_ca.clock import span
from featward_ca.plurals import counted

# A rotation in such a state waits for nobody.
_OVER = ("done", "cancelled")


def as_json(answer: Message, only: Iterable[str] = ()) -> str:
    """All of it, or some of its fields, with the names of the protocol; digests in hex, what is
    absent null.
    """
    plain = _plain(answer)
    return json.dumps({name: plain[name] for name in only} or plain, indent=2)


def _plain(message: Message) -> dict[str, Any]:
    """Not protobuf's own JSON, which makes texts of 64-bit numbers and base64 of digests."""
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any) -> Any:  # the stubs know two classes of descriptors
    value = getattr(message, field.name)
    if field.is_repeated:
        return [_value(one) for one in value]
    if field.message_type and not message.HasField(field.name):
        return None
    return _value(value)


def _value(value: Any) -> Any:
    if isinstance(value, Message):
        return _plain(value)
    return value.hex() if isinstance(value, bytes) else value


def show(answer: authority_pb2.ShowResponse, console: Console) -> None:
    """A table of authorities, and the rest in a few lines."""
    console.print(f"environment {answer.environment}, trust domain {answer.trust_domain}")
    console.print("\n", _table(answer), "\n", sep="")
    runway = (
        f"{span(answer.runway_seconds)} if the CA stopped now"
        if answer.runway_seconds >= 0
        else "nothing lives"
    )
    console.print(
        f"SVIDs: {answer.live_svids} of {answer.live_identities} identities; runway: {runway}",
    )
    console.print(
        f"trust sequence {answer.sequence}; streams: {answer.streams}, {answer.streams_behind} of"
        " them behind",
    )
    if answer.bans:
        console.print(f"[yellow]bans in force: {answer.bans}[/yellow]; see featward ca ban list")
    if answer.rotations:
        console.print("\n", rotations(answer.rotations, answer.server_time), "\n", sep="")
    show_replicas(answer, console)
    show_federation(answer, console)
    if answer.tainted_lineages:
        console.print(
            f"[red]tainted lineages: {answer.tainted_lineages} (svid-cloned)[/red]",
        )
    if answer.HasField("halted"):
        halted = answer.halted
        since = _moment(int(halted.since))
        console.print(
            f"[red]issuing is halted since {since} by {escape(halted.by)}"
            f" ({escape(halted.reason or 'no reason given')}); featward ca resume[/red]",
        )
    show_warnings(answer, console)
    if answer.unsafe_short_lives:
        console.print("[yellow]unsafe short lives: for tests only[/yellow]")


def show_replicas(answer: authority_pb2.ShowResponse, console: Console) -> None:
    """A table of the processes that share the store, if there is more than this one."""
    if len(answer.replicas) > 1:
        now = answer.server_time
        rows = [
            (one.id, f"{span(now - one.seen_at)} ago", str(one.sequence), str(one.streams))
            for one in answer.replicas
        ]
        headings = ("replica", "seen", "trust sequence", "streams")
        console.print("\n", columns(rows, headings), "\n", sep="")


def show_federation(answer: authority_pb2.ShowResponse, console: Console) -> None:
    """A table of foreign trust domains, if there are any."""
    if answer.foreign:
        headings = ("foreign trust domain", "sequence", "fetched", "first root ends in", "error")
        rows = [_foreign(one, answer.server_time) for one in answer.foreign]
        console.print("\n", columns(rows, headings), "\n", sep="", soft_wrap=True)


def show_warnings(answer: authority_pb2.ShowResponse, console: Console) -> None:
    """What there is to do, a line each: what it is, the command for it, by when."""
    # The stub's own name for them is taken for Python's class.
    warnings: Iterable[Any] = answer.warnings
    for warning in warnings:
        text = f"{warning.code}: {warning.text}; {warning.remedy}"
        if warning.due:
            left = warning.due - answer.server_time
            text += f" (by {_moment(warning.due)}, {f'in {span(left)}' if left > 0 else 'overdue'})"
        console.print(f"[yellow]{escape(text)}[/yellow]", soft_wrap=True)


def show_caps(answer: authority_pb2.WhyExpiryResponse, console: Console) -> None:
    """The bounds of one SVID, and which of them was the least."""
    console.print(f"{answer.spiffe_id}\nissued {_moment(answer.issued_at)}")
    rows = [
        ("*" if cap.applied else "", cap.name, _moment(cap.not_after), cap.text)
        for cap in answer.caps
    ]
    console.print("\n", columns(rows, ("", "bound", "ends it at", "because")), "\n", sep="")
    console.print(f"it ends {_moment(answer.not_after)}, by {answer.cap}")


def _table(answer: authority_pb2.ShowResponse) -> Text:
    return authorities(answer.authorities, answer.server_time)


def authorities(shown: Iterable[authority_pb2.Authority], now: float) -> Text:
    """A line for each authority."""
    headings = ("of", "state", "may sign", "ends", "in", "SVIDs", "authority")
    return columns([_row(one, now) for one in shown], headings)


def rotations(shown: Iterable[authority_pb2.Rotation], now: float) -> Text:
    """A line for each rotation: what it does next, and for whom it waits."""
    headings = ("rotation", "of", "kind", "step", "state", "since", "acknowledged")
    return columns([_rotation(one, now) for one in shown], headings)


def step(answer: authority_pb2.StepResponse, console: Console, now: float) -> None:
    """What came of an order, what stands in its way and what breaks."""
    if answer.HasField("authority"):
        console.print(authorities([answer.authority], now))
    if answer.HasField("rotation"):
        console.print(rotations([answer.rotation], now))
    if answer.steps:
        console.print("\nit would:")
        _numbered(answer.steps, console)
    if answer.blockers:
        console.print(f"\n{len(answer.blockers) + answer.blockers_left_out} in the way:")
        console.print(columns([_blocker(one, now) for one in answer.blockers], indent=2))
        _more(answer.blockers_left_out, console)
    if answer.breaks:
        console.print("\nthis breaks:" if answer.changed else "\n--force would break:")
        for text in answer.breaks:
            console.print(f"  {text}", soft_wrap=True)
        _more(answer.breaks_left_out, console)
    if not answer.changed:
        console.print("nothing was changed")


def _more(left_out: int, console: Console) -> None:
    if left_out:
        console.print(f"  and {left_out} more")


def _numbered(texts: Iterable[str], console: Console) -> None:
    for number, text in enumerate(texts, 1):
        console.print(f"  {number}. {text}", soft_wrap=True, highlight=False)


def recovery(answer: authority_pb2.CompromiseResponse, console: Console, *, dry_run: bool) -> None:
    """What replacing a stolen authority does, to whom, and how long it takes."""
    console.print("it would:" if dry_run else "it does:")
    _numbered(answer.steps, console)
    console.print(f"over after {span(answer.recovery_seconds)} at the latest")
    if answer.breaks:
        _lost(answer.breaks, console)
    for text in answer.warnings:
        console.print(f"[yellow]{text}[/yellow]", soft_wrap=True)
    if answer.rotation:
        console.print(f"\nrotation {answer.rotation} is under way: featward ca authority list")


def _lost(clients: Sequence[authority_pb2.Client], console: Console) -> None:
    """Who is away, a line for each identity: a workload has as many clients as it has processes."""
    one = len(clients) == 1
    what = "is not connected, and loses its" if one else "are not connected, and lose their"
    console.print(f"\n{counted(clients, 'client')} {what} identity then:")
    for spiffe_id, number in Counter(client.spiffe_id for client in clients).items():
        console.print(
            f"  {spiffe_id}{f' ({number} clients)' if number > 1 else ''}", soft_wrap=True
        )


def _blocker(one: authority_pb2.Blocker, now: float) -> tuple[str, str]:
    return one.text, f"goes by itself in {span(one.until - now)}" if one.until else ""


def _foreign(one: authority_pb2.Foreign, now: float) -> tuple[str, ...]:
    fetched = f"{span(now - one.fetched_at)} ago" if one.fetched_at else "never"
    end = span(one.first_end - now) if one.first_end else "no roots"
    return one.trust_domain, str(one.sequence), fetched, end, one.error


def _rotation(one: authority_pb2.Rotation, now: float) -> tuple[str, ...]:
    heard = "" if one.state in _OVER else f"{one.acknowledged}/{one.needed}"
    since = span(now - one.step_since)
    return one.id, one.owner, one.kind, one.step, one.state, since, heard


def _row(authority: authority_pb2.Authority, now: float) -> tuple[str, ...]:
    left = span(authority.not_after - now)
    scope = authority.path_prefix or "authorities"
    return (
        authority.owner,
        authority.state,
        scope,
        _day(authority.not_after),
        left,
        str(authority.live_svids),
        authority.id,
    )


def _moment(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _day(moment: int) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d")
