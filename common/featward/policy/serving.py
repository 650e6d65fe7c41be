"""The bytes that snapshots of one serving workload are put together from, each kept until an edit concerns it.

A snapshot is a protobuf message whose lists are written one entry after another, so the bytes of an entry can
be kept and joined with others: what an edit of one binding costs is one message, whatever else is granted.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from featward.policy.v1.snapshot_pb2 import Binding, FeatureSet, Remote, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featward.manifests.catalogue import Set
    from featward.manifests.findings import Finding
    from featward.policy.bindings import Grantable
    from featward.policy.dependents import Key
    from featward.policy.overrides import Chosen

__all__ = ["Base", "ServedSet", "entry"]

# The numbers of the lists in snapshot.proto, each with the wire type of what has a length.
_TAGS = {FeatureSet: bytes([6 << 3 | 2]), Binding: bytes([7 << 3 | 2]), Remote: bytes([8 << 3 | 2])}


def entry(message: FeatureSet | Binding | Remote) -> bytes:
    """One entry of its list in a Snapshot, with tag and length in front."""
    content = message.SerializeToString(deterministic=True)
    return _TAGS[type(message)] + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


@dataclass(frozen=True, slots=True)
class ServedSet:
    """A compiled set, and what its bindings may grant."""

    document: Set
    message: FeatureSet
    written: bytes
    allowed: Grantable


@dataclass(slots=True)
class Base:
    """What one workload serves and grants, without overrides."""

    sets: dict[Key, ServedSet] = field(default_factory=dict)
    # Of the bindings that grant something; the keys sorted, as they are in a snapshot.
    order: list[Key] = field(default_factory=list)
    entries: dict[Key, bytes] = field(default_factory=dict)
    set_of: dict[Key, Key] = field(default_factory=dict)
    findings: dict[Key, tuple[Finding, ...]] = field(default_factory=dict)
    # Of the snapshots that were made of it: a sidecar that has one of them may get another.
    digests: set[str] = field(default_factory=set)

    def copy(self) -> Base:
        """Another to work on, while this one is in use."""
        return Base(
            dict(self.sets),
            [*self.order],
            dict(self.entries),
            dict(self.set_of),
            dict(self.findings),
        )

    def remove(self, key: Key) -> None:
        """Take a binding out, if it is there."""
        self.findings.pop(key, None)
        if self.entries.pop(key, None) is not None:
            del self.order[bisect_left(self.order, key)]
            del self.set_of[key]
        self.digests.clear()

    def insert(self, key: Key, feature_set: Key, message: Binding) -> None:
        """Put a binding in that is not there."""
        insort(self.order, key)
        self.entries[key] = entry(message)
        self.set_of[key] = feature_set
        self.digests.clear()

    def parts(self, chosen: Chosen) -> tuple[list[bytes], bool]:
        """The entries of sets and bindings with their overrides, and whether any is written into them."""
        overridden = False
        parts = []
        for key in sorted(self.sets):
            one = self.sets[key]
            if chosen.of_set(*key) is None:
                parts.append(one.written)
                continue
            message = FeatureSet()
            message.CopyFrom(one.message)
            chosen.write_set(message)
            overridden |= message.HasField("override")
            parts.append(entry(message))
        if chosen.lowered:
            parts += self._left_open(chosen)
            return parts, False
        closed = [key for key in chosen.bindings if key in self.entries]
        if not closed:
            parts += map(self.entries.__getitem__, self.order)
            return parts, overridden
        rewritten = {key: self._closed(key, chosen) for key in closed}
        parts += (rewritten.get(key) or self.entries[key] for key in self.order)
        return parts, True

    def _left_open(self, chosen: Chosen) -> Iterable[bytes]:
        closed = {key for key in self.sets if chosen.closes(*key)}
        for key in self.order:
            if key not in chosen.bindings and self.set_of[key] not in closed:
                yield self.entries[key]

    def _closed(self, key: Key, chosen: Chosen) -> bytes:
        # An entry is a snapshot with nothing else in it.
        one = Snapshot.FromString(self.entries[key]).bindings[0]
        chosen.write_binding(one)
        return entry(one)
