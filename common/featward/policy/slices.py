"""Compiles snapshots in a cluster: one slice of the index for each workload, of it only what an edit touched.

What is wrong reaches as far as its scope says. A binding that is wrong grants nothing. A set that is wrong, or
what says who may exist, *holds* its workload: the snapshot stays as it was before the slip, overrides apart,
until that is put right. Where this process has made none before, a held workload gets one without the sets that
are wrong, which grants no more than either.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from featward.policy.compiler import Compiled
from featward.policy.overrides import KNOWN_SINCE, Chosen, lowers, overrides_in_force
from featward.policy.refreshing import Refreshing, Served, Work
from featward.policy.serving import entry
from featward.policy.workloads import beginning, environment_of, remote, written_address

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator

    from featward.identity.spiffe import SpiffeId
    from featward.manifests.document import Document
    from featward.manifests.findings import Finding
    from featward.manifests.platform import Environment
    from featward.policy.index import Dirt, PolicyIndex
    from featward.policy.overrides import InForce
    from featward.policy.serving import Base
    from featward.policy.workloads import AddressOf

__all__ = ["Outcome", "SliceCompiler", "Standing", "Work"]

# Hashed at once: below a millisecond, as everything that holds the loop.
_HASHED = 1 << 19
# Workloads without a stream whose slices are kept: as many as may restart together.
_KEPT_IDLE = 256


class Standing(StrEnum):
    """Where a snapshot comes from."""

    FRESH = "fresh"
    """From the documents as they are."""
    LAST_GOOD = "last-good"
    """From what they were before something went wrong."""
    REDUCED = "reduced"
    """Without what is wrong, as no better one is known. Whoever has a policy keeps it."""
    NONE = "none"
    """There is none: nothing is known but what is wrong."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What there is for one workload.

    ``compiled`` is what a sidecar gets that has none; one that has a policy gets it only if it `replaces` that.
    ``held`` says why edits wait; () where none does. ``again_at`` is when to compile again without an edit, in
    Unix seconds: an override ends, or a date that the rules look at comes.
    """

    standing: Standing
    compiled: Compiled | None
    held: tuple[Finding, ...]
    findings: tuple[Finding, ...]
    again_at: float | None = None
    lineage: frozenset[str] = field(default=frozenset(), compare=False)

    def replaces(self, digest: str) -> bool:
        """Whether it is newer than the snapshot of this digest ("" for none), as far as can be told."""
        if self.compiled is None or self.compiled.digest == digest:
            return False
        if self.standing is Standing.FRESH or not digest:
            return True
        return self.standing is Standing.LAST_GOOD and digest in self.lineage


class SliceCompiler:
    """Compiles for as many workloads as an index knows. ``address_of`` says where their servers listen."""

    def __init__(self, index: PolicyIndex, *, address_of: AddressOf = written_address) -> None:
        self.work = Work()
        self._index, self._catalogue = index, index.catalogue
        self._refreshing = Refreshing(index, self.work)
        self._address_of = address_of
        self._served: dict[SpiffeId, Served] = {}
        # Those that nobody follows any more, the longest ago first.
        self._idle: dict[SpiffeId, None] = {}
        index.on_dirt = self._take

    def compile(
        self, workload: SpiffeId, outbound: Collection[str], engine: str, now: float
    ) -> Outcome:
        """What there is for a workload that calls these sets, read by an engine of this version.

        Raises UnknownWorkloadError for one that is none of ours, CompileError for an engine without a version.
        """
        steps = self._compile(workload, frozenset(outbound), lowers(engine), now)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                found: Outcome = end.value
                return found

    async def compile_gently(
        self,
        workload: SpiffeId,
        outbound: Collection[str],
        engine: str,
        now: float,
        slice_seconds: float = 0.002,
    ) -> Outcome:
        """The same, giving the loop back whenever it was held for so long. Edits may come in between."""
        async with self._of(workload).lock:
            steps = self._compile(workload, frozenset(outbound), lowers(engine), now)
            until = time.perf_counter() + slice_seconds
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    found: Outcome = end.value
                    return found
                if time.perf_counter() >= until:
                    await asyncio.sleep(0)
                    until = time.perf_counter() + slice_seconds

    def follow(self, workload: SpiffeId, outbound: Collection[str]) -> None:
        """Keep what is compiled for a workload, until as many `unfollow`."""
        self._index.follow(workload, outbound)
        self._idle.pop(workload, None)
        self._of(workload)

    def unfollow(self, workload: SpiffeId, outbound: Collection[str]) -> None:
        """The opposite of one `follow`. What is kept of a workload stays for a while: its next pod is near."""
        self._index.unfollow(workload, outbound)
        if not self._index.follows(workload):
            self._idle[workload] = None
            if len(self._idle) > _KEPT_IDLE:
                oldest = next(iter(self._idle))
                del self._idle[oldest]
                self._served.pop(oldest, None)

    @property
    def held(self) -> frozenset[SpiffeId]:
        """The workloads whose edits wait."""
        return frozenset(one.workload for one in self._served.values() if one.held)

    def _of(self, workload: SpiffeId) -> Served:
        return self._served.setdefault(workload, Served(workload))

    def _take(self, workload: SpiffeId, dirt: Dirt) -> None:
        if workload in self._served:
            self._served[workload].dirt.add(dirt)

    def _compile(
        self, workload: SpiffeId, outbound: frozenset[str], lowered: bool, now: float
    ) -> Generator[None, None, Outcome]:
        served = self._of(workload)
        yield from self._refreshing.refresh(served, now)
        held, base, standing = served.held, served.base, Standing.FRESH
        if held:
            standing = Standing.LAST_GOOD
            if base is None:
                yield from self._refreshing.reduce(served, now)
                base, standing = served.reduced, Standing.REDUCED
        environment = self._environment(workload, held)
        if base is None or environment is None:
            return Outcome(Standing.NONE, None, held, held)
        in_force = overrides_in_force(self._catalogue, now)
        name = environment.model.metadata.name
        parts, overridden = base.parts(Chosen(in_force, name, lowered=lowered))
        snapshot = beginning(environment, workload)
        if overridden:
            snapshot.engine_version = KNOWN_SINCE
        parts.insert(0, snapshot.SerializeToString(deterministic=True))
        parts += self._remotes(outbound, environment.model.spec.trust_domain)
        yield
        self.work.joined += 1
        content = b"".join(parts)
        yield
        digest = hashlib.sha256()
        for begin in range(0, len(content), _HASHED):
            digest.update(memoryview(content)[begin : begin + _HASHED])
            yield
        findings = (
            *served.platform,
            *served.sets,
            *(f for one in base.findings.values() for f in one),
        )
        lineage = frozenset(base.digests)
        base.digests.add(digest.hexdigest())
        return Outcome(
            standing,
            Compiled(content, digest.hexdigest(), ()),
            held,
            findings,
            _next(served, base, in_force, name),
            lineage,
        )

    def _environment(
        self, workload: SpiffeId, held: tuple[Finding, ...]
    ) -> Document[Environment] | None:
        """The workload's. Who is held may not be known any more, and keeps its environment. Raises
        UnknownWorkloadError.
        """
        if not held:
            return environment_of(self._catalogue, workload)
        for environment in self._catalogue.environments.values():
            if environment.model.spec.trust_domain == workload.trust_domain:
                return environment
        return None

    def _remotes(self, outbound: frozenset[str], trust_domain: str) -> Iterator[bytes]:
        for feature_set in self._index.sets_called(outbound):
            one = remote(self._catalogue, feature_set, trust_domain, self._address_of)
            if one is not None:
                yield entry(one)


def _next(
    served: Served, base: Base, in_force: tuple[InForce, ...], environment: str
) -> float | None:
    ends = [
        float(one.until)
        for one in in_force
        if one.environment == environment
        or one.feature_set in base.sets
        or one.binding in base.entries
    ]
    return min([*ends, *served.flips.values()], default=None)
