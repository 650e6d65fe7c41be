"""The whole sidecar as a process: `featward sidecar run` with a real CA, real manifests and real sockets."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FEATWARD = Path(sys.executable).with_name("featward")
FEAST = "spiffe://prod.acme.example/bu/payments/svc/feast"
GRANTED = "driver_hourly_stats:conv_rate"
OTHER = "driver_hourly_stats:acc_rate"

Manifests = Callable[..., Path]
Ca = Callable[[Path], Any]
Run = Callable[..., Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def token_file(tmp_path: Path, authority: Any, workload: str) -> Path:
    path = tmp_path / f"{workload.partition('/')[2]}.token"
    path.write_text(authority.token(workload))
    return path


def ask(address: str, *features: str) -> tuple[int, dict[str, Any]]:
    """One request of an app, in plain HTTP on loopback."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        body = json.dumps({"features": features, "entities": {"driver_id": [1001]}})
        connection.request(
            "POST", "/get-online-features", body, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture
def server(
    manifests: Manifests, ca: Ca, run: Run, upstream: Any, tmp_path: Path
) -> Callable[..., tuple[Any, Any, dict[str, Any]]]:
    """Starts CA and serving sidecar; returns both and what the sidecar listens on."""

    def start(**values: Any) -> tuple[Any, Any, dict[str, Any]]:
        port = free_port()
        folder = manifests(upstream=upstream.port, serve=port, **values)
        authority = ca(folder)
        token = token_file(tmp_path, authority, "prod.payments/feast")
        sidecar = run(
            manifests=folder,
            ca=authority.address,
            join_token_file=token,
            listen=f"127.0.0.1:{port}",
            plain="127.0.0.1:0",
            health="127.0.0.1:0",
        )
        bound = sidecar.logged("listening")
        sidecar.logged("identity issued")
        sidecar.logged("policy applied")
        return authority, sidecar, bound

    return start


Server = Callable[..., tuple[Any, Any, dict[str, Any]]]


@pytest.fixture
def client(server: Server, run: Run, tmp_path: Path) -> Callable[..., tuple[Any, Any, Any, str]]:
    """A serving sidecar, a client's sidecar, and the address at which the client's app finds the set."""

    def start(**values: Any) -> tuple[Any, Any, Any, str]:
        authority, serving, _ = server(**values)
        calling = run(
            name="pricing-api",
            manifests=tmp_path / "manifests",
            ca=authority.address,
            join_token_file=token_file(tmp_path, authority, "prod.payments/pricing-api"),
            outbound="driver-stats=127.0.0.1:0",
        )
        bound = calling.logged("listening")["outbound"]["driver-stats"]
        calling.logged("identity issued")
        calling.logged("policy applied")
        return authority, serving, calling, bound

    return start


Client = Callable[..., tuple[Any, Any, Any, str]]


def test_an_app_beside_a_client_sidecar_reads_what_was_granted_and_no_more(
    client: Client, upstream: Any
) -> None:
    _, _, _, app = client()
    status, answer = ask(app, GRANTED)
    assert (status, answer["metadata"]["feature_names"]) == (200, ["driver_id", "conv_rate"])
    status, refusal = ask(app, GRANTED, OTHER)
    assert (status, refusal["reason"], refusal["missing"]) == (403, "not-granted", [OTHER])
    assert upstream.seen == 1


def test_a_policy_edit_takes_effect_on_connections_that_are_open(
    client: Client, manifests: Manifests
) -> None:
    _, serving, _, app = client()
    connection = http.client.HTTPConnection(app, timeout=10)
    body = json.dumps({"features": [OTHER], "entities": {"driver_id": [1]}})
    connection.request("POST", "/get-online-features", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()[:1]) == (403, b"{")
    text = (manifests_folder := serving.state.parent.parent / "manifests") / "sets.yaml"
    text.write_text(text.read_text().replace(f'["{GRANTED}"]', f'["{GRANTED}", "{OTHER}"]'))
    assert manifests_folder.is_dir()
    serving.logged("policy applied", count=2)
    connection.request("POST", "/get-online-features", body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()


def test_a_bad_edit_leaves_the_last_good_policy_in_force(client: Client, tmp_path: Path) -> None:
    _, serving, _, app = client()
    digest = serving.status()["policy"]["digest"]
    path = tmp_path / "manifests" / "sets.yaml"
    path.write_text(path.read_text().replace("driver_hourly_stats:conv_rate", "a typo", 1))
    refused = serving.logged("policy edit refused")
    assert refused["in_use"] == digest
    status = serving.wait(lambda status: status["agent"]["policy"]["refused_edits"] == 1)
    assert "sets.yaml" in status["agent"]["policy"]["last_error"]["message"]
    assert status["policy"]["digest"] == digest
    assert ask(app, GRANTED)[0] == 200


def test_svids_of_seconds_are_renewed_under_load_without_a_failed_request(client: Client) -> None:
    _, serving, calling, app = client(ttl="6s")
    failures, count = [], 0
    while min(s.status()["agent"]["identity"]["renewals"] for s in (serving, calling)) < 3:
        for _ in range(20):
            status, answer = ask(app, GRANTED)
            count += 1
            if status != 200:
                failures.append(answer)
    assert (failures, count > 40) == ([], True)


def test_a_dead_ca_costs_no_request_while_identities_hold(client: Client) -> None:
    authority, serving, calling, app = client(ttl="20s")
    authority.kill()
    for sidecar in (serving, calling):
        sidecar.wait(lambda status: status["agent"]["ca"]["failures"] >= 2)
        assert ask(app, GRANTED)[0] == 200
    authority.start()
    for sidecar in (serving, calling):
        sidecar.wait(lambda status: status["agent"]["identity"]["renewals"] >= 1)
    assert ask(app, GRANTED)[0] == 200


def test_kill_9_loses_no_record_of_an_answered_request(client: Client) -> None:
    _, serving, _, app = client()
    answered = 0
    killer = threading.Timer(0.5, serving.process.kill)
    killer.start()
    while serving.process.poll() is None:
        try:
            answered += ask(app, GRANTED)[0] == 200
        except (OSError, http.client.HTTPException):
            break
    killer.join()
    recorded = [
        json.loads(line) for line in (serving.state / "record.jsonl").read_bytes().splitlines()
    ]
    allowed = [line for line in recorded if line.get("outcome") == "allow"]
    assert answered > 0
    assert len(allowed) >= answered


def test_sigterm_drains_and_ends_with_0_and_sighup_reads_policy_again(server: Server) -> None:
    _, sidecar, _ = server()
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.logged("policy unchanged")
    assert sidecar.end(signal.SIGTERM) == 0
    assert [line["message"] for line in sidecar.lines[-2:]] == ["draining", "stopped"]
    assert not (sidecar.state / "ca.sock").exists()


def test_the_lean_process_carries_none_of_the_heavy_libraries(server: Server) -> None:
    _, sidecar, _ = server()
    maps = Path(f"/proc/{sidecar.process.pid}/maps").read_text()
    for library in ("cygrpc", "pydantic_core", "cryptography", "_yaml", "watchfiles", "libssl"):
        assert library not in maps
    arguments = Path(f"/proc/{sidecar.process.pid}/cmdline").read_bytes().split(b"\0")
    assert arguments[1:4] == [b"-m", b"featward_sidecar", b"--configuration-fd"]


def test_the_process_stays_small(server: Server) -> None:
    """57 MB is 0.85 of Envoy's 67. The engine is a debug build here, and already warm enough to have served."""
    _, sidecar, bound = server(mode="observe")
    for _ in range(50):
        ask(bound["serve"]["plain"], GRANTED)
    lines = Path(f"/proc/{sidecar.process.pid}/status").read_text().splitlines()
    (resident,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    assert resident < 57_000


def test_a_restart_with_a_used_token_says_what_to_do_and_keeps_serving_policy(
    server: Server, run: Run, tmp_path: Path
) -> None:
    authority, first, _ = server()
    first.end(signal.SIGKILL)
    again = run(
        manifests=tmp_path / "manifests",
        ca=authority.address,
        join_token_file=tmp_path / "feast.token",
        listen="127.0.0.1:0",
    )
    line = again.logged("no evidence for an identity")
    assert "featward ca token create --workload prod.payments/feast" in line["error"]
    again.logged("policy applied")
    assert again.status()["identity"] is None


def test_a_sidecar_starts_without_a_ca_and_gets_its_identity_when_there_is_one(
    manifests: Manifests, ca: Ca, run: Run, tmp_path: Path
) -> None:
    authority = ca(manifests())
    token = token_file(tmp_path, authority, "prod.payments/feast")
    authority.kill()
    sidecar = run(
        manifests=tmp_path / "manifests",
        ca=authority.address,
        join_token_file=token,
        listen="127.0.0.1:0",
    )
    sidecar.logged("listening")
    sidecar.logged("CA not reached", count=2)
    authority.start()
    assert sidecar.logged("identity issued")["spiffe_id"] == FEAST


def test_a_port_in_use_and_a_shared_state_folder_end_with_1_and_a_sentence(
    server: Server, run: Run, tmp_path: Path
) -> None:
    authority, first, bound = server()
    token = token_file(tmp_path, authority, "prod.payments/feast")
    told = {"manifests": tmp_path / "manifests", "ca": authority.address, "join_token_file": token}
    second = run(listen="127.0.0.1:0", **told)
    assert "used by another sidecar" in second.logged("not started")["error"]
    assert second.end() == 1
    third = run(listen=bound["serve"]["listen"], state=tmp_path / "third", **told)
    assert bound["serve"]["listen"] in third.logged("not started")["error"]
    assert third.end() == 1
    assert first.process.poll() is None


def featward(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(FEATWARD), *(str(each) for each in arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"} | environment,
    )


def test_run_with_a_wrong_configuration_ends_with_2_and_all_problems() -> None:
    done = featward("sidecar", "run", "--ca", "nowhere", "--outbound", "x")
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 4
    assert "Traceback" not in done.stderr


def test_validate_prints_what_would_be_used(manifests: Manifests, tmp_path: Path) -> None:
    manifests()
    file = tmp_path / "sidecar.yaml"
    file.write_text(
        "workload: prod.payments/feast\nmanifests: manifests\nca: unix:ca.sock\nserver: {}\n"
    )
    done = featward("sidecar", "validate", "--config", file)
    assert done.returncode == 0, done.stderr
    assert f"unix:{tmp_path}/ca.sock" in done.stdout
    assert "127.0.0.1:15443" in done.stdout
    as_json = json.loads(
        featward("sidecar", "validate", "--config", file, "--output", "json").stdout
    )
    assert as_json["identity"]["workload"] == "prod.payments/feast"
    file.write_text("workload: prod.payments/feast\nlisten: x\n")
    assert featward("sidecar", "validate", "--config", file).returncode == 1


def test_status_shows_a_running_sidecar_and_names_the_socket_of_one_that_is_not(
    server: Server, tmp_path: Path
) -> None:
    _, sidecar, bound = server(mode="observe")
    ask(bound["serve"]["plain"], GRANTED)
    shown = featward("sidecar", "status", "--admin", sidecar.state / "admin.sock")
    assert shown.returncode == 0, shown.stderr
    for part in (FEAST, "attested by join-token", "pricing/driver-stats", "observe", "127.0.0.1"):
        assert part in shown.stdout
    as_json = json.loads(
        featward(
            "sidecar", "status", "--admin", sidecar.state / "admin.sock", "--output", "json"
        ).stdout
    )
    assert as_json["agent"]["ca"]["connected"] is True
    missing = featward("sidecar", "status", "--admin", tmp_path / "none.sock")
    assert missing.returncode == 1
    assert "no sidecar answers at" in missing.stderr
