"""Reads the addresses of the configuration: whom to call, and where to listen.

Apart from `readers` because they lean on one another. A name may be called and never listened on; what is
listened on may be left to the pod.
"""

import ipaddress
from pathlib import Path

from featward_sidecar.configuration import Outbound
from featward_sidecar.pod import POD
from featward_sidecar.readers import UnfitError, read_socket, read_text, read_whole

__all__ = [
    "read_address",
    "read_listen",
    "read_optional_reachable",
    "read_outbound",
    "read_reachable",
    "read_tcp",
    "read_upstream",
]


def read_address(raw: object, base: Path) -> str:
    """``host:port``, or ``unix:`` with a path."""
    text = read_text(raw)
    return _read_unix(text, base) if text.startswith("unix:") else read_tcp(text, base)


def read_local(raw: object, base: Path) -> str:
    """``ip:port`` or ``unix:`` with a path, to listen on."""
    text = read_text(raw)
    return _read_unix(text, base) if text.startswith("unix:") else read_listen(text, base)


def _read_unix(text: str, base: Path) -> str:
    return f"unix:{read_socket(text.removeprefix('unix:'), base)}"


def read_tcp(raw: object, _base: Path) -> str:
    """`host:port`."""
    text = read_text(raw)
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


def read_reachable(raw: object, base: Path) -> str:
    """Where others reach us: an address of our own, or ``pod:15443``, whose address the environment says."""
    text = read_text(raw)
    if not text.startswith(POD):
        return read_listen(raw, base)
    read_tcp(text, base)
    return text


def read_optional_reachable(raw: object, base: Path) -> str | None:
    """The same, or None for `none`."""
    return None if raw is None or raw == "none" else read_reachable(raw, base)


def read_upstream(raw: object, base: Path) -> str:
    """A port of this machine that none but the machine reaches."""
    text = read_listen(raw, base)
    host, _, port = text.rpartition(":")
    if not ipaddress.ip_address(host.strip("[]")).is_loopback or int(port) == 0:
        raise UnfitError(
            f"{text!r} is not on loopback; write the feature server's port there, such as 127.0.0.1:6566"
        )
    return text


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
