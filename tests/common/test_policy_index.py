"""What an edit in a cluster reaches: whose snapshot it may change, what it holds, and what it costs."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cluster_objects import (
    API_POD,
    CLUSTER,
    FEAST,
    NOW,
    OTHER,
    PLATFORM,
    a_binding,
    a_namespace,
    a_set,
    an_index,
    an_object,
    an_override,
    apply,
)
from featward.errors import CompileError, UnknownWorkloadError
from featward.identity.spiffe import SpiffeId
from featward.manifests import CODES, load, load_texts, validate
from featward.manifests.digest import binding_digest
from featward.manifests.document import Document
from featward.manifests.feature_binding import FeatureBinding
from featward.manifests.findings import Scope
from featward.manifests.objects import document_of
from featward.policy.compiler import Compiler
from featward.policy.index import PolicyIndex
from featward.policy.slices import Outcome, SliceCompiler, Standing
from featward.policy.v1.snapshot_pb2 import MODE_ENFORCE, MODE_SHADOW, Snapshot

EXAMPLES = Path(__file__).parents[2] / "examples"
BAD_SET = a_set("drivers", features=["hourly:a", "hourly:a"])
ENVIRONMENT = PLATFORM[0]


class Compiling:
    """A compiler over an index, asked in one breath."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.index = an_index(*objects)
        self.slices = SliceCompiler(self.index)

    def edit(self, *objects: dict[str, Any]) -> frozenset[SpiffeId]:
        return apply(self.index, *objects)

    def ask(
        self, workload: SpiffeId = FEAST, *outbound: str, engine: str = "0.2.0", now: float = NOW
    ) -> Outcome:
        return self.slices.compile(workload, outbound, engine, now)

    def snapshot(self, workload: SpiffeId = FEAST, *outbound: str, **more: Any) -> Snapshot:
        compiled = self.ask(workload, *outbound, **more).compiled
        assert compiled is not None
        return Snapshot.FromString(compiled.snapshot_bytes)


def granted(snapshot: Snapshot) -> list[str]:
    return [one.name for one in snapshot.bindings]


@pytest.mark.parametrize(
    "folder", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
)
def test_the_folder_examples_have_the_bytes_that_the_compiler_of_folders_gives(folder: str) -> None:
    loaded = load(EXAMPLES / folder)
    index = PolicyIndex()
    for document in loaded.documents:
        index.put(document)
    compiler, slices = Compiler(loaded, NOW), SliceCompiler(index)
    every = [one.name for one in compiler.catalogue.feature_sets.values()]
    servers = [*compiler.catalogue.served_by]
    assert servers
    for server in servers:
        for outbound in (every, []):
            compiled = slices.compile(server, outbound, "0.2.0", NOW).compiled
            assert compiled is not None
            assert compiled.snapshot_bytes == compiler.compile(server, outbound).snapshot_bytes
        assert compiler.compile(server).digest == compiler.compile(server, every).digest


def test_one_bad_set_holds_only_its_own_workload() -> None:
    made = Compiling()
    before = made.ask()
    assert made.edit(BAD_SET) == {FEAST}
    held = made.ask()
    assert [one.code for one in held.held] == ["duplicate-name"]
    assert (held.standing, held.compiled) == (Standing.LAST_GOOD, before.compiled)
    assert made.slices.held == {FEAST}
    made.edit(a_binding("riders-api", "riders", "shop", features=["hourly:c"]))
    other = made.ask(OTHER)
    assert (other.standing, other.held) == (Standing.FRESH, ())
    assert list(made.snapshot(OTHER).bindings[0].features) == ["hourly:c"]


@pytest.mark.parametrize(
    "bad",
    [
        a_binding("api", "drivers", features=["hourly:unknown"]),
        a_binding(
            "api", "drivers", subjects=[{"serviceAccount": {"namespace": "no", "name": "x"}}]
        ),
        a_binding("api", "drivers", misspelt=1),
        a_binding("api", "drivers", services=["unknown"]),
    ],
    ids=["unknown feature", "unknown namespace", "unreadable", "unknown service"],
)
def test_a_bad_binding_costs_only_itself(bad: dict[str, Any]) -> None:
    made = Compiling()
    made.ask()
    made.edit(bad)
    assert granted(made.snapshot()) == ["second"]
    assert made.ask().held == ()
    made.edit(CLUSTER[7])
    assert granted(made.snapshot()) == ["api", "second"]


