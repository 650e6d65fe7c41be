"""The policy snapshots that this sidecar keeps on disk: the one in use and the one before it.

They let a sidecar start while its manifests are broken. A file's name is its digest, so damage shows; its
time of change says when it was last known to be current, which is what the age limit looks at. Only a
snapshot that the engine has accepted is kept, and writing is atomic: a crash leaves the old ones.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from featward_sidecar.errors import SnapshotError

__all__ = ["OLDEST_SECONDS", "Header", "SnapshotFolder", "read_header"]

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
    position = 0
    try:
        while position < len(snapshot):
            tag, position = _varint(snapshot, position)
            number, wire_type = tag >> 3, tag & 7
            if number > 5:
                break
            size, position = _varint(snapshot, position)
            if wire_type == 2:
                if number in texts:
                    texts[number] = snapshot[position : position + size].decode()
                position += size
            elif wire_type != 0:
                raise ValueError(f"wire type {wire_type}")
    except (IndexError, ValueError) as error:
        raise SnapshotError(f"the snapshot can't be read: {error}") from error
    if not texts[4] or not texts[5]:
        raise SnapshotError("the snapshot names no trust domain or no workload")
    return Header(texts[3], texts[4], texts[5])


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

    def keep(self, digest: str) -> None:
        """The engine uses what is in `incoming`, under this digest: keep it, and the one before."""
        with self.incoming.open("rb") as file:
            os.fchmod(file.fileno(), 0o600)
            os.fsync(file.fileno())
        self.incoming.replace(self._path(digest))
        self.confirm(digest)
        self._sync()
        for old in self._newest_first()[KEPT:]:
            old.unlink(missing_ok=True)

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
