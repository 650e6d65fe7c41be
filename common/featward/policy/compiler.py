"""Compiles manifests to the snapshot of one workload: all that its sidecar needs to decide, and no more.

The outcome depends on the documents alone, not on their order, their files or the time: lists are sorted as
snapshot.proto says, and what has expired stays in, for the engine refuses it by date. What the rules settle by
themselves (a second claim, a consent that nobody gave, a version that is missed) is settled here; validation
has reported it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featward.errors import CompileError
from featward.manifests.catalogue import Catalogue
from featward.manifests.validation import validate_catalogue
from featward.policy.bindings import compile_binding, grantable
from featward.policy.feature_sets import compile_feature_sets
from featward.policy.overrides import apply_overrides
from featward.policy.v1.snapshot_pb2 import Binding, Remote, Snapshot
from featward.policy.workloads import (
    AddressOf,
    beginning,
    called_by,
    environment_of,
    remote,
    written_address,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from featward.identity.spiffe import SpiffeId
    from featward.manifests.catalogue import Set
    from featward.manifests.findings import Finding
    from featward.manifests.loading import Loaded
    from featward.policy.overrides import InForce

__all__ = ["ENGINE_VERSION", "Compiled", "Compiler", "compile"]

# The newest engine that snapshots are written for. What an older one does not know is in them only where it
# says something, and then `engine_version` tells so: without overrides the first engine reads all.
ENGINE_VERSION = "0.2.0"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A snapshot as bytes, its digest (SHA-256, lower-case hex), and what was found on the way."""

    snapshot_bytes: bytes
    digest: str
    findings: tuple[Finding, ...]


def compile(loaded: Loaded, workload: SpiffeId, now: int | None = None) -> Compiled:  # noqa: A001  # the verb of the field
    """The snapshot of one workload; a workload that serves nothing gets the addresses of others only.

    Raises CompileError, with the findings, when a document is wrong in a way that blocks, or when the workload
    is none that the documents know of.
    """
    return Compiler(loaded, now).compile(workload)


class Compiler:
    """Validates once and compiles for as many workloads as are asked for.

    ``engine`` is the version of the engine that will read the snapshots; for one that is older than something
    in them they are lowered to what it knows. ``overrides`` are those in force: whoever passes them compiles
    again when one ends, because a lowered snapshot does not end by itself. ``address_of`` says where the
    sidecar of a feature set listens, by default as its manifest does.
    """

    def __init__(
        self,
        loaded: Loaded,
        now: int | None = None,
        *,
        engine: str = ENGINE_VERSION,
        overrides: Iterable[InForce] = (),
        address_of: AddressOf = written_address,
    ) -> None:
        self._engine, self._overrides = engine, tuple(overrides)
        self._address_of = address_of
        self.catalogue = Catalogue(loaded.documents, loaded.malformed)
        self.findings = tuple(sorted((*loaded.findings, *validate_catalogue(self.catalogue, now))))

    def compile(self, workload: SpiffeId, outbound: Collection[str] | None = None) -> Compiled:
        """The snapshot of this workload, with the servers of the sets that it calls ([namespace/]name).

        ``outbound`` None is for one that may call any of its environment.
        """
        blocking = [finding for finding in self.findings if finding.blocks]
        if blocking:
            message = f"the manifests hold errors ({len(blocking)}), the first: {blocking[0]}"
            raise CompileError(message, self.findings)
        snapshot = self._snapshot(workload, outbound)
        content = snapshot.SerializeToString(deterministic=True)
        return Compiled(content, hashlib.sha256(content).hexdigest(), self.findings)

    def _snapshot(self, workload: SpiffeId, outbound: Collection[str] | None) -> Snapshot:
        environment = environment_of(self.catalogue, workload, self.findings)
        sets = self.catalogue.served_by.get(workload, [])
        snapshot = beginning(environment, workload)
        snapshot.feature_sets.extend(compile_feature_sets(self.catalogue, sets))
        snapshot.remotes.extend(self._remotes(environment.model.spec.trust_domain, outbound))
        # Sets are sorted and bindings live in their set's namespace, but two sets of one may share it.
        bindings = sorted(self._bindings(sets, snapshot), key=lambda one: (one.namespace, one.name))
        snapshot.bindings.extend(bindings)
        apply_overrides(snapshot, self._overrides, self._engine)
        return snapshot

    def _bindings(self, sets: Iterable[Set], snapshot: Snapshot) -> Iterator[Binding]:
        for feature_set, compiled in zip(_sorted(sets), snapshot.feature_sets, strict=True):
            served = (feature.name for feature in compiled.features)
            allowed = grantable(self.catalogue, feature_set, served)
            for binding in self.catalogue.bindings_of.get((compiled.namespace, compiled.name), ()):
                one = compile_binding(self.catalogue, binding, feature_set, allowed)
                if one is not None:
                    yield one

    def _remotes(self, trust_domain: str, outbound: Collection[str] | None) -> Iterator[Remote]:
        for feature_set in _sorted(self.catalogue.feature_sets.values()):
            if outbound is None or not called_by(feature_set).isdisjoint(outbound):
                one = remote(self.catalogue, feature_set, trust_domain, self._address_of)
                if one is not None:
                    yield one


def _sorted(sets: Iterable[Set]) -> list[Set]:
    return sorted(sets, key=lambda one: (one.model.metadata.namespace, one.model.metadata.name))
