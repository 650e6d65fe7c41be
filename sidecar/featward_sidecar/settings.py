"""Every key of the sidecar's configuration: its name, what values it takes and where it ends up.

One table serves the file, the environment and the flags, so the three can't drift apart. Values come as
text from the environment and flags and as YAML from the file; a reader takes both, and answers with a value
or raises `UnfitError` with a sentence. Only `featward sidecar run|validate|status` import this, never the
running sidecar.
"""

import ipaddress
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path

from featward.logs import Form, Level
from featward_sidecar.configuration import Limits, Outbound

__all__ = ["ENVIRONMENT_PREFIX", "SETTINGS", "Setting", "UnfitError"]

ENVIRONMENT_PREFIX = "FEATWARD_SIDECAR_"
"""Unset and empty mean the same: the file, else the default, decides."""

UNIX_PATH_BYTES = 107
"""Longest path of a UNIX socket: sun_path has 108 bytes with the final zero."""

SOURCES = ("ca", "workload-api", "files")
EVIDENCE = ("join-token", "unix", "kubernetes", "jwt")

Reader = Callable[[object, Path], object]
"""Raw value and the folder that relative paths start from -> value."""


class UnfitError(ValueError):
    """The value can't be used; the text says what was expected, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. ``key`` as in the file (dots for nesting), ``target`` as in the dataclasses."""

    key: str
    target: str
    read: Reader

    @property
    def variable(self) -> str:
        """``server.listen`` -> ``FEATWARD_SIDECAR_SERVER_LISTEN``; ``joinTokenFile`` ->
        ``…_JOIN_TOKEN_FILE``."""
        return (
            ENVIRONMENT_PREFIX
            + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.key).replace(".", "_").upper()
        )


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise UnfitError(f"expected text, found {raw!r}")
    return raw.strip()


def read_workload(raw: object, _: Path) -> str:
    """`business-unit/name`, as a Workload of the manifests is named on command lines, or
    `namespace/serviceaccount`."""
    text = _text(raw)
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)?/[A-Za-z0-9._-]+", text):
        raise UnfitError(
            f"{text!r} is no workload; write business unit and name, such as prod.payments/feast, or namespace "
            "and service account, such as pricing/pricing-api"
        )
    return text


def read_digests(raw: object, _: Path) -> tuple[str, ...]:
    """SHA-256 digests in hex: a list, or text with commas."""
    given = raw.split(",") if isinstance(raw, str) else raw
    found = [str(each).strip().lower() for each in given] if isinstance(given, list) else []
    if not found or not all(re.fullmatch(r"[0-9a-f]{64}", each) for each in found):
        raise UnfitError(
            f"{raw!r} is no SHA-256; write 64 hexadecimal digits, of several roots a list"
        )
    return tuple(found)


def read_address(raw: object, base: Path) -> str:
    """``host:port``, or ``unix:`` with a path."""
    text = _text(raw)
    return _read_unix(text, base) if text.startswith("unix:") else read_tcp(text, base)


def read_local(raw: object, base: Path) -> str:
    """``ip:port`` or ``unix:`` with a path, to listen on."""
    text = _text(raw)
    return _read_unix(text, base) if text.startswith("unix:") else read_listen(text, base)


def _read_unix(text: str, base: Path) -> str:
    return f"unix:{read_socket(text.removeprefix('unix:'), base)}"


def read_tcp(raw: object, _base: Path) -> str:
    """`host:port`."""
    text = _text(raw)
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UnfitError(
            f"{text!r} is no address; write host:port with a port of 0 to 65535, such as 127.0.0.1:15443"
        )
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise UnfitError(
            f"{text!r} is ambiguous; write an IPv6 address in brackets, such as [::1]:{port}"
        )
    return text


def read_listen(raw: object, base: Path) -> str:
    """An address of our own to listen on: no name, because a name may mean several or change."""
    text = read_tcp(raw, base)
    host = text.rpartition(":")[0].strip("[]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise UnfitError(
            f"{host!r} is a name; write the IP address to listen on, such as 127.0.0.1"
        ) from None
    return text


