"""What must be given, and what can't be given together: the configuration against itself.

Apart from `sources`, which reads single keys: what is found here no single key shows.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from featward_sidecar.configuration import (
    LONGEST_SOCKET,
    Configuration,
    Identity,
    Problem,
    listeners,
)
from featward_sidecar.readers import UnfitError, read_socket
from featward_sidecar.settings import SETTINGS

__all__ = ["contradictions", "required"]

REQUIRED = {
    "identity.workload": "say who this sidecar is for: workload: prod.payments/feast (or --workload)",
    "agent.manifests": "say where the manifests are: manifests: ./manifests (or --manifests); "
    "a sidecar in a pod has operator: instead",
}

REQUIRED_OF_OPERATOR = {
    "identity.trust_domain": "say which environment this is: trustDomain: prod.acme.example"
}
"""Instead of manifests."""

_FILES = "say which files: sourceFiles: {chain: svid.pem, key: key.pem, bundle: bundle.pem}"

REQUIRED_OF = {
    "ca": {
        "identity.ca": "say where the CA is: ca: 127.0.0.1:8443 or unix:/run/featward/ca-workload.sock "
        "(or --ca)"
    },
    "workload-api": {
        "identity.source_socket": "say which socket: sourceSocket: /run/spire/agent/public/api.sock"
    },
    "files": {
        "identity.source_chain": _FILES,
        "identity.source_key": _FILES,
        "identity.source_bundle": _FILES,
    },
}
"""By `source`; of the others' keys none may be given."""


def required(told: Mapping[str, Any]) -> dict[str, str]:
    """What must be given besides what was told, by target, each with what to write."""
    source = told.get("identity.source", "ca")
    required = REQUIRED | REQUIRED_OF.get(source, {})
    if "agent.operator" in told:
        required = required | REQUIRED_OF_OPERATOR
        del required["agent.manifests"]
    if "output.reload" in told:
        required["output.folder"] = (
            "say where the files are to be kept: output: {folder: ./identity}"
        )
    return required


def contradictions(configuration: Configuration) -> Iterator[Problem]:
    """What is wrong with it as a whole."""

    told = configuration.identity
    serves_apps = configuration.agent.workload_socket or configuration.output
    if configuration.server is None and not configuration.outbound and not serves_apps:
        yield _problem(
            "server",
            "none of server, outbound, workloadSocket and output is given: nothing to do; add one of them",
        )
    yield from _of_other_sources(told)
    if told.source == "ca" and told.ca is not None:  # else nobody asks who we are
        yield from _of_evidence(told, told.ca)
    yield from _of_policy(configuration)
    yield from _of_process(configuration)
    for key, path in (
        ("admin", configuration.agent.admin),
        ("state", configuration.agent.state / LONGEST_SOCKET),
    ):
        try:
            read_socket(str(path), Path("/"))
        except UnfitError as unfit:
            yield _problem(key, f"{unfit} (the sidecar's own sockets are in the state folder)")
    yield from _socket_clashes(configuration)
    yield from _clashes(configuration)


def _problem(key: str, message: str) -> Problem:
    return Problem("configuration", key, message)


def _of_policy(configuration: Configuration) -> Iterator[Problem]:
    """Policy comes from a folder, or from the operator, who serves pods and knows them by their token."""
    told, agent = configuration.identity, configuration.agent
    if agent.operator is None:
        if told.trust_domain is not None:
            text = f"{told.trust_domain} is given without operator; the manifests or the join token say it"
            yield _problem("trustDomain", f"{text}: leave it out")
        return
    if agent.manifests is not None:
        text = f"{agent.operator} is given, and the folder {agent.manifests} too"
        yield _problem("operator", f"{text}; policy comes from one of the two: leave the other out")
    kind = told.evidence_kind if told.source == "ca" else f"source: {told.source}"
    if kind != "kubernetes":
        text = f"{agent.operator} is given, and our identity comes by {kind}"
        yield _problem("operator", f"{text}; it serves pods, so write evidence: kubernetes")


