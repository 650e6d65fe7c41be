"""Every key of the sidecar's configuration: its name, what values it takes and where it ends up.

One table serves the file, the environment and the flags, so the three can't drift apart. Values come as
text from the environment and flags and as YAML from the file; the readers take both. Only `featward sidecar
run|validate|status` import this, never the running sidecar.
"""

import re
from dataclasses import dataclass, fields

from featward.logs import Form, Level
from featward_sidecar import addresses as address
from featward_sidecar import readers as read
from featward_sidecar.configuration import Limits

__all__ = ["ENVIRONMENT_PREFIX", "SETTINGS", "Setting"]

ENVIRONMENT_PREFIX = "FEATWARD_SIDECAR_"
"""Unset and empty mean the same: the file, else the default, decides."""

SOURCES = ("ca", "workload-api", "files")
EVIDENCE = ("join-token", "unix", "kubernetes", "jwt")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. ``key`` as in the file (dots for nesting), ``target`` as in the dataclasses."""

    key: str
    target: str
    read: read.Reader

    @property
    def variable(self) -> str:
        """``server.listen`` -> ``FEATWARD_SIDECAR_SERVER_LISTEN``; ``joinTokenFile`` ->
        ``…_JOIN_TOKEN_FILE``."""
        return (
            ENVIRONMENT_PREFIX
            + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.key).replace(".", "_").upper()
        )


def _limits() -> list[Setting]:
    def camel(name: str) -> str:
        return re.sub(r"_(.)", lambda match: match[1].upper(), name)

    return [
        Setting(
            f"limits.{camel(f.name)}",
            f"limits.{f.name}",
            read.read_seconds if f.type is float else read.read_positive,
        )
        for f in fields(Limits)
    ]


SETTINGS: tuple[Setting, ...] = (
    Setting("workload", "identity.workload", read.read_workload),
    Setting("ca", "identity.ca", address.read_address),
    Setting("joinTokenFile", "identity.join_token_file", read.read_path),
    Setting("evidence", "identity.evidence", read.one_of(*EVIDENCE)),
    Setting("tokenFile", "identity.token_file", read.read_path),
    Setting("rootSha256", "identity.root_sha256", read.read_digests),
    Setting("rootSha256File", "identity.root_sha256_file", read.read_path),
    Setting("trustDomain", "identity.trust_domain", read.read_trust_domain),
    Setting("source", "identity.source", read.one_of(*SOURCES)),
    Setting("sourceSocket", "identity.source_socket", read.read_socket),
    Setting("sourceFiles.chain", "identity.source_chain", read.read_path),
    Setting("sourceFiles.key", "identity.source_key", read.read_path),
    Setting("sourceFiles.bundle", "identity.source_bundle", read.read_path),
    Setting("manifests", "agent.manifests", read.read_folder),
    Setting("operator", "agent.operator", address.read_tcp),
    Setting("state", "agent.state", read.read_path),
    Setting("health", "agent.health", address.read_optional_reachable),
    Setting("hold", "agent.hold", read.read_flag),
    Setting("admin", "agent.admin", read.read_socket),
    Setting("record", "agent.record", read.read_path),
    Setting("record.bytes", "agent.record_bytes", read.read_record_bytes),
    Setting("upstreamTokenFile", "agent.upstream_token_file", read.read_file),
    Setting("workloadSocket", "agent.workload_socket", read.read_shared_socket),
    Setting("workloadSocketMode", "agent.workload_socket_mode", read.read_mode),
    Setting("workers", "agent.workers", read.read_whole),
    Setting("drainSeconds", "agent.drain_seconds", read.read_seconds),
    Setting("server.listen", "server.listen", address.read_reachable),
    Setting("server.plain", "server.plain", address.read_optional_reachable),
    Setting("server.upstream", "server.upstream", address.read_upstream),
    Setting("outbound", "outbound", address.read_outbound),
    Setting("output.folder", "output.folder", read.read_path),
    Setting("output.reload", "output.reload", read.read_reload),
    Setting("log.format", "logging.format", read.one_of(*Form)),
    Setting("log.level", "logging.level", read.one_of(*Level)),
    *_limits(),
)
