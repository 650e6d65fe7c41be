"""The configuration: three sources over one another, and every problem at once."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from featward_sidecar.configuration import (
    Configuration,
    ConfigurationError,
    Limits,
    Outbound,
    Pod,
    Server,
)
from featward_sidecar.engine_configuration import proxy_configuration
from featward_sidecar.settings import SETTINGS
from featward_sidecar.sources import _SERVICE_LINK, load

Write = Callable[[str], Path]

GOOD = """
workload: prod.payments/feast
manifests: ./manifests
ca: 127.0.0.1:8443
joinTokenFile: ./token
server: {listen: 127.0.0.1:15443, plain: 127.0.0.1:15080}
outbound: {driver-stats: 127.0.0.1:15100}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    (tmp_path / "manifests").mkdir()

    def write(text: str) -> Path:
        path = tmp_path / "sidecar.yaml"
        path.write_text(text)
        return path

    return write


def problems(
    file: Path | None, environment: dict[str, str] | None = None, **flags: str
) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(file, environment or {}, flags)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_is_read_with_paths_from_its_own_folder(write: Write, tmp_path: Path) -> None:
    configuration = load(write(GOOD), {}, {})
    assert configuration.identity.workload == "prod.payments/feast"
    assert configuration.identity.join_token_file == tmp_path / "token"
    assert configuration.agent.manifests == tmp_path / "manifests"
    assert configuration.server == Server("127.0.0.1:15443", "127.0.0.1:15080")
    assert configuration.outbound == (Outbound("driver-stats", "127.0.0.1:15100"),)


def test_what_is_left_out_has_a_default(write: Write, tmp_path: Path) -> None:
    agent = load(write(GOOD), {}, {}).agent
    assert agent.state == tmp_path / "state" / "feast"
    assert agent.admin == agent.state / "admin.sock"
    assert agent.record == agent.state / "record.jsonl"
    assert agent.health == "127.0.0.1:15020"


def test_a_pure_client_keeps_no_record(write: Write) -> None:
    configuration = load(write(GOOD.replace("server:", "# server:")), {}, {})
    assert configuration.server is None
    assert configuration.agent.record is None


def test_an_empty_server_section_serves_with_defaults(write: Write) -> None:
    text = GOOD.replace("{listen: 127.0.0.1:15443, plain: 127.0.0.1:15080}", "{}")
    assert load(write(text), {}, {}).server == Server()


def test_flags_go_over_the_environment_and_the_environment_over_the_file(write: Write) -> None:
    environment = {"FEATWARD_SIDECAR_CA": "10.0.0.2:8443", "FEATWARD_SIDECAR_HEALTH": "127.0.0.1:1"}
    configuration = load(write(GOOD), environment, {"ca": "10.0.0.3:8443"})
    assert configuration.identity.ca == "10.0.0.3:8443"
    assert configuration.agent.health == "127.0.0.1:1"


def test_an_empty_variable_counts_as_unset(write: Write) -> None:
    assert load(write(GOOD), {"FEATWARD_SIDECAR_CA": ""}, {}).identity.ca == "127.0.0.1:8443"


def test_what_kubernetes_tells_of_a_service_of_our_name_is_no_setting(write: Write) -> None:
    """A Service `featward-sidecar` in the namespace would stop every new sidecar otherwise."""
    service = {
        "SERVICE_HOST": "10.96.0.9",
        "SERVICE_PORT": "80",
        "SERVICE_PORT_METRICS": "9090",
        "PORT": "tcp://10.96.0.9:80",
        "PORT_80_TCP": "tcp://10.96.0.9:80",
        "PORT_80_TCP_PROTO": "tcp",
        "PORT_80_TCP_PORT": "80",
        "PORT_80_TCP_ADDR": "10.96.0.9",
        "METRICS_SERVICE_HOST": "10.96.0.9",
    }
    told = {f"FEATWARD_SIDECAR_{name}": value for name, value in service.items()}
    assert load(write(GOOD), told, {}).identity.ca == "127.0.0.1:8443"
    assert not [one for one in SETTINGS if _SERVICE_LINK.search(one.variable)]


def test_all_problems_are_reported_with_their_source_and_a_suggestion(write: Write) -> None:
    found = problems(
        write(GOOD + "limits: {rowss: 3, depth: deep}\nhelth: x\n"),
        {"FEATWARD_SIDECAR_WORKLOD": "x"},
        workers="-1",
    )
    assert len(found) == 5
    assert "sidecar.yaml: limits.rowss: unknown key; did you mean limits.rows?" in found[0]
    assert "limits.depth: 'deep' is no number" in found[1]
    assert "did you mean health?" in found[2]
    assert "did you mean FEATWARD_SIDECAR_WORKLOAD?" in found[3]
    assert "--workers: workers: '-1' is not a whole number" in found[4]


