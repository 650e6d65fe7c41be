"""Measures what a bare Feast server does with every entry, and writes it into the corpus.

``python -m bypass HOST:PORT [NAME…]`` in tests/e2e, against a ``feast serve`` of the demo's repository
(version 0.67.0, nothing before it). The server is only read from; still, use one of your own on
loopback.
"""

import re
import socket
import sys
from collections.abc import Collection
from typing import Any

import yaml

from bypass.attempt import Outcome, attempt
from bypass.entry import VECTORS, Entry, Message, entries

# Longer than Feast takes for 100,000 rows; how long a silence has to last to count as no answer.
QUIET_SECONDS = 2.0
FIRST_SECONDS = 20.0
FEW_ROWS = 3
SAYS = 110


def main(host: str, port: int, names: Collection[str]) -> None:
    """Measure the named entries, or all, and write each as soon as it is measured."""
    for entry in entries():
        # Feast's server speaks no HTTP/2.
        if entry.send.h2 is None and (not names or entry.name in names):
            found = measured(host, port, entry.send)
            print(f"{entry.name}: {found}")
            write(entry, found)


def write(entry: Entry, found: dict[str, Any]) -> None:
    """Put the line `feast` of an entry in its file, and leave the rest of the file as it is."""
    line = f"  feast: {_flow(found)}\n"
    start = re.compile(rf"^- name: {re.escape(entry.name)}\n", re.MULTILINE)
    for path in VECTORS.glob("*.yaml"):
        text = path.read_text()
        if begins := start.search(text):
            head, rest = text[: begins.end()], text[begins.end() :]
            before, mark, after = rest.partition("  featward:")
            before = re.sub(r"^  feast: .*\n", "", before, flags=re.MULTILINE)
            path.write_text(f"{head}{before}{line}{mark}{after}")


def _flow(found: dict[str, Any]) -> str:
    text = yaml.safe_dump(
        found, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000
    )
    return text.strip()


def measured(host: str, port: int, message: Message) -> dict[str, Any]:
    """What Feast does with the message alone, in the form of an entry's `feast`."""
    with socket.create_connection((host, port), timeout=FIRST_SECONDS) as connection:
        first = attempt(connection, message, answers=1)
        answers = list(first.answers)
        if answers and not first.ended:
            connection.settimeout(QUIET_SECONDS)
            rest = attempt(connection, Message(raw=""), answers=None)
            answers += rest.answers
    return described(Outcome(tuple(answers), ended=first.ended))


def described(outcome: Outcome) -> dict[str, Any]:
    """An outcome in the form of an entry's `feast`."""
    found: dict[str, Any] = {"statuses": list(outcome.statuses)}
    for answer in outcome.answers:
        if answer.status != 200:
            found.setdefault("says", answer.body.decode(errors="replace")[:SAYS])
        elif answer.body.startswith(b'{"results"') and "reads" not in found:
            found |= _columns(answer.json())
    return found


def _columns(answer: dict[str, Any]) -> dict[str, Any]:
    names = answer["metadata"]["feature_names"]
    columns = dict(zip(names, (result["values"] for result in answer["results"]), strict=True))
    rows = max((len(values) for values in columns.values()), default=0)
    return {"rows": rows} if rows > FEW_ROWS else {"reads": columns}


if __name__ == "__main__":
    server, _, number = sys.argv[1].rpartition(":")
    main(server, int(number), sys.argv[2:])
