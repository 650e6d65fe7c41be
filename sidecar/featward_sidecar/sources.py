"""Reads the configuration: the YAML file, then the environment, then flags, each over the one before.

Every problem is found in one go, with the source that said it, so that nobody corrects one line at a time.
Relative paths in the file start at the file's folder, so that the sidecar may be started from anywhere; in
flags and the environment they start at the working directory, as a shell's user expects.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featward_sidecar.configuration import (
    LONGEST_SOCKET,
    Agent,
    Configuration,
    ConfigurationError,
    Identity,
    Limits,
    Logging,
    Output,
    Problem,
    Server,
    listeners,
)
from featward_sidecar.settings import ENVIRONMENT_PREFIX, SETTINGS, Setting, UnfitError, read_socket

__all__ = ["FILE_VARIABLE", "load"]

FILE_VARIABLE = f"{ENVIRONMENT_PREFIX}CONFIG"
"""Names the configuration file itself."""

REQUIRED = {
    "identity.workload": "say who this sidecar is for: workload: prod.payments/feast (or --workload)",
    "agent.manifests": "say where the manifests are: manifests: ./manifests (or --manifests)",
}


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


@dataclass(slots=True)
class _Reading:
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def take(self, setting: Setting, raw: object, source: str, base: Path) -> None:
        try:
            self.values[setting.target] = setting.read(raw, base)
        except UnfitError as unfit:
            self.problems.append(Problem(source, setting.key, str(unfit)))


def load(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, str]
) -> Configuration:
    """Read, validate against itself and return the configuration; raises ConfigurationError with all problems.

    `flags` maps keys as in the file to text.
    """
    reading = _Reading()
    by_key = {setting.key: setting for setting in SETTINGS}
    if file is not None and not _take_file(reading, file, by_key):
        raise ConfigurationError(reading.problems)
    _take_environment(reading, environment)
    for key, text in flags.items():
        reading.take(by_key[key], text, f"--{_flag(by_key[key])}", Path.cwd())
    configuration = _assemble(reading, file.resolve().parent if file else Path.cwd())
    if configuration is None or reading.problems:
        raise ConfigurationError(reading.problems)
    return configuration


def _flag(setting: Setting) -> str:
    name = setting.variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("_", "-")
    return name.removeprefix("server-")


def _take_file(reading: _Reading, file: Path, by_key: Mapping[str, Setting]) -> bool:
    """Take all of the file; False when it can't be read, and nothing more can be said."""
    document, problems = _parse(file)
    reading.problems.extend(problems)
    if problems:
        return False
    sections = {key.partition(".")[0] for key in by_key if "." in key}
    for key, raw in _flatten(document, sections, reading, str(file)):
        if setting := by_key.get(key):
            reading.take(setting, raw, str(file), file.resolve().parent)
        else:
            reading.problems.append(Problem(str(file), key, _unknown(key, list(by_key))))
    return True