@pytest.mark.parametrize("limit", ["inf", "nan", "1e999", "1" + "0" * 400])
def test_what_is_no_finite_number_is_a_problem_not_a_crash(write: Write, limit: str) -> None:
    variables = ("FEATWARD_SIDECAR_LIMITS_ROWS", "FEATWARD_SIDECAR_LIMITS_BODY_SECONDS")
    found = problems(write(GOOD), dict.fromkeys(variables, limit))
    assert len(found) == 2
    assert all("is no number" in problem for problem in found)


def test_a_key_in_the_style_of_the_engine_is_pointed_to_its_name_here(write: Write) -> None:
    assert (
        "did you mean limits.bodyBytes?" in problems(write(GOOD + "limits: {body_bytes: 3}\n"))[0]
    )


def test_a_duplicate_key_is_refused(write: Write) -> None:
    (problem,) = problems(write(GOOD + "ca: 127.0.0.1:1\n"))
    assert "sidecar.yaml:8: ca: " in problem
    assert "twice" in problem


def test_what_is_missing_is_named_with_an_example() -> None:
    found = problems(None)
    assert [line.split(": ")[1] for line in found] == ["workload", "ca", "manifests"]
    assert "--workload" in found[0]


def test_a_broken_required_value_is_one_problem_and_not_also_missing(write: Write) -> None:
    found = problems(write(GOOD.replace("prod.payments/feast", "feast")))
    assert len(found) == 1
    assert "write business unit and name" in found[0]


@pytest.mark.parametrize(
    ("line", "with_", "sentence"),
    [
        ("joinTokenFile: ./token", "", "featward ca token create --workload prod.payments/feast"),
        ("ca: 127.0.0.1:8443", "ca: unix:/run/ca.sock", "asks the kernel who we are"),
        (
            "prod.payments/feast",
            "spiffe://a.example/bu/p/svc/x",
            "which names no environment; here",
        ),
        ("127.0.0.1:15100", "127.0.0.1:15443", "already taken by server.listen"),
        ("127.0.0.1:15100", "localhost:15100", "is a name"),
        ("127.0.0.1:15100", '"::1:15100"', "in brackets"),
        ("127.0.0.1:15100", "127.0.0.1:70000", "port of 0 to 65535"),
        ("127.0.0.1:15100", "unix:/" + "x" * 120, "too long for a UNIX socket"),
        ("127.0.0.1:15100", '{listen: "127.0.0.1:1", peerUid: 3}', "only a unix: address"),
        ("127.0.0.1:15100", '{listn: "127.0.0.1:1"}', "unknown key 'listn'"),
        ("./manifests", "./nowhere", "there is no folder"),
        ("ca: 127.0.0.1:8443", "ca: 127.0.0.1:8443\nstate: /" + "x" * 89, "state: /xxx"),
        ("ca:", "source: spire\nca:", "'spire' is not one of ca, workload-api, files"),
        ("ca:", "workloadSocketMode: 0660\nca:", "in quotes for the text"),
        ("ca:", "workloadSocketMode: 660\nca:", "write three octal digits in quotes"),
        ("ca:", 'workloadSocketMode: "0755"\nca:', "does not fit a socket"),
        ("ca:", "workloadSocket: /" + "x" * 104 + "\nca:", "at most 103 bytes"),
        ("ca:", "workloadSocket: state/feast/admin.sock\nca:", "is admin already"),
        ("ca:", "output: {folder: out, reload: []}\nca:", "expected a command as a list"),
        ("ca:", "output: {reload: [x]}\nca:", "output.folder: is missing"),
        ("ca:", "sourceSocket: agent.sock\nca:", "sourceSocket: is given, but source is ca"),
    ],
)
def test_impossible_values_say_what_to_do(
    write: Write, line: str, with_: str, sentence: str
) -> None:
    assert sentence in "\n".join(problems(write(GOOD.replace(line, with_))))


def test_neither_server_nor_outbound_is_nothing_to_do(write: Write) -> None:
    text = "\n".join(
        line for line in GOOD.splitlines() if not line.startswith(("server", "outbound"))
    )
    assert "nothing to do" in problems(write(text))[0]


