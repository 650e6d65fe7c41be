"""Every version of sidecars that is kept is served: what it says is taken, what it is sent it can read."""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from cluster_objects import NOW, an_override
from featward_engine import Policy
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
        assert (one.mode, one.draining) == ("observe", True)
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
