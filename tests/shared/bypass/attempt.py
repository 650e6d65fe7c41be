"""Makes an entry's attempt on an open connection and tells what came back."""

import socket
from contextlib import suppress
from dataclasses import dataclass

from bypass.entry import Message
from bypass.http1 import Answer, Answers
from bypass.http2 import Streams, request


@dataclass(frozen=True)
class Outcome:
    """The answers that came, and whether the connection ended after them."""

    answers: tuple[Answer, ...]
    ended: bool

    @property
    def statuses(self) -> tuple[int, ...]:
        """The answers' statuses."""
        return tuple(answer.status for answer in self.answers)


def attempt(
    connection: socket.socket, message: Message, *, answers: int | None, until_end: bool = False
) -> Outcome:
    """Send, and read so many answers: all that come, when `answers` is None.

    With `until_end`, wait for the end of the connection too. The connection's own timeout bounds
    the waits.
    """
    # The server may answer and close before it has read everything; its answer still counts.
    with suppress(OSError):
        connection.sendall(_bytes(message))
    if message.then == "close":
        return Outcome((), ended=True)
    if message.h2 is not None:
        answer = Streams(connection).answer()
        return Outcome(() if answer is None else (answer,), ended=answer is None)
    reader = Answers(connection)
    got: list[Answer] = []
    while answers is None or len(got) < answers:
        try:
            answer = reader.next()
        except TimeoutError:
            return Outcome(tuple(got), ended=False)
        if answer is None:
            return Outcome(tuple(got), ended=True)
        got.append(answer)
    return Outcome(tuple(got), ended=until_end and reader.ended())


def _bytes(message: Message) -> bytes:
    if message.h2 is not None:
        return request(message)
    wire = message.wire()
    return wire[: len(wire) - message.cut]