def test_outbound_of_a_flag_takes_a_list(write: Write) -> None:
    configuration = load(write(GOOD), {}, {"outbound": "a=127.0.0.1:1, ns/b=unix:/run/b.sock"})
    assert configuration.outbound == (
        Outbound("a", "127.0.0.1:1"),
        Outbound("ns/b", "unix:/run/b.sock"),
    )


def test_a_file_that_is_no_mapping_is_refused_in_a_sentence(write: Write) -> None:
    for text, sentence in (("- a\n", "expected one mapping"), ("a: [\n", "sidecar.yaml:2: file: ")):
        (problem,) = problems(write(text))
        assert sentence in problem


def test_the_lean_process_reads_back_what_was_validated(write: Write) -> None:
    configuration = load(write(GOOD + "upstreamTokenFile: ./sidecar.yaml\n"), {}, {})
    assert Configuration.from_json(configuration.to_json()) == configuration


def test_every_limit_has_a_key_and_every_variable_is_its_own() -> None:
    assert {f"limits.{field.name}" for field in fields(Limits)} <= {
        setting.target for setting in SETTINGS
    }
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


def test_variables_are_named_after_keys() -> None:
    by_key = {setting.key: setting.variable for setting in SETTINGS}
    assert by_key["joinTokenFile"] == "FEATWARD_SIDECAR_JOIN_TOKEN_FILE"
    assert by_key["server.listen"] == "FEATWARD_SIDECAR_SERVER_LISTEN"
    assert (
        by_key["limits.upstreamConnectSeconds"]
        == "FEATWARD_SIDECAR_LIMITS_UPSTREAM_CONNECT_SECONDS"
    )


def other_source(write: Write, text: str) -> Path:
    kept = [line for line in GOOD.splitlines() if not line.startswith(("ca:", "joinTokenFile:"))]
    return write("\n".join([*kept, text, ""]))


def test_another_source_needs_its_own_keys_and_no_ca(write: Write, tmp_path: Path) -> None:
    text = "source: workload-api\nsourceSocket: agent.sock\nworkloadSocket: app.sock"
    told = load(other_source(write, text), {}, {})
    assert told.identity.source_socket == tmp_path / "agent.sock"
    assert (told.identity.ca, told.agent.workload_socket) == (None, tmp_path / "app.sock")
    found = problems(other_source(write, "source: workload-api"))
    assert [line.split(": ")[1] for line in found] == ["sourceSocket"]
    found = problems(other_source(write, "source: files"))
    assert [line.split(": ")[1] for line in found] == [
        "sourceFiles.chain",
        "sourceFiles.key",
        "sourceFiles.bundle",
    ]
    (problem,) = problems(other_source(write, text + "\nca: 127.0.0.1:1"))
    assert "ca: is given, but source is workload-api" in problem


def test_a_reload_is_a_command_or_a_signal_and_survives_the_way_to_the_process(
    write: Write, tmp_path: Path
) -> None:
    text = "output: {folder: out, reload: [systemctl, reload, app]}\n"
    told = load(write(GOOD + text), {}, {})
    assert told.output is not None
    assert told.output.reload == ("systemctl", "reload", "app")
    assert Configuration.from_json(told.to_json()) == told
    variable = {"FEATWARD_SIDECAR_OUTPUT_RELOAD": "kill -HUP '1 2'"}
    told = load(write(GOOD + text), variable, {})
    assert told.output is not None
    assert told.output.reload == ("kill", "-HUP", "1 2")
    told = load(write(GOOD + "output: {folder: out, reload: 'signal:app.pid'}\n"), {}, {})
    assert told.output is not None
    assert told.output.reload == (f"signal:{tmp_path / 'app.pid'}",)


def test_a_sidecar_may_only_hand_an_identity_to_apps(write: Write) -> None:
    text = "\n".join(GOOD.splitlines()[:-2])
    assert "none of server, outbound" in problems(write(text))[0]
    told = load(write(text + "\nworkloadSocket: app.sock\n"), {}, {})
    assert (told.server, told.outbound) == (None, ())


TOKEN = """
workload: pricing/pricing-api
manifests: ./manifests
ca: 127.0.0.1:8443
evidence: kubernetes
tokenFile: ./token
rootSha256: %s
workloadSocket: ./w.sock
"""
ROOT = "ab" * 32


