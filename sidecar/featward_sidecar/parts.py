"""Puts the parts of a snapshot together, and gives it out whole or not at all.

Only values: what becomes of the snapshot is `operator_policy`'s. The parts stay in memory, because the engine
takes the whole from there, and in a pod the state folder is memory as well.
"""

import hashlib

from featward.policy.v1 import policy_pb2
from featward_sidecar.errors import SnapshotError

__all__ = ["LARGEST_BYTES", "Parts"]

LARGEST_BYTES = 256 << 20
"""Of a snapshot. One with 100,000 bindings has 40 MB; what is larger would not fit beside a workload."""


class Parts:
    """The parts of one stream, in order. A part that does not fit voids those before it."""

    def __init__(self) -> None:
        self._void()

    @property
    def pending(self) -> bool:
        """Whether a snapshot has begun and is not whole."""
        return bool(self._chunks)

    def take(self, part: policy_pb2.Part) -> bytes | None:
        """The snapshot, once this was its last part.

        Raises SnapshotError for one that does not fit; what is left of the same snapshot is then passed over.
        """
        if part.offset == 0:
            self._begin(part)
        elif part.digest == self._passed_over:
            return None
        try:
            self._check(part)
        except SnapshotError:
            self._void(part.digest)
            raise
        self._chunks.append(part.data)
        self._size += len(part.data)
        self._sum.update(part.data)
        return self._whole() if self._size == self._total else None

    def _begin(self, part: policy_pb2.Part) -> None:
        self._void()
        self._digest, self._total = part.digest, part.total

    def _check(self, part: policy_pb2.Part) -> None:
        if part.total > LARGEST_BYTES:
            raise SnapshotError(
                f"snapshot {part.digest} has {part.total} bytes; at most {LARGEST_BYTES} are taken"
            )
        if (part.digest, part.total, part.offset) != (self._digest, self._total, self._size):
            raise SnapshotError(
                f"a part of snapshot {part.digest} came for byte {part.offset} of {part.total}; expected byte "
                f"{self._size} of {self._total} of {self._digest or 'a new one'}"
            )
        if part.offset + len(part.data) > part.total:
            raise SnapshotError(
                f"a part of snapshot {part.digest} ends at byte {part.offset + len(part.data)}; it has "
                f"{part.total}"
            )

    def _whole(self) -> bytes:
        digest, found, chunks = self._digest, self._sum.hexdigest(), self._chunks
        self._void()
        if found != digest:
            raise SnapshotError(
                f"the snapshot that was sent as {digest} is {found}: it was damaged"
            )
        return b"".join(chunks)

    def _void(self, passed_over: str = "") -> None:
        self._digest, self._total, self._size = "", 0, 0
        self._chunks: list[bytes] = []
        self._sum = hashlib.sha256()
        self._passed_over = passed_over
