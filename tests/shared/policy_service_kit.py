"""The operator's PolicyService behind its real Listener, and sidecars that speak to it over real mTLS."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc

from certificates import Environment
from cluster_objects import CLUSTER, FEAST
from featward.identity.spiffe import SpiffeId
from featward.policy.slices import SliceCompiler
from featward.policy.v1 import policy_pb2 as v1
from featward.policy.v1.snapshot_pb2 import Snapshot
from featward_engine import Credentials, Dialer, Policy
from featward_operator.pods import pod_facts
from featward_operator.policy.pushes import Pushes
from featward_operator.policy.service import PolicyService
from featward_operator.policy.serving import serving
from featward_operator.policy.streams import Stream, Streams
from featward_operator.policy.tallies import Tallies
from featward_operator.world import World, projected

__all__ = ["EndedError", "Operating", "Sidecar", "a_pod", "operating", "sidecar"]

_METHOD = "/featward.policy.v1.PolicyService/WatchPolicy"


def a_pod(name: str, namespace: str = "pricing", account: str = "feast") -> dict[str, Any]:
    """A pod as the API server has it; its uid is its name with `uid-` before it."""
    return {
        "metadata": {"namespace": namespace, "name": name, "uid": f"uid-{name}"},
        "spec": {"serviceAccountName": account, "containers": []},
    }


class Operating:
    """A replica: its world, its service and where it listens."""

    def __init__(self, folder: Path, environments: list[Environment], **options: Any) -> None:
        self.folder, self.environments = folder, environments
        self.world, self.streams = World(), Streams()
        self.slices = SliceCompiler(self.world.index)
        self.pushes = Pushes(self.slices, self.streams, **options)
        self.world.changed = self.pushes.mark
        self.heard: list[v1.Report] = []
        self.tallies = Tallies(self.world, self.pushes.has_newest)
        domains = [one.domain for one in environments]
        self.service = PolicyService(self.world, self.pushes, self.streams, self.tallies, domains)
        self.address = ""
        self._sidecars = 0

        self._note_reports()

    def _note_reports(self) -> None:
        """Let a test see that a report was taken."""
        take = self.tallies.take

        def noted(stream: Stream, report: v1.Report) -> None:
            take(stream, report)
            self.heard.append(report)

        self.tallies.take = noted  # type: ignore[method-assign]  # it watches, and changes nothing

    def replace_tallies(self, tallies: Tallies) -> None:
        """Count by another clock."""
        self.tallies = self.service._tallies = tallies
        self._note_reports()

    def edit(self, *objects: dict[str, Any]) -> None:
        """What a watch says of these objects."""
        for raw in objects:
            key = (raw["metadata"].get("namespace") or "", raw["metadata"]["name"])
            self.world.take(raw["kind"], key, projected(raw))

    def delete(self, kind: str, namespace: str, name: str) -> None:
        self.world.take(kind, (namespace, name), None)

    def run_pod(self, name: str, namespace: str = "pricing", account: str = "feast") -> None:
        facts = pod_facts(a_pod(name, namespace, account))
        self.world.take_pod((namespace, name), None, facts)

    @asynccontextmanager
    async def sidecar(
        self, workload: SpiffeId = FEAST, environment: Environment | None = None
    ) -> AsyncIterator["Sidecar"]:
        """One with an SVID of this workload, in the environment that it is of, or (falsely) in another."""
        self._sidecars += 1
        of = environment or self.environments[0]
        authority = of.risk if workload.business_unit == "risk" else of.payments
        credentials = of.process(authority, str(workload))
        socket = self.folder / f"s{self._sidecars}.sock"
        async with sidecar(self.address, of.domain, credentials, socket) as found:
            yield found


class EndedError(Exception):
    """The operator ended the stream: status, sentence and trailing metadata."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: Any) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code, self.details = code, details
        self.retry_after_ms = int(str(dict(trailing or ()).get("featward-retry-after-ms", 0)))