def test_a_token_file_is_evidence_with_the_roots_of_our_ca(write: Write, tmp_path: Path) -> None:
    identity = load(write(TOKEN % f"[{ROOT}, {ROOT.upper()}]"), {}, {}).identity
    assert identity.evidence_kind == "kubernetes"
    assert identity.token_file == tmp_path / "token"
    assert identity.root_sha256 == (ROOT, ROOT)
    variable = {"FEATWARD_SIDECAR_ROOT_SHA256": f"{ROOT}, {'cd' * 32}"}
    assert load(write(TOKEN % ROOT), variable, {}).identity.root_sha256 == (ROOT, "cd" * 32)


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        (ROOT, "abcd", "rootSha256", "64 hexadecimal digits"),
        (f"rootSha256: {ROOT}", "", "rootSha256", "is missing; evidence: kubernetes needs it"),
        ("tokenFile: ./token", "", "tokenFile", "is missing; evidence: kubernetes needs it"),
        ("tokenFile", "joinTokenFile", "joinTokenFile", "evidence is kubernetes; leave it out"),
        ("evidence: kubernetes", "evidence: saml", "evidence", "is not one of join-token"),
        ("evidence: kubernetes", "evidence: jwt", "workload", "which only evidence: kubernetes"),
        ("pricing/", "prod.payments/", "workload", "name the service account"),
        ("127.0.0.1:8443", "unix:/ca.sock", "evidence", "asks the kernel who we are"),
        ("evidence: kubernetes", "", "joinTokenFile", "is missing, and a CA at 127.0.0.1:8443"),
    ],
)
def test_evidence_that_does_not_fit_the_rest_is_a_problem(
    write: Write, old: str, new: str, key: str, said: str
) -> None:
    found = problems(write((TOKEN % ROOT).replace(old, new)))
    assert any(f"{key}: " in one and said in one for one in found), found


POD = """
workload: ml/feast
operator: featward-operator.featward.svc:8443
trustDomain: prod.acme.example
ca: featward-ca.featward.svc:8443
evidence: kubernetes
tokenFile: ./token
rootSha256File: ./root.sha256
health: pod:15020
hold: true
server: {listen: pod:15443, plain: pod:15080, upstream: 127.0.0.1:6570}
record: {path: ./record.jsonl, bytes: 67108864}
"""
SAID_BY_KUBERNETES = {
    "FEATWARD_POD_IP": "10.244.0.7",
    "FEATWARD_POD_NAME": "feast-5d7f-abcde",
    "FEATWARD_POD_UID": "0b5e",
    "FEATWARD_NODE_NAME": "node-1",
}


def test_a_file_that_the_kubelet_replaces_is_found_again(write: Write, tmp_path: Path) -> None:
    """As it brings a new token: into a new folder, to which a link is swapped; the old one is removed."""
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(name)
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "token").symlink_to("..data/token")
    identity = load(write(POD), SAID_BY_KUBERNETES, {}).identity
    assert identity.token_file is not None
    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    (tmp_path / "1" / "token").unlink()
    assert identity.token_file.read_text() == "2"


def test_a_pod_gets_its_policy_from_the_operator(write: Write, tmp_path: Path) -> None:
    told = load(write(POD), SAID_BY_KUBERNETES, {})
    assert told.agent.operator == "featward-operator.featward.svc:8443"
    assert (told.agent.manifests, told.identity.trust_domain) == (None, "prod.acme.example")
    assert told.identity.root_sha256_file == tmp_path / "root.sha256"
    assert told.server == Server("10.244.0.7:15443", "10.244.0.7:15080", "127.0.0.1:6570")
    assert (told.agent.health, told.agent.hold) == ("10.244.0.7:15020", True)
    assert (told.agent.record, told.agent.record_bytes) == (tmp_path / "record.jsonl", 64 << 20)
    assert told.pod == Pod("feast-5d7f-abcde", "0b5e", "node-1")
    assert Configuration.from_json(told.to_json()) == told


def test_all_of_it_may_come_from_the_environment(write: Write, tmp_path: Path) -> None:
    variables = {
        "WORKLOAD": "ml/feast",
        "OPERATOR": "featward-operator.featward.svc:8443",
        "TRUST_DOMAIN": "prod.acme.example",
        "CA": "featward-ca.featward.svc:8443",
        "EVIDENCE": "kubernetes",
        "TOKEN_FILE": str(tmp_path / "token"),
        "ROOT_SHA256_FILE": str(tmp_path / "root.sha256"),
        "HEALTH": "pod:15020",
        "HOLD": "true",
        "SERVER_LISTEN": "pod:15443",
        "SERVER_PLAIN": "pod:15080",
        "SERVER_UPSTREAM": "127.0.0.1:6570",
        "RECORD": str(tmp_path / "record.jsonl"),
        "RECORD_BYTES": "67108864",
        "STATE": str(tmp_path / "state" / "feast"),
    }
    environment = {f"FEATWARD_SIDECAR_{name}": value for name, value in variables.items()}
    told = load(None, environment | SAID_BY_KUBERNETES, {})
    assert told == load(write(POD), SAID_BY_KUBERNETES, {})