def test_a_held_workload_keeps_what_it_has_and_a_new_pod_gets_no_more() -> None:
    made = Compiling()
    before = made.ask()
    assert before.compiled is not None
    made.edit(a_set("second-set", features=["hourly:c"]), BAD_SET)
    made.edit(a_binding("api", "drivers", features=["hourly:c"]))
    held = made.ask()
    assert held.compiled == before.compiled, "the one before, for whoever asks anew"
    assert not held.replaces(before.compiled.digest)
    assert held.replaces("")
    assert not held.replaces("of another replica")
    # A replica that began after the slip knows nothing better than to leave the set out.
    late = Compiling(
        *CLUSTER[:6], BAD_SET, *CLUSTER[7:], a_set("more", features=["hourly:a", "hourly:z"])
    )
    late.edit(a_binding("more-api", "more", features=["hourly:a", "hourly:z"]))
    reduced = late.ask()
    assert reduced.standing is Standing.REDUCED
    snapshot = late.snapshot()
    assert [one.name for one in snapshot.feature_sets] == ["more"]
    assert [list(one.features) for one in snapshot.bindings] == [["hourly:z"]], "a claim stays one"
    assert not reduced.replaces(before.compiled.digest)
    assert reduced.replaces("")


def test_a_workload_is_let_go_when_what_held_it_is_put_right() -> None:
    made = Compiling()
    made.ask()
    made.edit(BAD_SET, a_binding("third", "drivers"))
    assert made.ask().held
    made.edit(a_set("drivers", version="1.3.0"))
    found = made.ask()
    assert (found.standing, found.held) == (Standing.FRESH, ())
    assert granted(made.snapshot()) == ["api", "second", "third"]
    assert made.snapshot().feature_sets[0].version == "1.3.0"


def test_a_set_that_can_not_be_read_holds_its_workload_as_it_was() -> None:
    made = Compiling()
    before = made.ask()
    assert made.edit(a_set("drivers", misspelt=1)) == {FEAST}
    held = made.ask()
    assert (held.compiled, [one.code for one in held.held]) == (before.compiled, ["unknown-key"])
    assert made.edit(CLUSTER[6]) == {FEAST}
    assert made.ask() == before


@pytest.mark.parametrize(
    ("slip", "held"),
    [
        (a_namespace("pricing", "prod.paymetns"), {FEAST}),
        (
            an_object("Environment", "prod", {"trustDomain": "prod.acme.example", "oops": 1}),
            {FEAST, OTHER},
        ),
        (an_object("BusinessUnit", "prod.payments", {"oops": 1}), {FEAST, OTHER}),
        (an_object("BusinessUnit", "prod.risk", {"oops": 1}), set()),
    ],
    ids=["a namespace", "the environment", "its unit", "another unit"],
)
def test_what_is_wrong_above_holds_all_below_it(slip: dict[str, Any], held: set[SpiffeId]) -> None:
    made = Compiling()
    before = {workload: made.ask(workload).compiled for workload in (FEAST, OTHER)}
    made.edit(slip)
    for workload, compiled in before.items():
        found = made.ask(workload)
        assert bool(found.held) == (workload in held)
        assert found.compiled == compiled
        assert {one.scope for one in found.held} <= {Scope.PLATFORM}


def test_a_namespace_that_went_to_another_unit_leaves_nobody_in_the_old_one() -> None:
    made = Compiling()
    made.ask()
    moved = SpiffeId.service_account("prod.acme.example", "risk", "pricing", "feast")
    assert made.edit(a_namespace("pricing", "prod.risk")) == {FEAST, moved}
    with pytest.raises(UnknownWorkloadError, match="no namespace of business unit"):
        made.ask()
    # Its bindings grant across units now, to which nobody has consented.
    assert granted(made.snapshot(moved)) == []


WORKLOAD = an_object("Workload", "batch", {"businessUnit": "prod.payments", "name": "batch"})
SUBJECTS: dict[str, dict[str, Any]] = {
    "serviceAccount": {"namespace": "shop", "name": "api"},
    "workload": {"businessUnit": "prod.payments", "name": "batch"},
}


