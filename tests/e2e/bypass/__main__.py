"""Measures what a bare Feast server does with every entry, and writes it into the corpus.

``python -m bypass HOST:PORT [NAME…]`` in tests/e2e, against a ``feast serve`` of the demo's repository
(version 0.67.0, nothing before it). The server is only read from; still, use one of your own on
loopback.
"""

import socket
import sys
from collections.abc import Collection
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from bypass.attempt import Outcome, attempt
from bypass.entry import VECTORS, Message, read

# Longer than Feast takes for 100,000 rows; how long a silence has to last to count as no answer.
QUIET_SECONDS = 2.0
FIRST_SECONDS = 20.0
FEW_ROWS = 3
SAYS = 110


def main(host: str, port: int, names: Collection[str]) -> None:
    """Measure the named entries, or all, and rewrite the files."""
    yaml = YAML()
    # Longer than any line: the wire form of a message is read best in one piece.
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=2, offset=0)
    yaml.allow_unicode = True
    for path in sorted(VECTORS.glob("*.yaml")):
        documents = yaml.load(path)
        for document in documents:
            if names and document["name"] not in names:
                continue
            message = read(document).send
            if message.h2 is not None:
                continue  # Feast's server speaks no HTTP/2
            document["feast"] = _one_line(measured(host, port, message))
            document.move_to_end("featward")
            print(f"{document['name']}: {document['feast']}")
        with path.open("w") as out:
            yaml.dump(documents, out)


def _one_line(value: dict[str, Any]) -> CommentedMap:
    line = CommentedMap(value)
    line.fa.set_flow_style()
    return line


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
