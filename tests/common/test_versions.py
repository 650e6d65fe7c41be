"""Sidecars of older versions: what they have we can read, and what we write for them they can."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from featward.errors import CompileError
from featward.identity.spiffe import SpiffeId
from featward.manifests import load
from featward.policy.compiler import ENGINE_VERSION, Compiler
from featward.policy.overrides import InForce
from featward.policy.v1 import snapshot_pb2 as v1
from featward_engine import Policy, __version__

ROOT = Path(__file__).parents[2]
VERSIONS = ROOT / "tests" / "vectors" / "versions"
FEAST = SpiffeId.parse("spiffe://prod.acme.example/bu/payments/svc/feast")
CALLERS = [
    "spiffe://prod.acme.example/bu/payments/svc/pricing-api",
    "spiffe://prod.acme.example/bu/payments/svc/report",
    "spiffe://prod.acme.example/bu/risk/svc/nobody",
]
NOW, UNTIL = 1_795_435_200, 1_795_449_600
SET, BINDING = ("pricing", "driver-stats"), ("pricing", "report")
RELAX = InForce("slow-team", "relax", UNTIL, feature_set=SET)
CLOSE = InForce("incident-7", "close", UNTIL, feature_set=SET)
CLOSE_BINDING = InForce("leaver", "close", UNTIL, binding=BINDING)
EVERYWHERE = InForce("drill", "close", UNTIL, environment="prod")
ALL = [(), (RELAX,), (CLOSE,), (CLOSE_BINDING,), (EVERYWHERE,), (RELAX, CLOSE_BINDING)]


def written(engine: str, *overrides: InForce) -> bytes:
    folder = load(ROOT / "examples" / "driver-stats")
    return Compiler(folder, NOW, engine=engine, overrides=overrides).compile(FEAST).snapshot_bytes


def read_by(version: str, content: bytes) -> Message:
    """The snapshot as the messages of that version have it."""
    described = (VERSIONS / version / "descriptors.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(described).file:
        pool.Add(file)
    known = pool.FindMessageTypeByName("featward.policy.v1.Snapshot")
    message = message_factory.GetMessageClass(known)()
    message.ParseFromString(content)
    return message


def versions() -> list[str]:
    return sorted(folder.name for folder in VERSIONS.iterdir() if folder.is_dir())


def test_there_is_a_folder_for_this_version_and_for_the_first() -> None:
    assert versions()[0] == "0.1.0"
    assert versions()[-1] == ENGINE_VERSION == __version__


@pytest.mark.parametrize("version", versions())
def test_the_engine_reads_the_snapshot_of_every_version(version: str) -> None:
    content = bytes.fromhex((VERSIONS / version / "snapshot.hex").read_text())
    assert v1.Snapshot.FromString(content).engine_version == version
    question = {"identity": CALLERS[0], "features": ["unknown:x"], "rows": 1, "now": NOW}
    assert json.loads(Policy(content).decide(json.dumps(question).encode()))["outcome"] == "deny"


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("overrides", ALL)
def test_what_is_written_for_a_version_holds_nothing_that_it_does_not_know(
    version: str, overrides: tuple[InForce, ...]
) -> None:
    content = written(version, *overrides)
    message = read_by(version, content)
    message.DiscardUnknownFields()
    assert message.SerializeToString(deterministic=True) == content
    assert v1.Snapshot.FromString(content).engine_version <= version


def test_the_newest_snapshot_is_what_is_written_now() -> None:
    kept = (VERSIONS / ENGINE_VERSION / "snapshot.hex").read_text().strip()
    assert written(ENGINE_VERSION, RELAX, CLOSE_BINDING).hex() == kept


def test_without_overrides_the_first_engine_reads_what_the_newest_does() -> None:
    assert written("0.1.0") == written(ENGINE_VERSION) == written("12.0.7")
    assert v1.Snapshot.FromString(written(ENGINE_VERSION)).engine_version == "0.1.0"


def test_an_older_engine_gets_a_lowered_snapshot() -> None:
    relaxed = v1.Snapshot.FromString(written("0.1.0", RELAX))
    assert relaxed.feature_sets[0].mode == v1.MODE_SHADOW
    assert len(relaxed.bindings) == 2
    closed = v1.Snapshot.FromString(written("0.1.9", CLOSE))
    assert closed.feature_sets[0].mode == v1.MODE_ENFORCE
    assert not closed.bindings
    narrowed = v1.Snapshot.FromString(written("0.1.0", CLOSE_BINDING))
    assert [binding.name for binding in narrowed.bindings] == ["pricing-api"]
    assert narrowed.feature_sets[0] == v1.Snapshot.FromString(written("0.1.0")).feature_sets[0]


def outcome(policy: Policy, **asked: Any) -> dict[str, Any]:
    question = json.dumps({"rows": 1, "now": NOW, **asked}).encode()
    decision = json.loads(policy.decide(question))
    return {key: decision[key] for key in ("outcome", "mode", "unidentified_allowed")}


@pytest.mark.parametrize("mode", ["observe", "shadow", "enforce"])
@pytest.mark.parametrize("overrides", ALL)
def test_a_lowered_snapshot_decides_as_the_whole_one_while_it_is_in_force(
    mode: str, overrides: tuple[InForce, ...], tmp_path: Path
) -> None:
    for source in (ROOT / "examples" / "driver-stats").glob("*.yaml"):
        text = source.read_text().replace("mode: shadow", f"mode: {mode}")
        (tmp_path / source.name).write_text(text)
    loaded = load(tmp_path)
    whole, lowered = (
        Compiler(loaded, NOW, engine=engine, overrides=overrides).compile(FEAST).snapshot_bytes
        for engine in ("0.2.0", "0.1.0")
    )
    features = [feature.name for feature in v1.Snapshot.FromString(whole).feature_sets[0].features]
    for identity in [*CALLERS, None]:
        for asked in [{"features": [name]} for name in features] + [
            {"service": "driver_activity_v1"}
        ]:
            found = outcome(Policy(whole), identity=identity, **asked)
            assert found == outcome(Policy(lowered), identity=identity, **asked), (identity, asked)


def test_a_close_beats_a_relax_and_among_equals_the_later_end() -> None:
    def chosen(*overrides: InForce) -> str:
        return v1.Snapshot.FromString(written("0.2.0", *overrides)).feature_sets[0].override.name

    later = InForce("z-later", "relax", UNTIL + 1, feature_set=SET)
    same = InForce("a-same", "relax", UNTIL, feature_set=SET)
    assert chosen(later, CLOSE) == chosen(CLOSE, later) == "incident-7"
    assert chosen(later, EVERYWHERE) == "drill"
    sooner = InForce("sooner", "relax", UNTIL - 1, feature_set=SET)
    longer = InForce("longer", "close", UNTIL + 1, environment="prod")
    assert chosen(sooner, EVERYWHERE) == "drill"
    assert chosen(CLOSE, longer) == "longer"
    assert chosen(RELAX, later, same) == chosen(same, RELAX, later) == "z-later"
    assert chosen(RELAX, same) == chosen(same, RELAX) == "a-same"
    assert chosen(InForce("other", "close", UNTIL, environment="dev")) == ""


@pytest.mark.parametrize(
    "engine", ["", "0.2", "0.2.0-dev", "0.2.0\n", "v0.2.0", "0." + "9" * 5000 + ".0"]
)
def test_an_engine_without_a_version_gets_none(engine: str) -> None:
    with pytest.raises(CompileError, match="three numbers"):
        written(engine)


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "relax", "binding": BINDING},
        {"action": "close"},
        {"action": "close", "feature_set": SET, "environment": "prod"},
        {"action": "close", "feature_set": SET, "until": 0},
        {"action": "close", "feature_set": SET, "name": ""},
    ],
)
def test_an_override_that_the_engine_would_refuse_is_refused_before(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="override"):
        InForce(**{"name": "x", "until": UNTIL, **wrong})


if __name__ == "__main__":
    newest = VERSIONS / ENGINE_VERSION / "snapshot.hex"
    newest.write_text(written(ENGINE_VERSION, RELAX, CLOSE_BINDING).hex() + "\n")
