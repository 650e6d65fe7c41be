"""What a sidecar is told: frozen dataclasses by concern, built once and trusted from then on.

Apart from `settings`, which reads files, flags and environment, because the running sidecar imports this
module and must not import a YAML parser. The two meet in JSON: `featward sidecar run` validates, writes
`to_json` into a file descriptor and becomes the sidecar, which reads it back with `from_json`.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = [
    "Agent",
    "Configuration",
    "ConfigurationError",
    "Identity",
    "Limits",
    "Logging",
    "Outbound",
    "Output",
    "Pod",
    "Problem",
    "Server",
    "listeners",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration: where, and a sentence with value, expectation and remedy."""

    source: str
    """Who said it: a file's name, ``--flag`` or an environment variable; or ``configuration`` for what is
    missing."""
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.key}: {self.message}"


class ConfigurationError(Exception):
    """The configuration can't be used; carries every problem found. Nothing was started."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this workload is and who says so."""

    workload: str
    """``prod.payments/feast``: business unit and name of the Workload; ``pricing/pricing-api``: namespace and
    name of the Kubernetes service account. Required: nothing can be guessed for it."""
    ca: str | None = None
    """The CA's address: ``host:port``, or ``unix:/path`` for the workload socket of a CA on this machine.
    Required unless ``source`` is another."""
    join_token_file: Path | None = None
    """File with the token of ``featward ca token create``. Default none: the CA asks the kernel who we are,
    which needs a ``unix:`` address. The file is left where it is: a token is good for one use only."""
    evidence: str | None = None
    """How we prove to the CA who we are: ``join-token``, ``unix``, ``kubernetes`` or ``jwt``. Default: a join
    token where there is a file of one, else ``unix``."""
    token_file: Path | None = None
    """For ``evidence: kubernetes`` the projected service account token, for ``jwt`` the token of the CI job.
    Its audience is ``featward.dev/ca/`` and the trust domain. Read at every use."""
    root_sha256: tuple[str, ...] = ()
    """SHA-256 of the CA's root certificate, in hex, as ``featward ca status --output json`` shows it; two while
    one root follows another. This or ``rootSha256File`` is required for ``evidence: kubernetes`` and ``jwt``; a
    join token says it by itself."""
    root_sha256_file: Path | None = None
    """File with these digests instead, one a line, for where somebody keeps it up to date: the ConfigMap
    ``featward-trust`` of the operator. Read at every use."""
    trust_domain: str | None = None
    """The trust domain of our environment, ``prod.acme.example``. Required with ``operator``, whom nobody can
    know before the domain is known; otherwise the manifests or the join token say it."""
    source: str = "ca"
    """Who gives us our SVID and whom to trust: our ``ca``; ``workload-api``, the socket of somebody else,
    such as SPIRE's agent; or ``files``. The SVID must have the path that our CA would give this workload."""
    source_socket: Path | None = None
    """Socket of that Workload API, for ``source: workload-api``."""
    source_chain: Path | None = None
    """For ``source: files``: the certificate chain in PEM, leaf first. Looked at every second."""
    source_key: Path | None = None
    """The leaf's private key in PEM, PKCS #8, not encrypted."""
    source_bundle: Path | None = None
    """The root certificates of the trust domain in PEM."""

    @property
    def evidence_kind(self) -> str:
        """The kind of evidence, with its default."""
        return self.evidence or ("unix" if self.join_token_file is None else "join-token")


@dataclass(frozen=True, slots=True)
class Server:
    """The serving side, before a feature server. Absent for a pure client."""

    listen: str = "127.0.0.1:15443"
    """Where mTLS callers connect. Loopback by default, because who may reach it is the owner's choice. Here and
    in ``server.plain`` and ``health``, ``pod:15443`` is that port of the address in ``FEATWARD_POD_IP``."""
    plain: str | None = None
    """Where callers without identity connect, while a feature set's ``unidentified`` allows them. Default
    off."""
    upstream: str | None = None
    """Where the feature server is, on loopback (``127.0.0.1:6566``), for one that listens elsewhere than its
    feature sets say. Default: where they say."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """One feature set that an app beside us reads: plain HTTP in here, mTLS out to its server."""

    feature_set: str
    """Name of the set, or ``namespace/name`` where the environment has two of that name."""
    listen: str
    """Local address for the app, ``127.0.0.1:15100`` or ``unix:/path``."""
    peer_uid: int | None = None
    """For a UNIX socket: the only user that may use it. Default: the user that the sidecar runs as."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the data plane. Everything has one: what is unbounded is somebody's denial of service."""

    body_bytes: int = 1_048_576
    """Largest request body. 1 MiB is some 50,000 entity values."""
    answer_bytes: int = 67_108_864
    """Largest answer of the feature server. 64 MiB."""
    header_bytes: int = 32_768
    """All headers of one request together, at least 8192. Envoy has 60 KiB, nginx 32."""
    rows: int = 1000
    """Rows of one request, whatever a binding says."""
    depth: int = 8
    """Nesting of a request's JSON; a feature request needs 3."""
    connections: int = 4096
    """Open connections at a time, about 25 KB each."""
    streams: int = 100
    """Requests at a time on one HTTP/2 connection."""
    handshake_seconds: float = 10.0
    """From accept to the end of the TLS handshake."""
    header_seconds: float = 10.0
    """From the first byte of a request to the end of its headers."""
    body_seconds: float = 15.0
    """From the end of the headers to the end of the body."""
    idle_seconds: float = 120.0
    """A connection without a request is closed after this."""
    upstream_connect_seconds: float = 2.0
    """To connect to the feature server; it is on loopback."""
    upstream_seconds: float = 30.0
    """To the last byte of the feature server's answer."""