@pytest.mark.parametrize(
    ("subject", "edit"),
    [
        (
            {"serviceAccount": SUBJECTS["serviceAccount"]},
            lambda made: made.edit(a_namespace("shop", "prod.risk")),
        ),
        (
            {"serviceAccount": SUBJECTS["serviceAccount"]},
            lambda made: made.index.drop("Namespace", None, "shop"),
        ),
        (
            {"workload": SUBJECTS["workload"]},
            lambda made: made.index.drop("Workload", None, "batch"),
        ),
        (
            {"spiffeId": "spiffe://prod.acme.example/bu/third/svc/x"},
            lambda made: made.index.drop("BusinessUnit", None, "prod.third"),
        ),
        (
            {"businessUnit": "prod.third"},
            lambda made: made.index.drop("BusinessUnit", None, "prod.third"),
        ),
    ],
    ids=["namespace moved", "namespace gone", "workload gone", "unit of an id gone", "unit gone"],
)
def test_what_subjects_stand_on_reaches_their_bindings(
    subject: dict[str, Any], edit: Callable[[Compiling], frozenset[SpiffeId]]
) -> None:
    own = {"businessUnit": "prod.payments"}
    other = a_binding("other", "drivers", subjects=[own, subject])
    only = a_binding("only", "drivers", subjects=[subject])
    made = Compiling(*CLUSTER[:7], an_object("BusinessUnit", "prod.third"), WORKLOAD, other, only)

    def found() -> tuple[dict[str, list[str]], set[tuple[str, str]]]:
        snapshot = made.snapshot()
        findings = {(one.name, one.code) for one in made.ask().findings}
        return {one.name: [s.value for s in one.subjects] for one in snapshot.bindings}, findings

    before = found()
    assert "other" in before[0]
    assert FEAST in edit(made)
    after = found()
    assert after != before
    fresh = Compiling()
    fresh.index = made.index
    fresh.slices = SliceCompiler(made.index)
    again = fresh.ask()
    assert again.compiled == made.ask().compiled, "as if nothing had been kept"
    assert set(again.findings) == set(made.ask().findings)


def test_a_new_unit_reaches_the_namespaces_that_have_it_by_default() -> None:
    plain = an_object("Namespace", "plain")
    server = SpiffeId.service_account("prod.acme.example", "default", "plain", "feast")
    own = [{"businessUnit": "prod.default"}]
    made = Compiling(
        *PLATFORM, plain, a_set("s", "plain"), a_binding("b", "s", "plain", subjects=own)
    )
    assert granted(made.snapshot(server)) == ["b"]
    ceiling = an_object("BusinessUnit", "prod.default", {"ceiling": {"maxSensitivity": 0}})
    assert made.edit(ceiling) == {server}
    assert granted(made.snapshot(server)) == []
    # A second environment, and nobody knows whose it is.
    made.edit(an_object("Environment", "dev", {"trustDomain": "dev.acme.example"}))
    with pytest.raises(UnknownWorkloadError):
        made.ask(server)


def test_of_two_environments_with_one_trust_domain_the_older_has_it() -> None:
    twin = an_object(
        "Environment",
        "zulu",
        {"trustDomain": "prod.acme.example"},
        creationTimestamp="2026-11-21T08:00:00Z",
    )
    for objects in ([twin, *CLUSTER], [*CLUSTER, twin]):
        made = Compiling(*objects)
        assert made.snapshot().environment == "prod"
        assert made.ask().held == (), "whoever says it second holds nobody"


def test_an_approval_and_its_end_reach_the_one_binding() -> None:
    across = a_binding("api", "drivers", subjects=[{"businessUnit": "prod.risk"}])
    made = Compiling(*CLUSTER[:7], across)
    assert granted(made.snapshot()) == []
    document = document_of(across)
    assert isinstance(document, Document)
    assert isinstance(document.model, FeatureBinding)
    spec = {
        "binding": {"namespace": "pricing", "name": "api"},
        "bindingDigest": binding_digest(document.model),
        "businessUnit": "prod.payments",
        "reason": "agreed",
        "expires": "2097-01-31",
    }
    assert made.edit(an_object("GrantApproval", "it", spec)) == {FEAST}
    assert granted(made.snapshot()) == ["api"]
    assert made.index.drop("GrantApproval", None, "it") == {FEAST}
    assert granted(made.snapshot()) == []


