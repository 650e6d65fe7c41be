"""Every version of sidecars that is kept is served: what it says is taken, what it is sent it can read."""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from cluster_objects import API_POD, NOW, OTHER, an_override
from featward.policy.v1 import policy_pb2 as v1
from featward_engine import Policy, __version__
from policy_service_kit import operating

VERSIONS = Path(__file__).parents[2] / "vectors" / "versions"
ALL = sorted(folder.name for folder in VERSIONS.iterdir() if folder.is_dir())
# The first sidecars had their policy from folders alone.
SPEAKING = [name for name in ALL if (VERSIONS / name / "hello.hex").exists()]
DRIVERS = {"namespace": "pricing", "name": "drivers"}


def read_by(version: str, message: str, content: bytes) -> Message:
    """The message as that version has it."""
    pool = descriptor_pool.DescriptorPool()
    described = (VERSIONS / version / "descriptors.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(described).file:
        pool.Add(file)
    known = pool.FindMessageTypeByName(f"featward.policy.v1.{message}")
    found = message_factory.GetMessageClass(known)()
    found.ParseFromString(content)
    return found


def is_known_to_the_last_field(version: str, message: str, content: bytes) -> bool:
    found = read_by(version, message, content)
    found.DiscardUnknownFields()
    return found.SerializeToString(deterministic=True) == content


def kept(version: str, what: str) -> bytes:
    return bytes.fromhex((VERSIONS / version / f"{what}.hex").read_text())


def hello() -> v1.WatchPolicyRequest:
    """One with everything that this version can say."""
    pod = v1.Pod(namespace="pricing", name="feast-0", uid="uid-feast-0", node="node-1")
    said = v1.Hello(
        version="0.2.0",
        engine_version="0.2.0",
        pod=pod,
        digest="",
        outbound=["shop/riders"],
        serves=True,
        plain=True,
    )
    return v1.WatchPolicyRequest(hello=said)


def report() -> v1.WatchPolicyRequest:
    """The same for a report."""
    caller = v1.Caller(
        spiffe_id=str(API_POD),
        feature_set="pricing/drivers",
        standing="would-deny",
        reason="not-granted",
        missing=["hourly:c"],
        count=3,
        last_seen=1_795_435_200,
    )
    sets = v1.SetReport(
        feature_set="pricing/drivers",
        mode="shadow",
        answered=10,
        refused=2,
        would_refuse=3,
        unidentified=4,
    )
    outbound = v1.OutboundReport(
        feature_set="shop/riders",
        server=str(OTHER),
        last_answer=5,
        last_failure="server-unreachable",
    )
    told = v1.Report(
        digest="0" * 64,
        sets=[sets],
        callers=[caller, v1.Caller(address="10.1.1.1", feature_set="pricing/drivers", count=1)],
        callers_left_out=1,
        bypassing=[v1.Peer(address="10.9.9.9", port=6566, last_seen=1_795_435_200)],
        bypassing_left_out=1,
        listening=[v1.Listening(address="0.0.0.0", port=6566)],  # noqa: S104  what it has seen
        draining=True,
        identity_not_after=1_795_438_800,
        outbound=[outbound],
    )
    return v1.WatchPolicyRequest(report=told)


def test_the_newest_version_that_speaks_is_this_one() -> None:
    assert SPEAKING[-1] == ALL[-1] == __version__
    assert kept(SPEAKING[-1], "hello") == hello().SerializeToString(deterministic=True)
    assert kept(SPEAKING[-1], "report") == report().SerializeToString(deterministic=True)
    for what in ("hello", "report"):
        content = kept(SPEAKING[-1], what)
        assert is_known_to_the_last_field(SPEAKING[-1], "WatchPolicyRequest", content)


@pytest.mark.parametrize("version", SPEAKING)
async def test_each_version_kept_is_served(tmp_path: Path, version: str) -> None:
    async with (
        operating(tmp_path, current_seconds=0.1, now=lambda: float(NOW)) as operator,
        operator.sidecar() as sidecar,
    ):
        await sidecar.call.write(kept(version, "hello"))
        await sidecar.policy()
        await sidecar.call.write(kept(version, "report"))
        operator.edit(an_override("relax", featureSet=DRIVERS))
        await sidecar.policy()
        await sidecar.until(lambda one: len(one.current) >= 2)
        assert len(operator.heard) == 1
        (one,) = operator.tallies.of_set(("pricing", "drivers")).sidecars
        assert (one.mode, one.draining) == ("shadow", True)
        for answer in sidecar.raw:
            assert is_known_to_the_last_field(version, "WatchPolicyResponse", answer)
        for policy in sidecar.policies:
            assert is_known_to_the_last_field(version, "Snapshot", policy)


@pytest.mark.parametrize("version", ALL)
async def test_an_engine_of_each_version_reads_what_it_is_sent(
    tmp_path: Path, version: str
) -> None:
    async with (
        operating(tmp_path, now=lambda: float(NOW)) as operator,
        operator.sidecar() as sidecar,
    ):
        operator.edit(an_override("close", featureSet=DRIVERS))
        await sidecar.hello(engine_version=version)
        found = await sidecar.policy()
        assert found.engine_version == version, "the newest that it can use, for the override"
        assert is_known_to_the_last_field(version, "Snapshot", sidecar.policies[0])
        assert Policy(sidecar.policies[0])


def write() -> None:
    """What this version says, and the messages that it knows; only before its release."""
    folder = VERSIONS / __version__
    for what, message in (("hello", hello()), ("report", report())):
        content = message.SerializeToString(deterministic=True)
        (folder / f"{what}.hex").write_text(content.hex() + "\n")
    described = descriptor_pb2.FileDescriptorSet.FromString(
        (folder / "descriptors.binpb").read_bytes()
    )
    kept = [file for file in described.file if file.name != v1.DESCRIPTOR.name]
    ours = descriptor_pb2.FileDescriptorProto()
    v1.DESCRIPTOR.CopyToProto(ours)
    files = descriptor_pb2.FileDescriptorSet(file=[*kept, ours])
    (folder / "descriptors.binpb").write_bytes(files.SerializeToString(deterministic=True))


if __name__ == "__main__":
    write()