@pytest.mark.parametrize(
    ("ip", "listen"),
    [
        ("fd00::7", "[fd00::7]:15443"),
        ("FD00:0::7", "[fd00::7]:15443"),
        ("10.0.0.7", "10.0.0.7:15443"),
    ],
)
def test_an_address_of_ipv6_gets_its_brackets(write: Write, ip: str, listen: str) -> None:
    server = load(write(POD), {"FEATWARD_POD_IP": ip}, {}).server
    assert server is not None
    assert server.listen == listen


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "FEATWARD_POD_IP: is not set, and server.listen is pod:15443"),
        ({"FEATWARD_POD_IP": "feast"}, "is 'feast', which is no IP address, and server.listen is"),
    ],
)
def test_a_pod_without_an_address_is_told_who_has_to_set_it(
    write: Write, environment: dict[str, str], said: str
) -> None:
    found = problems(write(POD), environment)
    assert said in found[0]
    assert "fieldRef status.podIP" in found[0]
    assert len(found) == 3


@pytest.mark.parametrize(
    ("line", "with_", "said"),
    [
        ("operator:", "manifests: ./manifests\noperator:", "manifests too; policy comes from one"),
        ("trustDomain: prod.acme.example", "", "trustDomain: is missing; say which environment"),
        ("prod.acme.example", "Prod", "trust domain 'Prod' is not valid"),
        ("featward-operator.featward.svc:8443", "featward-operator", "write host:port"),
        ("evidence: kubernetes", "evidence: jwt", "comes by jwt; it serves pods"),
        (
            "ca: f",
            "source: workload-api\nsourceSocket: s.sock\nca: f",
            "comes by source: workload-api",
        ),
        ("hold: true", 'hold: "yes"', "neither true nor false"),
        ("health: pod:15020", "health: none", "hold: is true and health is none"),
        ("bytes: 67108864", "bytes: 4095", "write 0 for never, or at least 4096"),
        ("bytes: 67108864", "byte: 4096", "did you mean record.bytes?"),
        ("127.0.0.1:6570", "10.0.0.7:6570", "is not on loopback"),
        ("127.0.0.1:6570", "127.0.0.1:0", "is not on loopback"),
        ("127.0.0.1:6570", "feast:6570", "is a name"),
        ("pod:15443", "pod:https", "port of 0 to 65535"),
        ("rootSha256File:", f"rootSha256: {'ab' * 32}\nrootSha256File:", "and rootSha256 too"),
        (
            "rootSha256File: ./root.sha256",
            "",
            "rootSha256: is missing; evidence: kubernetes needs it",
        ),
        ("server: {", "outbound: {a: 'pod:15100'}\nserver: {", "is a name"),
    ],
)
def test_what_a_pod_can_not_be_told_is_said_with_what_to_write(
    write: Write, line: str, with_: str, said: str
) -> None:
    found = problems(write(POD.replace(line, with_, 1)), SAID_BY_KUBERNETES)
    assert said in "\n".join(found)


def test_a_client_that_writes_no_record_is_given_no_size_for_it(write: Write) -> None:
    kept = [line for line in POD.splitlines() if not line.startswith(("server:", "record:"))]
    text = "\n".join([*kept, "outbound: {drivers: 127.0.0.1:15100}", "record: {bytes: 4096}", ""])
    (problem,) = problems(write(text), SAID_BY_KUBERNETES)
    assert "record.bytes: is 4096, and no record is written without a server" in problem


def test_a_record_may_still_be_a_path_alone(write: Write, tmp_path: Path) -> None:
    agent = load(write(GOOD + "record: ./r.jsonl\n"), {}, {}).agent
    assert (agent.record, agent.record_bytes) == (tmp_path / "r.jsonl", 0)


def test_the_trust_domain_is_said_once(write: Write) -> None:
    (problem,) = problems(write(GOOD + "trustDomain: prod.acme.example\n"))
    assert "prod.acme.example is given without operator" in problem


def test_the_engine_is_told_all_of_it(write: Write) -> None:
    told = json.loads(proxy_configuration(load(write(POD), SAID_BY_KUBERNETES, {})))
    assert (told["hold"], told["record_bytes"]) == (True, 64 << 20)
    assert told["serve"] == {
        "listen": "10.244.0.7:15443",
        "plain": "10.244.0.7:15080",
        "upstream": "127.0.0.1:6570",
    }