def test_the_older_claim_wins_and_the_loser_is_told() -> None:
    older = a_set("zebra", made="2026-11-19T08:00:00Z", features=["hourly:a"])
    made = Compiling(*CLUSTER, older)
    claims = {one.name: {f.name for f in one.features} for one in made.snapshot().feature_sets}
    assert claims == {"drivers": {"hourly:b", "hourly:c"}, "zebra": {"hourly:a"}}
    (told,) = (one for one in made.ask().findings if one.code == "feature-claimed-twice")
    assert (told.name, told.blocks) == ("pricing/drivers", False)
    assert made.index.drop("FeatureSet", "pricing", "zebra") == {FEAST}
    assert len(made.snapshot().feature_sets[0].features) == 3


def test_two_replicas_make_the_same_digest() -> None:
    late = [*reversed(CLUSTER), a_set("zebra", features=["hourly:a", "hourly:q"])]
    one, two = Compiling(*CLUSTER, late[-1]), Compiling(*late)
    # The second sees it in another order, and after edits that are gone.
    two.ask()
    two.edit(a_binding("api", "drivers", purpose="another"), BAD_SET)
    two.ask()
    two.edit(*CLUSTER)
    for workload in (FEAST, OTHER, API_POD):
        found = [made.ask(workload, "riders").compiled for made in (one, two)]
        assert found[0] is not None
        assert found[0].snapshot_bytes == (found[1] and found[1].snapshot_bytes)


def test_a_client_gets_the_servers_it_names_and_no_others() -> None:
    made = Compiling()

    def called(*outbound: str) -> list[str]:
        return [f"{one.namespace}/{one.name}" for one in made.snapshot(API_POD, *outbound).remotes]

    assert called() == []
    assert called("drivers") == ["pricing/drivers"]
    assert called("shop/riders", "nothing") == ["shop/riders"]
    assert called("riders", "pricing/drivers") == ["pricing/drivers", "shop/riders"]
    assert called("pricing/riders") == []
    made.slices.follow(API_POD, ["drivers"])
    moved = a_set("drivers", version="2.0.0")
    assert made.edit(moved) == {FEAST, API_POD}
    assert made.edit(a_set("drivers", "shop")) == {OTHER, API_POD}
    assert called("drivers") == ["pricing/drivers", "shop/drivers"], (
        "the sidecar says that it is two"
    )
    made.slices.unfollow(API_POD, ["drivers"])
    assert made.edit(CLUSTER[6]) == {FEAST}


def test_servers_are_where_the_operator_says() -> None:
    slices = SliceCompiler(an_index(), address_of=lambda one: f"{one.model.metadata.name}:15443")
    compiled = slices.compile(API_POD, ["riders"], "0.2.0", NOW).compiled
    assert compiled is not None
    assert Snapshot.FromString(compiled.snapshot_bytes).remotes[0].address == "riders:15443"


def test_an_override_is_in_the_next_snapshot_and_ends_at_its_time() -> None:
    made = Compiling()
    plain = made.ask()
    relax = an_override("relax", featureSet={"namespace": "pricing", "name": "drivers"})
    assert made.edit(relax) == {FEAST}
    assert made.snapshot().feature_sets[0].override.name == "relax-it"
    assert made.snapshot().engine_version == "0.2.0"
    lowered = made.snapshot(engine="0.1.0")
    assert (lowered.engine_version, lowered.feature_sets[0].mode) == ("0.1.0", MODE_SHADOW)
    end = made.ask().again_at
    assert end == NOW + 3600
    assert made.ask(engine="0.1.0", now=end).compiled == plain.compiled
    assert made.ask(now=end).again_at is None


def test_an_override_reaches_a_workload_that_is_held() -> None:
    made = Compiling()
    before = made.ask().compiled
    made.edit(BAD_SET, an_override("close", environment="prod"))
    found = made.ask()
    assert found.standing is Standing.LAST_GOOD
    assert made.snapshot().feature_sets[0].override.name == "close-it"
    assert before is not None
    assert found.replaces(before.digest), "for it is the same policy, closed"
    lowered = made.snapshot(engine="0.1.0")
    assert (lowered.feature_sets[0].mode, granted(lowered)) == (MODE_ENFORCE, [])