@dataclass(frozen=True, slots=True)
class Logging:
    """What is written on standard error."""

    format: str = "auto"
    """``json`` (an object per line), ``console``, or ``auto``: console on a terminal, else JSON."""
    level: str = "info"
    """Least severe level written: ``debug``, ``info``, ``warning`` or ``error``."""


LONGEST_SOCKET = "first-contact.sock"
"""The longest name of a UNIX socket that the sidecar makes in its state folder: its calls to the CA go through
it before it has an identity. A state folder must leave room for it."""


@dataclass(frozen=True, slots=True)
class Agent:
    """The process around the engine: where it keeps things and how it is watched."""

    state: Path
    """Folder of our own (0700): snapshots, admin socket, record. Never holds keys. Default
    ``./state/<workload name>``."""
    manifests: Path | None = None
    """Folder of the manifests that policy is compiled from; watched for edits. Required unless ``operator`` is
    given."""
    operator: str | None = None
    """Address of the operator, ``host:port``, which hands us our policy instead of a folder. For pods: it needs
    ``trustDomain`` and ``evidence: kubernetes``."""
    hold: bool = False
    """Whether ``/startedz`` also waits for an identity, so that an app that can't do without one starts after
    it has come. Default no: a CA that is away must keep no app from starting."""
    health: str | None = "127.0.0.1:15020"
    """Where ``/startedz /readyz /livez /metrics`` are served; ``none`` for nowhere."""
    admin: Path | None = None
    """UNIX socket that ``featward sidecar status`` asks. Default ``<state>/admin.sock``."""
    record: Path | None = None
    """The decision record, one JSON line each. Default ``<state>/record.jsonl`` with a server, else none."""
    record_bytes: int = 0
    """At this size the record is renamed to end in ``.1``, in the place of the one before, and begun anew; at
    least 4096. 0, the default, is for never: then somebody else has to rotate it. With it, twice as much is the
    most that it takes of a volume that has a limit."""
    upstream_token_file: Path | None = None
    """Token sent to a feature server whose set says ``upstreamAuth: token``."""
    workload_socket: Path | None = None
    """UNIX socket on which apps beside us fetch this workload's identity, by the SPIFFE Workload API (X.509) or
    Envoy's SDS. Who may open it is this workload. Default none."""
    workload_socket_mode: str = "0600"
    """Its permissions, in octal: ``0600`` lets in our own user only, ``0660`` its group. In quotes."""
    workers: int = 0
    """Threads of the engine. 0, the default: as many as the CPU limit allows, at most 4."""
    drain_seconds: float = 20.0
    """How long requests in flight may take after SIGTERM. Below the 30 s that Kubernetes waits before
    SIGKILL."""


@dataclass(frozen=True, slots=True)
class Output:
    """Identity and trust as files, for apps that read nothing else. Absent: the key stays in memory."""

    folder: Path
    """Where ``svid.pem``, ``key.pem`` (0600) and ``bundle.pem`` are kept, all three changed at once."""
    reload: tuple[str, ...] = ()
    """What makes the app read them again: a command as a list, or ``signal:/path/of/pidfile`` for SIGHUP."""


@dataclass(frozen=True, slots=True)
class Pod:
    """The pod that we run in, as Kubernetes says it in our environment (see `pod`); all empty elsewhere."""

    name: str = ""
    uid: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it."""

    identity: Identity
    agent: Agent
    server: Server | None = None
    outbound: tuple[Outbound, ...] = ()
    limits: Limits = field(default_factory=Limits)
    logging: Logging = field(default_factory=Logging)
    output: Output | None = None
    pod: Pod = field(default_factory=Pod)

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Configuration":
        """The reverse of `to_json`; only for what we wrote ourselves a moment ago."""
        raw = json.loads(text)
        return cls(
            identity=_identity(raw["identity"]),
            agent=Agent(**_with_paths(raw["agent"], Agent)),
            server=Server(**raw["server"]) if raw["server"] else None,
            outbound=tuple(Outbound(**each) for each in raw["outbound"]),
            limits=Limits(**raw["limits"]),
            logging=Logging(**raw["logging"]),
            output=_output(raw["output"]),
            pod=Pod(**raw["pod"]),
        )


def listeners(configuration: Configuration) -> list[tuple[str, str]]:
    """Key and address of all that the engine listens on."""
    server, agent = configuration.server, configuration.agent
    told = [("server.listen", server.listen), ("server.plain", server.plain)] if server else []
    told += [(f"outbound.{each.feature_set}", each.listen) for each in configuration.outbound]
    told += [("health", agent.health), ("admin", f"unix:{agent.admin}" if agent.admin else None)]
    return [(key, address) for key, address in told if address is not None]


def _identity(raw: dict[str, Any]) -> Identity:
    values = _with_paths(raw, Identity)
    return Identity(**(values | {"root_sha256": tuple(values["root_sha256"])}))


def _output(raw: dict[str, Any] | None) -> Output | None:
    return Output(Path(raw["folder"]), tuple(raw["reload"])) if raw else None


def _with_paths(raw: dict[str, Any], owner: type) -> dict[str, Any]:
    paths = {field.name for field in fields(owner) if "Path" in str(field.type)}
    return {name: Path(v) if name in paths and v is not None else v for name, v in raw.items()}