def read_optional_listen(raw: object, base: Path) -> str | None:
    """Where to listen, or None for `none`."""
    return None if raw is None or raw == "none" else read_listen(raw, base)


def read_path(raw: object, base: Path) -> Path:
    """A path, relative to the configuration file."""
    return (base / Path(_text(raw)).expanduser()).resolve()


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


def read_outbound(raw: object, base: Path) -> tuple[Outbound, ...]:
    """A mapping from the file, or ``set=address,set=address`` from a flag or the environment."""
    if isinstance(raw, str):
        raw = dict(_pair(part) for part in raw.split(",") if part.strip())
    if not isinstance(raw, dict):
        raise UnfitError(
            f"expected feature sets with their local addresses, found {raw!r}; "
            "write driver-stats: 127.0.0.1:15100"
        )
    return tuple(_outbound(str(name), value, base) for name, value in raw.items())


def _pair(part: str) -> tuple[str, str]:
    name, equals, address = part.partition("=")
    if not equals:
        raise UnfitError(f"{part!r} has no address; write it as driver-stats=127.0.0.1:15100")
    return name.strip(), address.strip()


def _outbound(name: str, value: object, base: Path) -> Outbound:
    extra: dict[object, object] = {"listen": value}
    if isinstance(value, dict):
        extra = value
        if unknown := sorted(str(key) for key in set(value) - {"listen", "peerUid"}):
            raise UnfitError(
                f"{name} has the unknown key {unknown[0]!r}; it takes listen and peerUid"
            )
    listen = read_local(extra.get("listen"), base)
    uid = extra.get("peerUid")
    if uid is not None and not listen.startswith("unix:"):
        raise UnfitError(
            f"{name} has a peerUid but listens on {listen}; only a unix: address has a peer's user"
        )
    return Outbound(name, listen, None if uid is None else read_whole(uid, base))


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


def read_shared_socket(raw: object, base: Path) -> Path:
    """The path of a UNIX socket that is made beside itself and then renamed."""
    return read_socket(raw, base, spare=len(".new"))


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


def _limits() -> list[Setting]:
    def camel(name: str) -> str:
        return re.sub(r"_(.)", lambda match: match[1].upper(), name)

    return [
        Setting(
            f"limits.{camel(f.name)}",
            f"limits.{f.name}",
            read_seconds if f.type is float else read_positive,
        )
        for f in fields(Limits)
    ]


SETTINGS: tuple[Setting, ...] = (
    Setting("workload", "identity.workload", read_workload),
    Setting("ca", "identity.ca", read_address),
    Setting("joinTokenFile", "identity.join_token_file", read_path),
    Setting("evidence", "identity.evidence", one_of(*EVIDENCE)),
    Setting("tokenFile", "identity.token_file", read_path),
    Setting("rootSha256", "identity.root_sha256", read_digests),
    Setting("source", "identity.source", one_of(*SOURCES)),
    Setting("sourceSocket", "identity.source_socket", read_socket),
    Setting("sourceFiles.chain", "identity.source_chain", read_path),
    Setting("sourceFiles.key", "identity.source_key", read_path),
    Setting("sourceFiles.bundle", "identity.source_bundle", read_path),
    Setting("manifests", "agent.manifests", read_folder),
    Setting("state", "agent.state", read_path),
    Setting("health", "agent.health", read_optional_listen),
    Setting("admin", "agent.admin", read_socket),
    Setting("record", "agent.record", read_path),
    Setting("upstreamTokenFile", "agent.upstream_token_file", read_file),
    Setting("workloadSocket", "agent.workload_socket", read_shared_socket),
    Setting("workloadSocketMode", "agent.workload_socket_mode", read_mode),
    Setting("workers", "agent.workers", read_whole),
    Setting("drainSeconds", "agent.drain_seconds", read_seconds),
    Setting("server.listen", "server.listen", read_listen),
    Setting("server.plain", "server.plain", read_optional_listen),
    Setting("outbound", "outbound", read_outbound),
    Setting("output.folder", "output.folder", read_path),
    Setting("output.reload", "output.reload", read_reload),
    Setting("log.format", "logging.format", one_of(*Form)),
    Setting("log.level", "logging.level", one_of(*Level)),
    *_limits(),
)
