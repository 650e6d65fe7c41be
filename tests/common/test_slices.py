"""What a cluster's index compiles for one workload is what all its documents together say, edit by edit."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featward.errors import UnknownWorkloadError
from featward.identity.spiffe import SpiffeId
from featward.manifests import Catalogue, Document, Loaded, validate
from featward.manifests.findings import Scope
from featward.manifests.objects import document_of
from featward.policy.compiler import Compiler
from featward.policy.index import PolicyIndex
from featward.policy.overrides import overrides_in_force
from featward.policy.slices import SliceCompiler, Standing
from featward_engine import Policy
from random_cluster import NAMESPACES, NOW, SETS, Cluster

WORKLOADS = [
    SpiffeId.parse(f"spiffe://{domain}.acme.example/bu/{unit}/{path}")
    for domain, unit in [
        ("prod", "payments"), ("prod", "risk"), ("prod", "default"), ("dev", "payments")
    ]
    for path in ("ns/pricing/sa/feast", "ns/scoring/sa/feast", "svc/feast", "ns/sandbox/sa/api")
]  # fmt: skip
CALLED = ["drivers", "scoring/riders"]
EVERY = [f"{namespace}/{name}" for namespace in NAMESPACES for name in SETS]
# Without what ends by a date there is nothing to wait for.
ENGINES = ["0.2.0", "0.1.0"]


def apply(
    index: PolicyIndex, key: tuple[str, str | None, str], raw: dict[str, Any] | None
) -> frozenset[SpiffeId]:
    """One event of an API server, as the operator hands it on."""
    if raw is None:
        return index.drop(*key)
    found = document_of(raw)
    if isinstance(found, Document):
        return index.put(found)
    return index.refuse(*key, found)


class Reference:
    """The compiler of folders, over all documents of a cluster but the bindings that are wrong."""

    def __init__(self, documents: list[Document[Any]]) -> None:
        self.findings = validate(Loaded(tuple(documents), ()), NOW)
        wrong = {one.name for one in self.findings if one.blocks and one.scope is Scope.BINDING}
        good = [one for one in documents if one.kind != "FeatureBinding" or one.name not in wrong]
        self.documents = Loaded(tuple(good), ())
        self.catalogue = Catalogue(good)

    def held(self, workload: SpiffeId) -> bool:
        """Whether a set that it serves or a document above it is wrong."""
        sets = {one.name for one in self.catalogue.served_by.get(workload, [])}
        above = self._above(workload)
        return any(
            (one.scope is Scope.SET and one.name in sets)
            or (one.scope is Scope.PLATFORM and (one.kind, one.name) in above)
            for one in self.findings
            if one.blocks
        )

    def _above(self, workload: SpiffeId) -> set[tuple[str, str]]:
        above = set()
        for name, environment in self.catalogue.environments.items():
            if environment.model.spec.trust_domain == workload.trust_domain:
                unit = f"{name}.{workload.business_unit}"
                above |= {("Environment", name), ("BusinessUnit", unit)}
                own = self.catalogue.workloads.get((unit, workload.path.split("/")[-1]))
                if own and "/svc/" in workload.path:
                    above.add(("Workload", own.name))
                if "/ns/" in workload.path:
                    above.add(("Namespace", workload.path.split("/")[4]))
        return above

    def compile(self, workload: SpiffeId, engine: str, outbound: list[str] | None) -> bytes:
        in_force = overrides_in_force(self.catalogue, NOW)
        compiler = Compiler(self.documents, NOW, engine=engine, overrides=in_force)
        # What is wrong elsewhere is no concern of this workload.
        compiler.findings = ()
        return compiler.compile(workload, outbound).snapshot_bytes


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_a_slice_is_what_the_whole_catalogue_says_however_it_came_to_be(
    seed: int, edits: int
) -> None:
    cluster, index = Cluster(seed), PolicyIndex()
    slices = SliceCompiler(index)
    for key, raw in cluster.objects.items():
        apply(index, key, raw)
    for workload in WORKLOADS:
        slices.follow(workload, CALLED)
    last: dict[SpiffeId, Any] = {}
    told: set[SpiffeId] = set()
    for _ in range(edits):
        told |= apply(index, *cluster.edit())
        for workload in cluster.random.sample(WORKLOADS, 3):
            found = outcome(slices, workload)
            if workload in last and found != last[workload]:
                assert workload in told, workload
            last[workload] = found
            told -= {workload}
    if any(isinstance(document_of(raw), list) for raw in cluster.objects.values()):
        return  # of what can't be read the index keeps the last that could, which nobody else has
    reference = Reference(cluster.documents())
    for workload in WORKLOADS:
        compare(
            reference,
            index,
            slices,
            workload,
            cluster.some(*ENGINES),
            cluster.some(CALLED, EVERY, []),
        )


def outcome(slices: SliceCompiler, workload: SpiffeId) -> Any:
    try:
        found = slices.compile(workload, CALLED, "0.2.0", NOW)
    except UnknownWorkloadError as error:
        return str(error)
    return found.compiled and found.compiled.digest, found.held


def compare(
    reference: Reference,
    index: PolicyIndex,
    slices: SliceCompiler,
    workload: SpiffeId,
    engine: str,
    outbound: list[str],
) -> None:
    try:
        found = slices.compile(workload, outbound, engine, NOW)
    except UnknownWorkloadError as error:
        with pytest.raises(UnknownWorkloadError, match=re.escape(str(error))):
            reference.compile(workload, engine, outbound)
        found = None
    if found is None:
        assert not reference.held(workload)
        return
    assert bool(found.held) == reference.held(workload), (workload, found.held)
    if found.held:
        return
    assert found.standing is Standing.FRESH
    assert found.compiled is not None
    assert found.compiled.snapshot_bytes == reference.compile(workload, engine, outbound)
    sliced = Reference(list(index.slice_of(workload, outbound).documents))
    assert found.compiled.snapshot_bytes == sliced.compile(workload, engine, outbound)
    assert Policy(found.compiled.snapshot_bytes)
