"""Reads what an API server answers: whole bodies, lines as they come, refusals. All of it bounded."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp

from featward.kubernetes.errors import ApiError

__all__ = ["Lines", "decoded", "refusal", "whole"]

# So much is in memory for a moment. 100 objects of the largest that etcd takes would be more: see Reflector.
_LARGEST_ANSWER = 64 << 20
# One object as JSON, which may be a few times as large as what etcd holds.
_LARGEST_LINE = 16 << 20
# The server says in it what is wrong with an object, field by field.
_DETAIL = 1000


async def whole(response: aiohttp.ClientResponse) -> bytes:
    """The body. Raises ApiError (``TooLarge``) when it has no end."""
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) > _LARGEST_ANSWER:
            raise ApiError(0, "TooLarge", None, f"an answer of more than {_LARGEST_ANSWER} bytes")
    return bytes(raw)


class Lines:
    """Cuts a stream into lines."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that end in this chunk, without their ends. Raises ApiError (``Garbled``)."""
        self._kept += chunk
        if len(self._kept) > _LARGEST_LINE:
            raise ApiError(0, "Garbled", None, f"a line of more than {_LARGEST_LINE} bytes")
        if b"\n" not in chunk:
            return
        *lines, rest = bytes(self._kept).split(b"\n")
        self._kept = bytearray(rest)
        yield from (line for line in lines if line)


def decoded(raw: bytes) -> Any:
    """JSON as plain values. Raises ApiError (``Garbled``)."""
    try:
        return json.loads(raw)
    except ValueError as error:
        raise ApiError(0, "Garbled", None, f"the answer is no JSON: {raw[:80]!r}") from error


def refusal(status: int, raw: bytes, headers: Mapping[str, str], word: str) -> ApiError:
    """What the server says with a status that is no success; ``word`` is HTTP's for it."""
    try:
        said = decoded(raw)
    except ApiError:  # a proxy's page
        said = None
    known: Mapping[str, Any] = said if isinstance(said, dict) else {}
    after = headers.get("Retry-After") or (known.get("details") or {}).get("retryAfterSeconds")
    reason = str(known.get("reason") or word or "Refused")
    return ApiError(status, reason, _seconds(after), str(known.get("message") or "")[:_DETAIL])


def _seconds(after: object) -> float | None:
    """Retry-After may be a date too, which no API server sends."""
    try:
        return max(0.0, float(str(after))) if after else None
    except ValueError:
        return None