def _parse(file: Path) -> tuple[dict[str, object], list[Problem]]:
    """The mapping in the file, by the rules of manifests: what two readers may read differently is refused."""
    from featward import strictyaml

    try:
        trees, faults = strictyaml.read(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return {}, [Problem(str(file), "file", f"can't be read: {error}")]
    problems = [
        Problem(
            f"{file}:{fault.line}",
            strictyaml.show_path(fault.path) or "file",
            f"{fault.message}; {fault.remedy}",
        )
        for fault in faults
    ]
    document = trees[0].value if trees else {}
    if not problems and (len(trees) > 1 or not isinstance(document, dict)):
        text = "expected one mapping of keys to values, such as workload: prod.payments/feast"
        problems.append(Problem(str(file), "file", text))
    return document, problems


def _flatten(
    document: dict[str, object], sections: set[str], reading: _Reading, source: str
) -> Iterator[tuple[str, object]]:
    for key, value in document.items():
        if key not in sections:
            yield key, value
        elif isinstance(value, dict):
            if key == "server":  # even an empty section means: this one serves
                reading.values["server"] = True
            yield from ((f"{key}.{name}", each) for name, each in value.items())
        elif value is not None:
            reading.problems.append(Problem(source, key, f"expected a mapping, found {value!r}"))


def _unknown(key: str, known: list[str]) -> str:
    spelled = {each.lower().replace("_", ""): each for each in known}
    near = difflib.get_close_matches(key.lower().replace("_", ""), list(spelled), n=1)
    hint = f"did you mean {spelled[near[0]]}?" if near else f"known keys: {', '.join(known)}"
    return f"unknown key; {hint}"


def _take_environment(reading: _Reading, environment: Mapping[str, str]) -> None:
    by_variable = {setting.variable: setting for setting in SETTINGS}
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or not text or name == FILE_VARIABLE:
            continue
        if setting := by_variable.get(name):
            reading.take(setting, text, name, Path.cwd())
        else:
            reading.problems.append(Problem("environment", name, _unknown(name, list(by_variable))))


def _assemble(reading: _Reading, base: Path) -> Configuration | None:
    told = reading.values
    broken = {problem.key for problem in reading.problems}
    required = _required(told)
    for setting in SETTINGS:
        if setting.target in required and setting.target not in told and setting.key not in broken:
            reading.problems.append(
                Problem("configuration", setting.key, f"is missing; {required[setting.target]}")
            )
    if not required.keys() <= told.keys():
        return None
    server = Server(**_section(told, "server")) if _serves(told) else None
    configuration = Configuration(
        identity=Identity(**_section(told, "identity")),
        agent=_agent(told, base, server is not None),
        server=server,
        outbound=told.get("outbound", ()),
        limits=Limits(**_section(told, "limits")),
        logging=Logging(**_section(told, "logging")),
        output=Output(**_section(told, "output")) if "output.folder" in told else None,
    )
    reading.problems.extend(_contradictions(configuration))
    return configuration


def _required(told: Mapping[str, Any]) -> dict[str, str]:
    source = told.get("identity.source", "ca")
    required = REQUIRED | REQUIRED_OF.get(source, {})
    if "output.reload" in told:
        required["output.folder"] = (
            "say where the files are to be kept: output: {folder: ./identity}"
        )
    return required


def _serves(told: Mapping[str, Any]) -> bool:
    return any(key.split(".")[0] == "server" for key in told)


def _section(told: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        key.removeprefix(f"{name}."): value
        for key, value in told.items()
        if key.startswith(f"{name}.")
    }


def _agent(told: Mapping[str, Any], base: Path, serves: bool) -> Agent:
    values = _section(told, "agent")
    name = told["identity.workload"].partition("/")[2]
    state = values.setdefault("state", (base / "state" / name).resolve())
    values.setdefault("admin", state / "admin.sock")
    if serves:
        values.setdefault("record", state / "record.jsonl")
    return Agent(**values)


def _contradictions(configuration: Configuration) -> Iterator[Problem]:
    """What no single key shows."""

    def problem(key: str, message: str) -> Problem:
        return Problem("configuration", key, message)

    told = configuration.identity
    serves_apps = configuration.agent.workload_socket or configuration.output
    if configuration.server is None and not configuration.outbound and not serves_apps:
        yield problem(
            "server",
            "none of server, outbound, workloadSocket and output is given: nothing to do; add one of them",
        )
    yield from _of_other_sources(told)
    if told.source == "ca" and told.ca is not None:  # else nobody asks who we are
        yield from _of_evidence(told, told.ca)
    for key, path in (
        ("admin", configuration.agent.admin),
        ("state", configuration.agent.state / LONGEST_SOCKET),
    ):
        try:
            read_socket(str(path), Path("/"))
        except UnfitError as unfit:
            yield problem(key, f"{unfit} (the sidecar's own sockets are in the state folder)")
    yield from _socket_clashes(configuration)
    yield from _clashes(configuration)


def _of_evidence(told: Identity, ca: str) -> Iterator[Problem]:
    """What each kind of evidence takes, and what it does not."""

    def problem(key: str, message: str) -> Problem:
        return Problem("configuration", key, message)

    kind, near = told.evidence_kind, ca.startswith("unix:")
    if kind == "unix" and not near:
        yield problem(
            "joinTokenFile",
            f"is missing, and a CA at {ca} can't ask the kernel who we are; create a token with "
            f"`featward ca token create --workload {told.workload}`, write evidence: kubernetes or jwt with a "
            "tokenFile, or give the CA's unix: socket",
        )
    elif kind != "unix" and near:
        key = "joinTokenFile" if kind == "join-token" else "evidence"
        yield problem(
            key,
            f"is given, but a CA at {ca} asks the kernel who we are; "
            "leave it out, or give the CA's host:port",
        )
    by_file = kind in ("kubernetes", "jwt")
    wanted = {
        "joinTokenFile": (told.join_token_file is not None, kind == "join-token"),
        "tokenFile": (told.token_file is not None, by_file),
        "rootSha256": (told.root_sha256 != (), by_file),
    }
    for key, (given, needed) in wanted.items():
        if needed and not given:
            yield problem(key, f"is missing; evidence: {kind} needs it")
        elif given and not needed and not (key == "joinTokenFile" and near):
            yield problem(key, f"is given, but evidence is {kind}; leave it out")
    if kind != "kubernetes" and "." not in told.workload.partition("/")[0]:
        text = f"{told.workload} is a service account, which only evidence: kubernetes proves; name a Workload"
        yield problem("workload", f"{text}, such as prod.payments/feast")
    if kind == "kubernetes" and "." in told.workload.partition("/")[0]:
        text = f"{told.workload} is a Workload; with evidence: kubernetes name the service account"
        yield problem("workload", f"{text}, such as pricing/pricing-api")


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
