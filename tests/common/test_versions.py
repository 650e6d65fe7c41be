"""Sidecars of older versions: what they have we can read, and what we write for them they can."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from featward.errors import CompileError
from featward.identity.spiffe import SpiffeId
from featward.manifests import load
from featward.policy.compiler import ENGINE_VERSION, Compiler
from featward.policy.overrides import InForce
from featward.policy.v1 import policy_pb2
from featward.policy.v1 import snapshot_pb2 as v1
from featward_engine import Policy, __version__
from featward_sidecar.settings import SETTINGS

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


# What a sidecar and the operator say to each other, with something in every field.
DIGEST = "ab" * 32
HELLO = policy_pb2.Hello(
    version=ENGINE_VERSION,
    engine_version=ENGINE_VERSION,
    pod=policy_pb2.Pod(namespace="pricing", name="feast-0", uid="uid-feast-0", node="node-1"),
    digest=DIGEST,
    outbound=["driver-stats", "rides/trips"],
    serves=True,
    plain=True,
)
REPORT = policy_pb2.Report(
    digest=DIGEST,
    sets=[
        policy_pb2.SetReport(
            feature_set="pricing/drivers",
            mode="observe",
            answered=7,
            refused=2,
            would_refuse=3,
            unidentified=1,
        )
    ],
    callers=[
        policy_pb2.Caller(
            spiffe_id=CALLERS[1],
            feature_set="pricing/drivers",
            standing="would-be-refused",
            reason="not-granted",
            missing=["driver_hourly_stats:acc_rate"],
            count=3,
            last_seen=NOW,
        ),
        policy_pb2.Caller(address="10.0.0.9", standing="unidentified", count=1, last_seen=NOW),
    ],
    callers_left_out=5,
    bypassing=[policy_pb2.Peer(address="10.0.0.9", port=6566, last_seen=NOW)],
    bypassing_left_out=6,
    listening=[policy_pb2.Listening(address="0.0.0.0", port=6566)],  # noqa: S104  as a feature server does
    draining=True,
    identity_not_after=UNTIL,
    outbound=[
        policy_pb2.OutboundReport(
            feature_set="rides/trips", server=str(FEAST), last_answer=NOW, last_failure="x: y"
        )
    ],
)
SAID = {
    "hello": policy_pb2.WatchPolicyRequest(hello=HELLO),
    "report": policy_pb2.WatchPolicyRequest(report=REPORT),
}
ANSWERS = [
    policy_pb2.WatchPolicyResponse(
        part=policy_pb2.Part(digest=DIGEST, total=9, offset=4, data=b"bytes")
    ),
    policy_pb2.WatchPolicyResponse(
        current=policy_pb2.Current(digest=DIGEST, server_time=NOW),
    ),
    policy_pb2.WatchPolicyResponse(terms=policy_pb2.Terms(report_ms=5000)),
]


def read_by(version: str, content: bytes, name: str = "Snapshot") -> Message:
    """A message as that version has it."""
    described = (VERSIONS / version / "descriptors.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(described).file:
        pool.Add(file)
    known = pool.FindMessageTypeByName(f"featward.policy.v1.{name}")
    message = message_factory.GetMessageClass(known)()
    message.ParseFromString(content)
    return message


def knows_all(message: Message, content: bytes) -> bool:
    """Whether nothing was passed over."""
    message.DiscardUnknownFields()
    return message.SerializeToString(deterministic=True) == content


def versions() -> list[str]:
    return sorted(folder.name for folder in VERSIONS.iterdir() if folder.is_dir())


def with_an_operator() -> list[str]:
    """From the first on whose sidecars can have one."""
    return versions()[1:]


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
    assert knows_all(read_by(version, content), content)
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


# Between sidecar and operator


@pytest.mark.parametrize("version", with_an_operator())
@pytest.mark.parametrize("what", SAID)
def test_what_a_sidecar_of_every_version_says_is_understood_to_the_last_field(
    version: str, what: str
) -> None:
    content = bytes.fromhex((VERSIONS / version / f"{what}.hex").read_text())
    message = policy_pb2.WatchPolicyRequest.FromString(content)
    assert message.WhichOneof("what") == what
    assert knows_all(message, content)
    assert read_by(version, content, "WatchPolicyRequest").WhichOneof("what") == what


@pytest.mark.parametrize("version", with_an_operator())
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.WhichOneof("what"))
def test_what_is_answered_is_understood_by_every_version(
    version: str, answer: policy_pb2.WatchPolicyResponse
) -> None:
    content = answer.SerializeToString(deterministic=True)
    assert knows_all(read_by(version, content, "WatchPolicyResponse"), content)


@pytest.mark.parametrize("what", SAID)
def test_what_is_kept_has_something_in_every_field(what: str) -> None:
    said = getattr(SAID[what], what)
    assert unset(said, said.DESCRIPTOR) == set()
    answered = {answer.WhichOneof("what") for answer in ANSWERS}
    assert answered == set(policy_pb2.WatchPolicyResponse.DESCRIPTOR.fields_by_name)


def unset(message: Message, of: Descriptor) -> set[str]:
    """Fields, here or further in, that no message of these has."""
    missing = {field.full_name for field in of.fields}
    for field, value in message.ListFields():
        missing.discard(field.full_name)
        if field.message_type is not None:
            inner = list(value) if field.is_repeated else [value]
            missing |= set.intersection(*(unset(one, field.message_type) for one in inner))
    return missing


def test_the_newest_of_each_is_what_is_said_now() -> None:
    folder = VERSIONS / ENGINE_VERSION
    for what, message in SAID.items():
        kept = (folder / f"{what}.hex").read_text().strip()
        assert message.SerializeToString(deterministic=True).hex() == kept
    assert (folder / "descriptors.binpb").read_bytes() == described_now()
    assert (folder / "variables.txt").read_text().split() == variables_now()


@pytest.mark.parametrize("version", with_an_operator())
def test_a_variable_that_was_rendered_for_a_version_is_still_taken(version: str) -> None:
    rendered = (VERSIONS / version / "variables.txt").read_text().split()
    assert set(rendered) <= set(variables_now())


def described_now() -> bytes:
    files = [policy_pb2.DESCRIPTOR, v1.DESCRIPTOR]
    described = descriptor_pb2.FileDescriptorSet()
    for file in files:
        file.CopyToProto(described.file.add())
    return described.SerializeToString(deterministic=True)


def variables_now() -> list[str]:
    return sorted(setting.variable for setting in SETTINGS)


if __name__ == "__main__":
    newest = VERSIONS / ENGINE_VERSION
    snapshot = written(ENGINE_VERSION, RELAX, CLOSE_BINDING)
    (newest / "snapshot.hex").write_text(snapshot.hex() + "\n")
    for said, spoken in SAID.items():
        content = spoken.SerializeToString(deterministic=True)
        (newest / f"{said}.hex").write_text(content.hex() + "\n")
    (newest / "descriptors.binpb").write_bytes(described_now())
    (newest / "variables.txt").write_text("\n".join(variables_now()) + "\n")
