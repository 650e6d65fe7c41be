"""What follows the source of policy that the configuration names: the folder of manifests, or the operator.

Only wiring; what a sidecar does not use is not even imported, so that it costs no memory.
"""

from collections.abc import Container
from typing import TYPE_CHECKING, Protocol

from featward_engine import Credentials, Proxy, __version__
from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.configuration import Configuration
from featward_sidecar.policy_use import PolicyUse, Sink
from featward_sidecar.snapshots import SnapshotFolder
from featward_sidecar.state_folder import StateFolder

if TYPE_CHECKING:
    from featward.policy.v1 import policy_pb2 as v1
    from featward_sidecar.policy import PolicyKeeper

__all__ = ["PolicySource", "folder_policy", "operator_policy"]


class PolicySource(Protocol):
    """`run` is a thread's body; `reread` and `stop` are for other threads."""

    def run(self, sink: Sink, trust_domain: str) -> None: ...
    def reread(self) -> None: ...
    def stop(self) -> None: ...


def folder_policy(
    configuration: Configuration, state: StateFolder, status: AgentStatus
) -> "PolicyKeeper | None":
    """The keeper of a folder, if there is one: before anything listens, as the folder knows who we are."""
    manifests, workload = configuration.agent.manifests, configuration.identity.workload
    if manifests is None:
        return None
    from featward_sidecar.compiler import Compiler
    from featward_sidecar.folder import FolderWatch
    from featward_sidecar.policy import PolicyKeeper

    kept = SnapshotFolder(state.path / "snapshots")
    return PolicyKeeper(Compiler(manifests, workload), FolderWatch(manifests), kept, status)


def operator_policy(
    configuration: Configuration,
    state: StateFolder,
    status: AgentStatus,
    expected: Container[str],
    credentials: Credentials,
    proxy: Proxy,
    bound: object,
) -> PolicySource:
    """The follower of an operator; `bound` is what `proxy` listens on."""
    from featward_sidecar.operator_policy import OperatorPolicy
    from featward_sidecar.operator_way import OperatorWay
    from featward_sidecar.reports import Reports
    from featward_sidecar.sockets_table import SocketsTable, addresses_in

    address, trust_domain = configuration.agent.operator, configuration.identity.trust_domain
    assert address is not None and trust_domain is not None  # noqa: S101, PT018  the configuration was checked
    return OperatorPolicy(
        OperatorWay(address, trust_domain, credentials, state.path),
        _hello(configuration),
        expected,
        credentials,
        PolicyUse(SnapshotFolder(state.path / "snapshots"), status),
        Reports(proxy.status, SocketsTable(addresses_in(bound))),
        status,
        configuration.server.upstream if configuration.server else None,
    )


def _hello(configuration: Configuration) -> "v1.Hello":
    from featward.policy.v1 import policy_pb2 as v1

    pod, server = configuration.pod, configuration.server
    namespace = configuration.identity.workload.partition("/")[0]
    return v1.Hello(
        version=__version__,
        engine_version=__version__,
        pod=v1.Pod(namespace=namespace, name=pod.name, uid=pod.uid, node=pod.node),
        outbound=[each.feature_set for each in configuration.outbound],
        serves=server is not None,
        plain=server is not None and server.plain is not None,
    )
