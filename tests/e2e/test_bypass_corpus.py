"""Every entry of tests/vectors/bypass, through the real sidecar and against the real Feast.

For each attempt: the answers, the end of the connection, and what the upstream saw, of which the
relay between the two is the witness. After each attempt a harmless request goes through, so that
whatever the attempt set loose towards the upstream has passed the relay by then.
"""

import json
import socket
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from bypass.attempt import Outcome, attempt
from bypass.entry import Alone, Entry, Message, entries
from bypass.relay import Seen, requests
from bypass.target import ProtectedFeast

ENTRIES = list(entries())
MEASURED = [entry for entry in ENTRIES if entry.feast is not None]

# Longer than any deadline of the sidecar in these tests, shorter than pytest's own.
PATIENCE_SECONDS = 15.0
# How long Feast must be silent to count as waiting for more.
SILENCE_SECONDS = 1.0

HARMLESS = {
    "features": ["driver_hourly_stats:acc_rate"],
    "entities": {"driver_id": [1003]},
}


def name(entry: Entry) -> str:
    """The entry's name, for the test's."""
    return entry.name


def test_the_corpus_is_whole() -> None:
    assert len(ENTRIES) == len({entry.name for entry in ENTRIES})
    assert all(entry.why.endswith(".") for entry in ENTRIES)
    # An entry that expects neither an answer nor an end would expect nothing.
    dues = [entry.featward for entry in ENTRIES]
    assert all(due.statuses or due.closes or due.resets for due in dues)


@pytest.mark.parametrize("entry", ENTRIES, ids=name)
def test_an_attempt_has_one_reading_or_none(entry: Entry, protected_feast: ProtectedFeast) -> None:
    before = protected_feast.upstream.mark()
    outcome = made(entry, protected_feast)
    check_answers(entry, outcome)
    send_harmless(protected_feast)
    check_upstream(entry, protected_feast.upstream.since(before))


@pytest.mark.parametrize("entry", MEASURED, ids=name)
def test_feast_alone_does_what_was_measured(entry: Entry, protected_feast: ProtectedFeast) -> None:
    alone = entry.feast
    assert alone is not None
    seconds = PATIENCE_SECONDS if alone.statuses else SILENCE_SECONDS
    with socket.create_connection(protected_feast.feast, timeout=seconds) as connection:
        outcome = attempt(connection, entry.send, answers=len(alone.statuses) or None)
    assert outcome.statuses == alone.statuses
    check_columns(alone, outcome)


def made(entry: Entry, target: ProtectedFeast) -> Outcome:
    """The entry's attempt, through the sidecar."""
    due = entry.featward
    protocol = "http/1.1" if entry.send.h2 is None else "h2"
    with target.connect(protocol, PATIENCE_SECONDS) as connection:
        answers = len(due.statuses) if due.statuses else None
        return attempt(connection, entry.send, answers=answers, until_end=due.closes)


def check_answers(entry: Entry, outcome: Outcome) -> None:
    """The statuses, the reason of the last, its columns, and the connection's end."""
    due = entry.featward
    assert outcome.statuses == due.statuses
    assert outcome.ended == (due.closes or due.resets)
    if due.reason is not None:
        problem = outcome.answers[-1]
        assert problem.reason == due.reason
        assert problem.json()["type"] == f"https://featward.dev/problems/{due.reason}"
    if due.columns is not None:
        answer = outcome.answers[-1].json()
        # Feast gathers features in a set, so that their order is another at each of its starts.
        assert sorted(answer["metadata"]["feature_names"]) == sorted(due.columns)
        assert len(answer["results"]) == len(due.columns)


def check_upstream(entry: Entry, streams: list[bytes]) -> None:
    """What the upstream saw: what was judged, in one spelling, and no header of the client's."""
    seen = [request for stream in streams for request in requests(stream)]
    bodies = [request.body.decode() for request in seen]
    # Connections are pooled, so the harmless request may stand before or after the others.
    bodies.remove(spelled(HARMLESS))
    assert bodies == [spelled(body) for body in entry.featward.upstream]
    for request in seen:
        check_head(request, entry.featward.absent)


def check_head(request: Seen, absent: Iterable[str]) -> None:
    """One line for every request, and of the headers that frame and describe it one each."""
    assert request.line == "POST /get-online-features HTTP/1.1"
    names = [header for header, _ in request.headers]
    for once in ("host", "content-type", "content-length"):
        assert names.count(once) == 1
    assert dict(request.headers)["content-type"] == "application/json"
    assert not set(names) & {"transfer-encoding", *absent}


def check_columns(alone: Alone, outcome: Outcome) -> None:
    """The columns or the number of rows of Feast's first good answer."""
    if alone.reads is None and alone.rows is None:
        return
    answer = next(answer.json() for answer in outcome.answers if answer.status == 200)
    names = answer["metadata"]["feature_names"]
    values = [result["values"] for result in answer["results"]]
    if alone.reads is not None:
        columns = dict(zip(names, values, strict=True))
        assert columns == {key: list(column) for key, column in alone.reads.items()}
    if alone.rows is not None:
        assert {len(column) for column in values} == {alone.rows}


def send_harmless(target: ProtectedFeast) -> None:
    """A request that is granted, on a connection of its own."""
    with target.connect("http/1.1", PATIENCE_SECONDS) as connection:
        outcome = attempt(connection, Message(body=json.dumps(HARMLESS)), answers=1)
    assert outcome.statuses == (200,)


def spelled(body: Mapping[str, Any]) -> str:
    """The one spelling in which featward sends this body."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False, default=list)
