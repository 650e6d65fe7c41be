"""One entry of the corpus: an attempt, what Feast makes of it alone, and what featward must do.

The YAML files are read strictly, so that a misspelt expectation cannot silently expect nothing.
"""

import gzip
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

VECTORS = Path(__file__).parents[2] / "vectors" / "bypass"

REPEATED = re.compile(r"<([^<>]+)\*(\d+)>", re.DOTALL)

Header = tuple[str, str]
Part = TypeVar("Part")


@dataclass(frozen=True)
class Message:
    """What is sent. Either `raw`, or a request line with headers and a body, or `h2`."""

    line: str = "POST /get-online-features HTTP/1.1"
    headers: tuple[str, ...] = ("Host: driver-stats", "Content-Type: application/json")
    # Further header lines, after those.
    add: tuple[str, ...] = ()
    body: str = ""
    # A Python codec or "gzip".
    encode: str = "utf-8"
    # How the body is delimited; "none" leaves it to the headers.
    framing: Literal["length", "chunked", "none"] = "length"
    # The whole message instead, one character a byte.
    raw: str | None = None
    # HTTP/2: the header list in its order, and trailers after the body.
    h2: tuple[Header, ...] | None = None
    trailers: tuple[Header, ...] = ()
    # How many of the last bytes are held back, and what happens then.
    cut: int = 0
    then: Literal["read", "close"] = "read"

    def encoded_body(self) -> bytes:
        """The body as it stands on the wire, before framing."""
        if self.encode == "gzip":
            return gzip.compress(self.body.encode(), mtime=0)
        return self.body.encode(self.encode)

    def wire(self) -> bytes:
        """The bytes of an HTTP/1 message."""
        if self.raw is not None:
            return self.raw.encode("latin-1")
        body = self.encoded_body()
        lines = [self.line, *self.headers, *self.add]
        if self.framing == "length":
            lines.append(f"Content-Length: {len(body)}")
        elif self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
        return head + b"\r\n" + body


@dataclass(frozen=True)
class Alone:
    """What Feast does with the same bytes, measured."""

    # The statuses of its answers; empty when it gives none.
    statuses: tuple[int, ...]
    # The columns of its first good answer with their values, when there are few.
    reads: Mapping[str, list[Any]] | None = None
    # Else how many rows it answered.
    rows: int | None = None
    # The beginning of what it says otherwise.
    says: str | None = None


@dataclass(frozen=True)
class Due:
    """What featward must do."""

    statuses: tuple[int, ...] = ()
    # The reason in the problem document; None when hyper answers before featward is asked.
    reason: str | None = None
    # Whether the connection ends after that.
    closes: bool = False
    # HTTP/2: the stream or the connection is reset instead of an answer.
    resets: bool = False
    # The bodies that the upstream sees, in order; none for a refusal.
    upstream: tuple[Mapping[str, Any], ...] = ()
    # The columns of the last answer.
    columns: tuple[str, ...] | None = None
    # Headers that the upstream must not see.
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One attempt to be read in two ways."""

    name: str
    why: str
    send: Message
    # None: Feast speaks no HTTP/2, so there is nothing to send it.
    feast: Alone | None
    featward: Due


def entries(folder: Path = VECTORS) -> Iterator[Entry]:
    """Every entry of every file, in the order of their names."""
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load(path.read_text()):
            yield read(document)


def read(document: Mapping[str, Any]) -> Entry:
    """An entry from its YAML. Raises TypeError for an unknown or missing key."""
    given = dict(document)
    feast = given.pop("feast", None)
    return Entry(
        send=_made(Message, _expanded(given.pop("send"))),
        feast=None if feast is None else _made(Alone, feast),
        featward=_made(Due, given.pop("featward")),
        **given,
    )


def _expanded(value: Any) -> Any:
    """The value with every ``<text*3>`` in its strings written out, so that vectors stay short."""
    if isinstance(value, str):
        return REPEATED.sub(lambda found: found[1] * int(found[2]), value)
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if isinstance(value, dict):
        return {key: _expanded(item) for key, item in value.items()}
    return value


def _made(kind: type[Part], given: Mapping[str, Any]) -> Part:
    known = kind.__annotations__.keys()
    if unknown := set(given) - known:
        raise TypeError(f"{kind.__name__} knows no {sorted(unknown)}, only {sorted(known)}")
    return kind(**{key: _frozen(value) for key, value in given.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
