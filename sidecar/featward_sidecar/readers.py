"""Reads one value of the configuration: as text from the environment and flags, or as YAML from the file.

Each reader takes both and answers with a value, or raises `UnfitError` with a sentence: what was found, what
was expected, what to write instead. Never imported by the running sidecar.
"""

import os
import re
import shlex
from collections.abc import Callable
from math import isfinite
from pathlib import Path

from featward.errors import SpiffeIdError
from featward.identity.called import Called
from featward.identity.spiffe import TrustDomain

__all__ = [
    "Reader",
    "UnfitError",
    "one_of",
    "read_digests",
    "read_file",
    "read_flag",
    "read_folder",
    "read_mode",
    "read_path",
    "read_positive",
    "read_record_bytes",
    "read_reload",
    "read_seconds",
    "read_shared_socket",
    "read_socket",
    "read_text",
    "read_trust_domain",
    "read_whole",
    "read_workload",
]

Reader = Callable[[object, Path], object]
"""Raw value and the folder that relative paths start from -> value."""

UNIX_PATH_BYTES = 107
"""Longest path of a UNIX socket: sun_path has 108 bytes with the final zero."""

SMALLEST_RECORD = 4096
"""As in the engine: below it nearly every line would move the record away."""


class UnfitError(ValueError):
    """The value can't be used; the text says what was expected, and what to write instead."""


def read_text(raw: object) -> str:
    """Text that says something, without blanks around it."""
    if not isinstance(raw, str) or not raw.strip():
        raise UnfitError(f"expected text, found {raw!r}")
    return raw.strip()


def read_workload(raw: object, _: Path) -> str:
    """`business-unit/name`, as a Workload of the manifests is named on command lines, or
    `namespace/serviceaccount`. Not a SPIFFE ID: that does not say which environment it is of."""
    text = read_text(raw)
    write = (
        "write business unit and name, such as prod.payments/feast, or namespace and service account, such as "
        "pricing/pricing-api"
    )
    try:
        called = Called.parse(text)
    except SpiffeIdError:
        raise UnfitError(f"{text!r} is no workload; {write}") from None
    if called.spiffe_id is not None:
        raise UnfitError(f"{text} is a SPIFFE ID, which names no environment; here {write}")
    return text


def read_trust_domain(raw: object, _: Path) -> str:
    """The name of an environment's trust domain."""
    try:
        return str(TrustDomain(read_text(raw)))
    except SpiffeIdError as error:
        raise UnfitError(f"{error}, such as prod.acme.example") from None


def read_digests(raw: object, _: Path) -> tuple[str, ...]:
    """SHA-256 digests in hex: a list, or text with commas."""
    given = raw.split(",") if isinstance(raw, str) else raw
    found = [str(each).strip().lower() for each in given] if isinstance(given, list) else []
    if not found or not all(re.fullmatch(r"[0-9a-f]{64}", each) for each in found):
        raise UnfitError(
            f"{raw!r} is no SHA-256; write 64 hexadecimal digits, of several roots a list"
        )
    return tuple(found)


def read_path(raw: object, base: Path) -> Path:
    """A path, relative to the configuration file. Links are left alone: in a mount of Kubernetes a file is one,
    whose target is replaced when the file changes and gone afterwards.
    """
    return Path(os.path.normpath((base / Path(read_text(raw)).expanduser()).absolute()))


def read_folder(raw: object, base: Path) -> Path:
    """A folder that is there."""
    path = read_path(raw, base)
    if not path.is_dir():
        raise UnfitError(f"there is no folder {path}; create it, or correct the path")
    return path


def read_file(raw: object, base: Path) -> Path:
    """A file that is there."""
    path = read_path(raw, base)
    if not path.is_file():
        raise UnfitError(f"there is no file {path}; create it, or correct the path")
    return path


def read_socket(raw: object, base: Path, spare: int = 0) -> Path:
    """The path of a UNIX socket, short enough for the kernel."""
    path = read_path(raw, base)
    if len(str(path).encode()) > UNIX_PATH_BYTES - spare:
        raise UnfitError(
            f"{path} is too long for a UNIX socket; choose one of at most {UNIX_PATH_BYTES - spare} bytes"
        )
    return path


def read_shared_socket(raw: object, base: Path) -> Path:
    """The path of a UNIX socket that is made beside itself and then renamed."""
    return read_socket(raw, base, spare=len(".new"))


def read_flag(raw: object, _: Path) -> bool:
    """Yes or no: ``true`` or ``false``, as text too."""
    if isinstance(raw, bool):
        return raw
    if raw not in ("true", "false"):
        raise UnfitError(f"{raw!r} is neither true nor false")
    return raw == "true"


def read_whole(raw: object, _: Path) -> int:
    """A whole number from 0 up."""
    value = _number(raw, "a whole number")
    if value != int(value) or value < 0:
        raise UnfitError(f"{raw!r} is not a whole number from 0 up")
    return int(value)


def read_positive(raw: object, base: Path) -> int:
    """A whole number from 1 up."""
    if (value := read_whole(raw, base)) == 0:
        raise UnfitError("0 would refuse everything; write a number from 1 up")
    return value


def read_record_bytes(raw: object, base: Path) -> int:
    """A size in bytes, or 0."""
    value = read_whole(raw, base)
    if 0 < value < SMALLEST_RECORD:
        raise UnfitError(
            f"{raw!r} is too little for a record; write 0 for never, or at least {SMALLEST_RECORD}"
        )
    return value


def read_seconds(raw: object, _: Path) -> float:
    """A duration in seconds, with fractions; the longest is a day, as in the engine."""
    value = _number(raw, "seconds")
    if not 0 < value <= 86_400:
        raise UnfitError(f"{raw!r} is out of range; write seconds above 0 and up to 86400")
    return float(value)


def _number(raw: object, what: str) -> float:
    try:
        if isinstance(raw, bool) or not isinstance(raw, str | int | float):
            raise ValueError
        if not isfinite(number := float(raw)):
            raise ValueError
        return number
    except (ValueError, OverflowError):
        raise UnfitError(f"{raw!r} is no number; write {what}, without a unit") from None


def read_mode(raw: object, _: Path) -> str:
    """Permissions as `chmod` takes them."""
    text = raw if isinstance(raw, str) else ""
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise UnfitError(f'{raw!r} is no mode; write three octal digits in quotes, such as "0600"')
    mode = int(text, 8)
    if mode & 0o600 != 0o600 or mode & 0o111:
        raise UnfitError(f'{raw!r} does not fit a socket; write "0600", "0660" or "0666"')
    return f"{mode:04o}"


def read_reload(raw: object, base: Path) -> tuple[str, ...]:
    """A command as a list of words (text is split as a shell does), or ``signal:`` and a file with a process
    id."""
    if isinstance(raw, str) and raw.startswith("signal:"):
        return (f"signal:{read_path(raw.removeprefix('signal:'), base)}",)
    try:
        words = shlex.split(raw) if isinstance(raw, str) else raw
    except ValueError as error:
        raise UnfitError(f"{raw!r} is no command: {error}") from None
    if not isinstance(words, list) or not words or not all(isinstance(one, str) for one in words):
        raise UnfitError(
            f"expected a command as a list, found {raw!r}; write [systemctl, reload, app], or "
            "signal:/run/app.pid"
        )
    return tuple(words)


def one_of(*choices: str) -> Reader:
    """A reader of a word that is one of these."""

    def read(raw: object, _: Path) -> str:
        if raw not in choices:
            raise UnfitError(f"{raw!r} is not one of {', '.join(choices)}")
        return str(raw)

    return read