def _of_process(configuration: Configuration) -> Iterator[Problem]:
    agent = configuration.agent
    if agent.hold and agent.health is None:
        text = (
            "is true and health is none, so nobody asks /startedz; leave hold out, or give health"
        )
        yield _problem("hold", text)
    if agent.record_bytes and agent.record is None:
        text = f"is {agent.record_bytes}, and no record is written without a server; leave it out"
        yield _problem("record.bytes", f"{text}, or say where: record: ./record.jsonl")


def _of_evidence(told: Identity, ca: str) -> Iterator[Problem]:
    """What each kind of evidence takes, and what it does not."""
    kind, near = told.evidence_kind, ca.startswith("unix:")
    if kind == "unix" and not near:
        yield _problem(
            "joinTokenFile",
            f"is missing, and a CA at {ca} can't ask the kernel who we are; create a token with "
            f"`featward ca token create --workload {told.workload}`, write evidence: kubernetes or jwt with a "
            "tokenFile, or give the CA's unix: socket",
        )
    elif kind != "unix" and near:
        key = "joinTokenFile" if kind == "join-token" else "evidence"
        yield _problem(
            key,
            f"is given, but a CA at {ca} asks the kernel who we are; "
            "leave it out, or give the CA's host:port",
        )
    by_file = kind in ("kubernetes", "jwt")
    in_file = told.root_sha256_file is not None
    wanted = {
        "joinTokenFile": (told.join_token_file is not None, kind == "join-token"),
        "tokenFile": (told.token_file is not None, by_file),
        "rootSha256": (told.root_sha256 != (), by_file and not in_file),
        "rootSha256File": (in_file, by_file and in_file),
    }
    if by_file and in_file and told.root_sha256:
        text = f"{told.root_sha256_file} is given, and rootSha256 too; leave one of them out"
        yield _problem("rootSha256File", text)
        del wanted["rootSha256"]
    for key, (given, needed) in wanted.items():
        if needed and not given:
            yield _problem(key, f"is missing; evidence: {kind} needs it")
        elif given and not needed and not (key == "joinTokenFile" and near):
            yield _problem(key, f"is given, but evidence is {kind}; leave it out")
    if kind != "kubernetes" and "." not in told.workload.partition("/")[0]:
        text = f"{told.workload} is a service account, which only evidence: kubernetes proves; name a Workload"
        yield _problem("workload", f"{text}, such as prod.payments/feast")
    if kind == "kubernetes" and "." in told.workload.partition("/")[0]:
        text = f"{told.workload} is a Workload; with evidence: kubernetes name the service account"
        yield _problem("workload", f"{text}, such as pricing/pricing-api")


def _socket_clashes(configuration: Configuration) -> Iterator[Problem]:
    ours = configuration.agent.workload_socket
    others = {
        "admin": configuration.agent.admin,
        "sourceSocket": configuration.identity.source_socket,
    }
    for key, path in others.items():
        if ours is not None and ours == path:
            text = f"{ours} is {key} already; choose another path"
            yield Problem("configuration", "workloadSocket", text)


def _of_other_sources(told: Identity) -> Iterator[Problem]:
    keys = {setting.target: setting.key for setting in SETTINGS}
    own = REQUIRED_OF[told.source].keys() | (
        {"identity.join_token_file"} if told.source == "ca" else set()
    )
    others = {target for required in REQUIRED_OF.values() for target in required}
    for target in sorted((others | {"identity.join_token_file"}) - own):
        if getattr(told, target.removeprefix("identity.")) is not None:
            text = f"is given, but source is {told.source}; leave it out, or write another source"
            yield Problem("configuration", keys[target], text)


def _clashes(configuration: Configuration) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for key, address in listeners(configuration):
        if address.endswith(":0"):
            continue
        if address in taken:
            yield Problem(
                "configuration",
                key,
                f"{address} is already taken by {taken[address]}; choose another port",
            )
        taken.setdefault(address, key)
