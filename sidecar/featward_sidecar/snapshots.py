"""The policy snapshots that this sidecar keeps on disk: the one in use and the one before it.

They let a sidecar start while its manifests are broken or its operator is away. A file's name is its digest, so
damage shows; its time of change says when it was last known to be current, which is what the age limit looks
at. Only a snapshot that the engine has accepted is kept, and writing is atomic: a crash leaves the old ones.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from featward_sidecar.errors import SnapshotError

__all__ = ["OLDEST_SECONDS", "Header", "SnapshotFolder", "read_header", "read_upstreams"]

OLDEST_SECONDS = 7 * 86_400.0
"""A snapshot read at start may be this old: long enough for a broken week, too short to bring back last
quarter's grants. One that is in use has no limit: bindings expire by date in the engine."""

KEPT = 2
_SUFFIX = ".snapshot"


@dataclass(frozen=True, slots=True)
class Header:
    """The first fields of a `featward.policy.v1.Snapshot`."""

    environment: str
    trust_domain: str
    workload: str


def read_header(snapshot: bytes) -> Header:
    """Read environment, trust domain and workload without reading the rest.

    The message has its fields in order (it is deterministic), and a full parse of 100,000 bindings would leave
    some 100 MB in this process for three strings. Raises SnapshotError.
    """
    texts = {3: "", 4: "", 5: ""}
    try:
        for number, content in _fields(snapshot, last=5):
            if number in texts and isinstance(content, bytes):
                texts[number] = content.decode()
    except (IndexError, ValueError) as error:
        raise SnapshotError(f"the snapshot can't be read: {error}") from error
    if not texts[4] or not texts[5]:
        raise SnapshotError("the snapshot names no trust domain or no workload")
    return Header(texts[3], texts[4], texts[5])


def read_upstreams(snapshot: bytes) -> tuple[tuple[str, int], ...]:
    """Host and port of each feature server that the sets of a snapshot are behind, as little read of it.

    Raises SnapshotError.
    """
    try:
        return tuple(dict.fromkeys(_upstreams(snapshot)))
    except (IndexError, ValueError) as error:
        raise SnapshotError(f"the snapshot's endpoints can't be read: {error}") from error


def _upstreams(snapshot: bytes) -> Iterator[tuple[str, int]]:
    for number, feature_set in _fields(snapshot, last=6):
        if number != 6 or not isinstance(feature_set, bytes):
            continue
        for inner, endpoint in _fields(feature_set, last=10):
            if inner == 10 and isinstance(endpoint, bytes):
                told = dict(_fields(endpoint, last=3))
                host, port = told.get(2, b""), told.get(3, 0)
                if isinstance(host, bytes) and isinstance(port, int):
                    yield host.decode(), port


def _fields(message: bytes, last: int) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a message up to this number: bytes, or a whole number. Raises IndexError or ValueError."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if number > last:
            return
        size, position = _varint(message, position)
        if wire_type == 2:
            yield number, message[position : position + size]
            position += size
        elif wire_type == 0:
            yield number, size
        else:
            raise ValueError(f"wire type {wire_type}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("an endless number")


class SnapshotFolder:
    """``<state>/snapshots``. One process writes it: the state folder is locked."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        folder.mkdir(mode=0o700, exist_ok=True)

    @property
    def incoming(self) -> Path:
        """Where a compiler writes the next one; `keep` moves it to its name."""
        return self._folder / "incoming"

    def write(self, snapshot: bytes) -> None:
        """Put what did not come from a compiler into `incoming`. Raises OSError.

        All but the newest kept one go first: in a pod this folder is in memory, and has a limit.
        """
        self._prune(KEPT - 1)
        try:
            self.incoming.write_bytes(snapshot)
        except OSError:
            self.incoming.unlink(missing_ok=True)
            raise

    def keep(self, digest: str) -> None:
        """The engine uses what is in `incoming`, under this digest: keep it, and the one before."""
        with self.incoming.open("rb") as file:
            os.fchmod(file.fileno(), 0o600)
            os.fsync(file.fileno())
        self.incoming.replace(self._path(digest))
        self.confirm(digest)
        self._sync()
        self._prune(KEPT)

    def confirm(self, digest: str) -> None:
        """This snapshot is current as of now."""
        os.utime(self._path(digest), (self._now(), self._now()))

    def confirmed_at(self, digest: str) -> float:
        """When this snapshot was last current, Unix seconds."""
        return self._path(digest).stat().st_mtime

    def newest(self) -> tuple[str, bytes]:
        """Digest and bytes of the newest one. Raises SnapshotError when there is none that is young enough."""
        paths = self._newest_first()
        if not paths:
            raise SnapshotError("no snapshot was kept from an earlier run")
        age = self._now() - paths[0].stat().st_mtime
        if age > OLDEST_SECONDS:
            raise SnapshotError(
                f"the snapshot kept from an earlier run was last current {age / 86_400:.1f} days ago, "
                f"more than {OLDEST_SECONDS / 86_400:.0f}"
            )
        return paths[0].name.removesuffix(_SUFFIX), paths[0].read_bytes()

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}{_SUFFIX}"

    def _prune(self, count: int) -> None:
        for old in self._newest_first()[count:]:
            old.unlink(missing_ok=True)

    def _newest_first(self) -> list[Path]:
        return sorted(
            self._folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True
        )

    def _sync(self) -> None:
        """Make the new name survive a power cut."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