def test_dates_by_which_the_outcome_changes_are_told() -> None:
    ceiling = an_object("BusinessUnit", "prod.payments", {"ceiling": {"maxBindingLife": "90d"}})
    far = a_binding("second", "drivers", expires="2027-02-25")
    made = Compiling(*CLUSTER[:7], far, ceiling)
    assert granted(made.snapshot()) == []
    again = made.ask().again_at
    assert again is not None
    assert granted(made.snapshot(now=again - 1)) == []
    assert granted(made.snapshot(now=again)) == ["second"]


def test_a_set_in_observe_holds_its_workload_from_the_day_after_enforce_by() -> None:
    dated = {"trustDomain": "prod.acme.example", "enforceBy": "2026-12-31"}
    observed = a_set("drivers", enforcement={"mode": "observe"})
    made = Compiling(*CLUSTER[:6], observed)
    made.edit(an_object("Environment", "prod", dated))
    again = made.ask().again_at
    assert again is not None
    assert made.ask(now=again - 1).held == ()
    assert [one.code for one in made.ask(now=again).held] == ["observe-after-enforce-by"]


def test_an_override_of_the_environment_reaches_a_workload_whose_unit_is_gone() -> None:
    made = Compiling()
    made.slices.follow(FEAST, [])
    before = made.ask()
    made.index.drop("BusinessUnit", None, "prod.payments")
    assert made.ask().held
    # One of the set is not in force: nobody can say whose maxOverride it would be bound by.
    assert FEAST in made.edit(an_override("close", environment="prod"))
    assert made.ask().compiled != before.compiled
    assert FEAST in made.index.drop("Override", None, "close-it")
    assert made.ask().compiled == before.compiled


@pytest.mark.parametrize("engine", ["", "0.2", "latest"])
def test_an_engine_without_a_version_gets_none(engine: str) -> None:
    with pytest.raises(CompileError, match="three numbers"):
        Compiling().ask(engine=engine)


def grown(bindings: int, feature_set: str, namespace: str) -> Compiling:
    return Compiling(
        *CLUSTER,
        a_binding("still", "drivers"),
        *(a_binding(f"more-{n}", feature_set, namespace) for n in range(bindings)),
    )


EDITS: dict[str, Callable[[Compiling], object]] = {
    "edited": lambda made: made.edit(a_binding("api", "drivers", features=["hourly:c"])),
    "new": lambda made: made.edit(a_binding("third", "drivers", purpose="new")),
    "deleted": lambda made: made.index.drop("FeatureBinding", "pricing", "third"),
    "closed": lambda made: made.edit(
        an_override("close", binding={"namespace": "pricing", "name": "api"})
    ),
    "open again": lambda made: made.index.drop("Override", None, "close-it"),
    "gone bad": lambda made: made.edit(a_binding("api", "drivers", features=["hourly:unknown"])),
    "unreadable": lambda made: made.edit(a_binding("api", "drivers", misspelt=1)),
    "of no set": lambda made: made.edit(a_binding("second", "nothing")),
}


@pytest.mark.parametrize("feature_set", ["drivers", "riders"])
def test_an_edit_costs_the_same_beside_ten_and_ten_thousand_other_bindings(
    feature_set: str,
) -> None:
    """Counted in what was compiled and judged; they are of the same set, or of another workload's."""
    few, many = (
        grown(bindings, feature_set, "pricing" if feature_set == "drivers" else "shop")
        for bindings in (10, 10_000)
    )
    for name, edit in EDITS.items():
        cost = cost_of(few, edit)
        assert cost_of(many, edit) == cost, name
        assert (cost["sets"], cost["joined"]) == (0, 1), name
        assert cost["bindings"] <= 1, name
        assert cost["judged"] <= 1, name


def cost_of(made: Compiling, edit: Callable[[Compiling], object]) -> dict[str, int]:
    made.ask()
    before = vars_of(made)
    edit(made)
    made.ask()
    return {name: count - before[name] for name, count in vars_of(made).items()}


def vars_of(made: Compiling) -> dict[str, int]:
    work = made.slices.work
    return {
        "sets": work.sets,
        "bindings": work.bindings,
        "judged": work.judged,
        "joined": work.joined,
    }