class Sidecar:
    """One stream, and the engine behind it. Every snapshot that came whole is in `policies`."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.raw: list[bytes] = []
        self.terms: list[v1.Terms] = []
        self.current: list[v1.Current] = []
        self.parts: list[v1.Part] = []
        self.policies: list[bytes] = []
        self.taken = 0
        self.ended: EndedError | None = None
        self._buffer, self._digest = b"", ""
        self._news = asyncio.Event()
        # A read that is given up would end the call, so one task reads for all who wait.
        self._reading = asyncio.create_task(self._read())

    async def hello(self, **more: Any) -> None:
        pod = v1.Pod(namespace="pricing", name="feast-0", uid="uid-feast-0", node="n")
        said = {"version": "0.2.0", "engine_version": "0.2.0", "pod": pod, "serves": True, **more}
        await self.say(hello=v1.Hello(**said))

    async def say(self, **what: Any) -> None:
        # How it ended, `until` says.
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self.call.write(v1.WatchPolicyRequest(**what).SerializeToString())

    async def until(self, condition: Callable[["Sidecar"], object], seconds: float = 10.0) -> None:
        """Wait until it is so. Raises EndedError when the operator ends the stream before."""
        async with asyncio.timeout(seconds):
            while not condition(self):
                if self.ended is not None:
                    raise self.ended
                self._news.clear()
                await self._news.wait()

    async def end(self) -> EndedError:
        """How the operator ends it."""
        async with asyncio.timeout(10.0):
            await self._reading
        assert self.ended is not None
        return self.ended

    def close(self) -> None:
        self._reading.cancel()

    async def _read(self) -> None:
        try:
            while (answer := await self.call.read()) is not grpc.aio.EOF:
                self.raw.append(answer)
                self._take(v1.WatchPolicyResponse.FromString(answer))
                self._news.set()
            self.ended = EndedError(grpc.StatusCode.OK, "", None)
        except grpc.aio.AioRpcError as error:
            self.ended = EndedError(error.code(), error.details() or "", error.trailing_metadata())
        self._news.set()

    async def policy(self) -> Snapshot:
        """The next snapshot, used by the engine and applied."""
        await self.until(lambda one: len(one.policies) > one.taken)
        content = self.policies[self.taken]
        self.taken += 1
        await self.say(applied=v1.Applied(digest=Policy(content).digest))
        return Snapshot.FromString(content)

    async def quiet(self, seconds: float) -> bool:
        """Whether no part comes for so long."""
        count, ends = len(self.parts), time.monotonic() + seconds
        try:
            await self.until(lambda one: len(one.parts) > count, ends - time.monotonic())
        except TimeoutError:
            return True
        return False

    def _take(self, answer: v1.WatchPolicyResponse) -> None:
        match answer.WhichOneof("what"):
            case "terms":
                self.terms.append(answer.terms)
            case "current":
                self.current.append(answer.current)
            case "part":
                self._take_part(answer.part)

    def _take_part(self, part: v1.Part) -> None:
        self.parts.append(part)
        if part.digest != self._digest:
            self._buffer, self._digest = b"", part.digest
        assert part.offset == len(self._buffer)
        self._buffer += part.data
        if len(self._buffer) == part.total:
            self.policies.append(self._buffer)
            self._buffer, self._digest = b"", ""


@asynccontextmanager
async def sidecar(
    address: str, domain: str, credentials: Credentials, socket: Path
) -> AsyncIterator[Sidecar]:
    """A stream as a sidecar opens it: through a Dialer that wants the operator's identity."""
    told = {"address": address, "socket": str(socket), "expect": str(SpiffeId.operator(domain))}
    dialer = Dialer(credentials, json.dumps(told).encode())
    dialer.start()
    options = [("grpc.default_authority", "localhost")]
    try:
        async with grpc.aio.insecure_channel(f"unix:{socket}", options=options) as channel:
            found = Sidecar(channel.stream_stream(_METHOD)())
            try:
                yield found
            finally:
                found.close()
    finally:
        await asyncio.to_thread(dialer.stop)


@asynccontextmanager
async def operating(
    folder: Path, *domains: str, objects: list[dict[str, Any]] | None = None, **options: Any
) -> AsyncIterator[Operating]:
    """A replica that knows this cluster, for environments with these trust domains."""
    environments = [Environment(domain) for domain in domains or ("prod.acme.example",)]
    made = Operating(folder, environments, **options)
    made.edit(*(CLUSTER if objects is None else objects))
    made.run_pod("feast-0")
    made.world.synced.set()
    identities = [
        one.process(one.platform, str(SpiffeId.operator(one.domain))) for one in environments
    ]
    pushing = asyncio.create_task(made.pushes.run())
    try:
        async with serving(made.service, identities, "127.0.0.1:0", folder) as address:
            made.address = address
            yield made
    finally:
        pushing.cancel()
        await asyncio.wait([pushing])
