"""How `featward ca status` and `why-expiry` show what the CA says."""

import datetime
import json
from typing import Any

from google.protobuf.message import Message
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from featward.authority.v1 import authority_pb2
from featward.cli.columns import columns


def as_json(answer: Message) -> str:
    """All of an answer, with the names of the protocol; digests in hex, what is absent null."""
    return json.dumps(_plain(answer), indent=2)


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
    if answer.tainted_lineages:
        console.print(
            f"[red]{answer.tainted_lineages} lineages are tainted: svid-cloned[/red]",
        )
    if answer.HasField("halted"):
        halted = answer.halted
        since = _moment(int(halted.since))
        console.print(
            f"[red]issuing is halted since {since} by {escape(halted.by)}"
            f" ({escape(halted.reason or 'no reason given')}); featward ca resume[/red]",
        )
    if answer.unsafe_short_lives:
        console.print("[yellow]unsafe short lives: for tests only[/yellow]")


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
    headings = ("of", "state", "may sign", "ends", "in", "authority")
    rows = [_row(authority, answer.server_time) for authority in answer.authorities]
    return columns(rows, headings)


def _row(authority: authority_pb2.Authority, now: float) -> tuple[str, ...]:
    left = span(authority.not_after - now)
    scope = authority.path_prefix or "authorities"
    return authority.owner, authority.state, scope, _day(authority.not_after), left, authority.id


def span(seconds: float) -> str:
    """A length of time in its two largest units: ``6d 23h``."""
    left = int(max(0, seconds))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2]) or "0s"


def _moment(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _day(moment: int) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d")
