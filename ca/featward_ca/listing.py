"""How `featward ca clients`, `ca namespace move` and `ca ban list` look on a terminal.

What clients say of themselves is shown as they said it, without markup.
"""

import time
from collections.abc import Iterable

from rich.console import Console

from featward.authority.v1 import authority_pb2
from featward.cli.columns import columns
from featward_ca.clock import span


def show_clients(answer: authority_pb2.ListClientsResponse, console: Console) -> None:
    """A table of clients, and how to see more of them."""
    now = time.time()
    headings = (
        "identity",
        "connected",
        "acknowledged",
        "SVID ends in",
        "authority",
        "by",
        "clock",
        "version",
        "client",
    )
    rows = [_client(client, now) for client in answer.clients]
    console.print(columns(rows, headings), soft_wrap=True)
    console.print(f"{len(rows)} of {answer.total} clients", highlight=False)
    if answer.next:
        console.print(f"more: --after {answer.next}", highlight=False, soft_wrap=True)


def show_moved(answer: authority_pb2.MoveNamespaceResponse, console: Console) -> None:
    """Whose identity changes with the business unit of their namespace."""
    if not answer.affected:
        console.print("no client is affected")
        return
    now = time.time()
    headings = ("identity", "connected", "SVID ends in", "client")
    rows = [
        (
            one.spiffe_id,
            "yes" if one.connected else "no",
            span(one.not_after - now),
            one.lineage,
        )
        for one in answer.affected
    ]
    console.print(columns(rows, headings), soft_wrap=True)
    console.print("they get another identity at their next renewal", highlight=False)


def _client(client: authority_pb2.Client, now: float) -> tuple[str, ...]:
    seen = f"seen {span(now - client.seen_at)} ago" if client.seen_at else "no stream yet"
    return (
        client.spiffe_id,
        "yes" if client.connected else seen,
        str(client.acknowledged_sequence),
        span(client.not_after - now),
        client.authority,
        client.method,
        f"{client.clock_offset_ms / 1000:+.1f}s",
        _plain(client.version) or "?",
        client.lineage,
    )


def show_bans(bans: Iterable[authority_pb2.BanEntry], console: Console) -> None:
    """A table of bans."""
    now = time.time()
    rows = [
        (ban.id, ban.kind, ban.value, _until(ban, now), ban.by, _plain(ban.reason)) for ban in bans
    ]
    headings = ("ban", "of", "whom", "in force", "by", "reason")
    console.print(columns(rows, headings) if rows else "nobody is banned", soft_wrap=True)


def _plain(text: str) -> str:
    """A reason in one line that does not move the cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _until(ban: authority_pb2.BanEntry, now: float) -> str:
    if not ban.expires_at:
        return "until lifted"
    return f"for {span(ban.expires_at - now)}" if ban.expires_at > now else "over"
