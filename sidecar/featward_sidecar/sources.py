"""Reads the configuration: the YAML file, then the environment, then flags, each over the one before.

Every problem is found in one go, with the source that said it, so that nobody corrects one line at a time.
Relative paths in the file start at the file's folder, so that the sidecar may be started from anywhere; in
flags and the environment they start at the working directory, as a shell's user expects.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featward_sidecar.configuration import (
    Agent,
    Configuration,
    ConfigurationError,
    Identity,
    Limits,
    Logging,
    Output,
    Pod,
    Problem,
    Server,
)
from featward_sidecar.consistency import contradictions, required
from featward_sidecar.pod import placed, pod_of
from featward_sidecar.readers import UnfitError
from featward_sidecar.settings import ENVIRONMENT_PREFIX, SETTINGS, Setting

__all__ = ["FILE_VARIABLE", "load"]

FILE_VARIABLE = f"{ENVIRONMENT_PREFIX}CONFIG"
"""Names the configuration file itself."""
# Kubernetes tells every container of the Services of its namespace, as Docker's links did: one that is called
# featward-sidecar has our prefix. No setting of ours ends so.
_SERVICE_LINK = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)


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
    _place(reading, environment)
    base = file.absolute().parent if file else Path.cwd()
    configuration = _assemble(reading, base, pod_of(environment))
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
    for key, raw in _flatten(document, by_key.keys(), reading, str(file)):
        if setting := by_key.get(key):
            reading.take(setting, raw, str(file), file.absolute().parent)
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
    document: dict[str, object], keys: Collection[str], reading: _Reading, source: str
) -> Iterator[tuple[str, object]]:
    sections = {key.partition(".")[0] for key in keys if "." in key}
    for key, value in document.items():
        if key not in sections or (key in keys and not isinstance(value, dict)):
            yield key, value
        elif isinstance(value, dict):
            if key == "server":  # even an empty section means: this one serves
                reading.values["server"] = True
            # Of a section that is a key as well, such as the record, `path` is the value of that.
            own = "path" if key in keys else None
            yield from (
                (key if name == own else f"{key}.{name}", each) for name, each in value.items()
            )
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
        elif not _SERVICE_LINK.search(name):
            reading.problems.append(Problem("environment", name, _unknown(name, list(by_variable))))


def _place(reading: _Reading, environment: Mapping[str, str]) -> None:
    """Say which addresses the pod's are."""
    keys = {setting.target: setting.key for setting in SETTINGS}
    for target in ("server.listen", "server.plain", "agent.health"):
        if (address := reading.values.get(target)) is not None:
            found = placed(keys[target], address, environment)
            if isinstance(found, Problem):
                reading.problems.append(found)
            else:
                reading.values[target] = found


def _assemble(reading: _Reading, base: Path, pod: Pod) -> Configuration | None:
    told = reading.values
    broken = {problem.key for problem in reading.problems}
    needed = required(told)
    for setting in SETTINGS:
        if setting.target in needed and setting.target not in told and setting.key not in broken:
            reading.problems.append(
                Problem("configuration", setting.key, f"is missing; {needed[setting.target]}")
            )
    if not needed.keys() <= told.keys():
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
        pod=pod,
    )
    reading.problems.extend(contradictions(configuration))
    return configuration


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
