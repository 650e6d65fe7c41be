"""How `featward ca status` shows what the CA says about itself."""

import datetime
import json

from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from featward.authority.v1 import authority_pb2


def as_json(answer: authority_pb2.ShowResponse) -> str:
    """All of it, with the names of the protocol; digests in hex."""
    shown = MessageToDict(
        answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    shown["root_sha256"] = answer.root_sha256.hex()
    for name in (
        "sequence",
        "live_svids",
        "live_identities",
        "tainted_lineages",
        "streams",
        "streams_behind",
    ):
        shown[name] = getattr(answer, name)  # protobuf's JSON makes texts of 64-bit numbers
    for entry, authority in zip(shown["authorities"], answer.authorities, strict=True):
        entry |= {"not_before": authority.not_before, "not_after": authority.not_after}
        entry["spki_sha256"] = authority.spki_sha256.hex()
    return json.dumps(shown, indent=2)


def show(answer: authority_pb2.ShowResponse, console: Console) -> None:
    """A table of authorities, and the rest in a few lines."""
    console.print(f"environment {answer.environment}, trust domain {answer.trust_domain}")
    table = Table("authority", "of", "state", "may sign", "ends", "in")
    for authority in answer.authorities:
        left = authority.not_after - answer.server_time
        table.add_row(
            authority.id,
            authority.owner,
            authority.state,
            authority.path_prefix or "authorities",
            _day(authority.not_after),
            span(left),
        )
    console.print(table)
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
    if answer.tainted_lineages:
        console.print(
            f"[red]{answer.tainted_lineages} lineages are tainted: svid-cloned[/red]",
        )
    if answer.unsafe_short_lives:
        console.print("[yellow]unsafe short lives: for tests only[/yellow]")


def span(seconds: float) -> str:
    """A length of time in its two largest units: ``6d 23h``."""
    left = int(max(0, seconds))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2]) or "0s"


def _day(moment: int) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