async def test_the_loop_is_never_held_longer_than_20_ms() -> None:
    """By the processor time of this thread, for what else runs here is not the compiler's doing."""
    made = grown(3_000, "drivers", "pricing")
    # As the operator does: what was made before is not looked through again and again.
    gc.collect()
    gc.freeze()
    steps = [await longest_step(made.slices.compile_gently(FEAST, [], "0.2.0", NOW))]
    for sensitivity in (1, 2):
        # All of it again, by another ceiling.
        ceiling = {"ceiling": {"maxSensitivity": sensitivity}}
        began = time.thread_time()
        made.edit(an_object("BusinessUnit", "prod.payments", ceiling))
        steps.append(time.thread_time() - began)
        steps.append(await longest_step(made.slices.compile_gently(FEAST, [], "0.2.0", NOW)))
    gc.unfreeze()
    assert max(steps) < 0.020
    assert made.slices.work.bindings == 3 * 3_003


async def longest_step(work: Awaitable[object]) -> float:
    """For how long this work held the loop at once, at most."""
    longest, last = 0.0, time.thread_time()

    async def beat() -> None:
        nonlocal longest, last
        while True:
            now = time.thread_time()
            longest, last = max(longest, now - last), now
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0)
    await work
    longest = max(longest, time.thread_time() - last)
    beating.cancel()
    return longest


async def test_edits_between_the_slices_are_in_the_outcome() -> None:
    made = grown(500, "drivers", "pricing")
    asked = asyncio.create_task(
        made.slices.compile_gently(FEAST, [], "0.2.0", NOW, slice_seconds=0)
    )
    for turn in range(20):
        await asyncio.sleep(0)
        made.edit(
            a_set("drivers", version=f"1.{turn}.0"), a_binding("api", "drivers", purpose=str(turn))
        )
        made.index.drop("FeatureBinding", "pricing", f"more-{turn}")
    found = await asked
    fresh = Compiling(*CLUSTER[:6], CLUSTER[8], a_set("drivers", version="1.19.0"))
    fresh.edit(a_binding("api", "drivers", purpose="19"), a_binding("still", "drivers"))
    fresh.edit(*(a_binding(f"more-{n}", "drivers") for n in range(20, 500)))
    assert found.compiled == fresh.ask().compiled


def test_what_nobody_follows_is_kept_for_a_while_and_then_forgotten() -> None:
    made = Compiling()
    for number in range(300):
        client = SpiffeId.service_account(
            "prod.acme.example", "payments", "shop", f"client-{number}"
        )
        made.slices.follow(client, [])
        made.ask(client)
        made.slices.unfollow(client, [])
    assert len(made.slices._served) == 256


def test_an_object_that_was_only_touched_changes_nothing() -> None:
    made = Compiling()
    made.ask()
    assert made.edit(*CLUSTER) == frozenset()
    assert made.index.drop("FeatureBinding", "pricing", "nobody") == frozenset()


VECTORS = Path(__file__).parents[1] / "vectors" / "manifests" / "invalid"


def test_a_finding_has_the_scope_of_the_kind_that_it_stands_in() -> None:
    texts = [(path.name, path.read_text()) for path in sorted(VECTORS.glob("*.yaml"))]
    seen: dict[str, set[Scope]] = {}
    for name, text in texts:
        loaded = load_texts([(name, text)])
        for one in (*loaded.findings, *validate(loaded, NOW)):
            if one.blocks and one.kind:
                seen.setdefault(one.kind, set()).add(one.scope)
    assert seen["FeatureBinding"] == {Scope.BINDING}
    assert seen["FeatureSet"] == {Scope.SET}
    platform = {"Environment", "BusinessUnit", "Namespace", "Workload"}
    assert all(seen[kind] == {Scope.PLATFORM} for kind in platform & seen.keys())
    assert platform & seen.keys()


def test_every_code_that_blocks_has_a_scope_that_fits_its_kind() -> None:
    scoped = {name: code.scope for name, code in CODES.items() if code.scope is not None}
    assert set(scoped.values()) == set(Scope)
    assert all(CODES[name].blocks for name in scoped), "what blocks nothing needs none"
