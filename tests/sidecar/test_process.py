"""The whole sidecar as a process: `featward sidecar run` with a real CA, real manifests and real sockets."""

import getpass
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

FEATWARD = Path(sys.executable).with_name("featward")
FEAST = "spiffe://prod.acme.example/bu/payments/svc/feast"
GRANTED = "driver_hourly_stats:conv_rate"
OTHER = "driver_hourly_stats:acc_rate"


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


def metrics(sidecar: Any) -> list[str]:
    """The lines of what Prometheus would read."""
    connection = http.client.HTTPConnection(sidecar.logged("listening")["health"], timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()


def test_an_app_beside_a_client_sidecar_reads_what_was_granted_and_no_more(scene: Any) -> None:
    app = scene.call()
    status, answer = ask(app, GRANTED)
    assert (status, answer["metadata"]["feature_names"]) == (200, ["driver_id", "conv_rate"])
    status, refusal = ask(app, GRANTED, OTHER)
    assert (status, refusal["reason"], refusal["missing"]) == (403, "not-granted", [OTHER])
    assert scene.upstream.seen == 1


def test_a_policy_edit_takes_effect_on_connections_that_are_open_and_a_bad_one_has_none(
    scene: Any,
) -> None:
    connection = http.client.HTTPConnection(scene.call(), timeout=10)

    def status() -> int:
        body = json.dumps({"features": [OTHER], "entities": {"driver_id": [1]}})
        connection.request(
            "POST", "/get-online-features", body, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert status() == 403
    path = scene.manifests / "sets.yaml"
    path.write_text(path.read_text().replace(f'["{GRANTED}"]', f'["{GRANTED}", "{OTHER}"]'))
    digest = scene.serving.logged("policy applied", count=2)["digest"]
    assert status() == 200
    path.write_text(path.read_text().replace(f'"{OTHER}"]', '"a typo"]'))
    assert scene.serving.logged("policy edit refused")["in_use"] == digest
    told = scene.serving.wait(lambda status: status["agent"]["policy"]["refused_edits"] == 1)
    assert "sets.yaml" in told["agent"]["policy"]["last_error"]["message"]
    assert "featward_policy_edits_refused_total 1" in metrics(scene.serving)
    assert told["policy"]["digest"] == digest
    assert status() == 200
    connection.close()


def test_svids_of_seconds_are_renewed_under_load_without_a_failed_request(scene: Any) -> None:
    app = scene.call(ttl="6s")
    failures, count = [], 0
    sidecars = (scene.serving, scene.calling)
    while min(each.status()["agent"]["identity"]["renewals"] for each in sidecars) < 3:
        for _ in range(20):
            status, answer = ask(app, GRANTED)
            count += 1
            if status != 200:
                failures.append(answer)
    assert (failures, count > 40) == ([], True)


def test_a_dead_ca_costs_no_request_while_identities_hold(scene: Any) -> None:
    app = scene.call(ttl="20s")
    scene.ca.kill()
    for sidecar in (scene.serving, scene.calling):
        sidecar.wait(lambda status: status["agent"]["ca"]["failures"] >= 2)
        assert ask(app, GRANTED)[0] == 200
    scene.ca.start()
    for sidecar in (scene.serving, scene.calling):
        sidecar.wait(lambda status: status["agent"]["identity"]["renewals"] >= 1)
    assert ask(app, GRANTED)[0] == 200


def test_kill_9_loses_no_record_and_the_restart_says_that_the_token_is_used(scene: Any) -> None:
    app = scene.call()
    answered = 0
    killer = threading.Timer(0.5, scene.serving.process.kill)
    killer.start()
    while scene.serving.process.poll() is None:
        try:
            answered += ask(app, GRANTED)[0] == 200
        except (OSError, http.client.HTTPException):
            break
    killer.join()
    lines = (scene.serving.state / "record.jsonl").read_bytes().splitlines()
    allowed = [line for line in map(json.loads, lines) if line.get("outcome") == "allow"]
    assert len(allowed) >= answered > 0
    again = scene.run(join_token_file=scene.folder / "feast.token", listen=scene.bound["listen"])
    line = again.logged("no evidence for an identity")
    assert "featward ca token create --workload prod.payments/feast" in line["error"]
    again.logged("policy applied")
    assert again.status()["identity"] is None


def test_sigterm_drains_and_ends_with_0_and_sighup_reads_policy_again(scene: Any) -> None:
    sidecar = scene.serve()
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.logged("policy unchanged")
    assert sidecar.end(signal.SIGTERM) == 0
    assert [line["message"] for line in sidecar.lines[-2:]] == ["draining", "stopped"]
    assert not (sidecar.state / "ca.sock").exists()


def test_a_record_that_was_moved_is_begun_anew_after_sighup_and_no_line_is_lost(scene: Any) -> None:
    app = scene.call()
    record = scene.serving.state / "record.jsonl"
    moved = record.with_name("record.jsonl.1")
    assert ask(app, GRANTED)[0] == 200
    record.rename(moved)
    assert ask(app, GRANTED)[0] == 200
    scene.serving.process.send_signal(signal.SIGHUP)
    assert scene.serving.logged("record opened again")["path"] == str(record)
    assert ask(app, GRANTED)[0] == 200
    assert len(moved.read_text().splitlines()) == 2
    assert len(record.read_text().splitlines()) == 1
    assert record.stat().st_mode & 0o777 == 0o600


def test_a_sidecar_starts_without_a_ca_and_gets_its_identity_when_there_is_one(scene: Any) -> None:
    scene.write()
    scene.start_ca()
    token = scene.token("feast")
    scene.ca.kill()
    sidecar = scene.run(join_token_file=token, listen="127.0.0.1:0")
    sidecar.logged("listening")
    sidecar.logged("CA not reached", count=2)
    scene.ca.start()
    assert sidecar.logged("identity issued")["spiffe_id"] == FEAST


def test_the_kernels_word_is_enough_on_one_machine(scene: Any) -> None:
    scene.write(unix=getpass.getuser())
    authority = scene.start_ca()
    sidecar = scene.run(ca=f"unix:{authority.socket}", listen="127.0.0.1:0")
    assert sidecar.logged("identity issued")["spiffe_id"] == FEAST
    assert sidecar.status()["trust"]["trust_domain"] == "prod.acme.example"


def test_the_lean_process_carries_none_of_the_heavy_libraries(standing: Any) -> None:
    process = standing.serving.process
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    for library in ("cygrpc", "pydantic_core", "cryptography", "_yaml", "watchfiles", "libssl"):
        assert library not in maps
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    assert arguments[2:5] == [b"-m", b"featward_sidecar", b"--configuration-fd"]


def test_a_low_limit_of_open_files_is_raised_as_far_as_the_system_allows(standing: Any) -> None:
    (line,) = (
        line
        for line in Path(f"/proc/{standing.serving.process.pid}/limits").read_text().splitlines()
        if line.startswith("Max open files")
    )
    soft, hard = line.split()[3:5]
    assert int(soft) == min(65_536, int(hard)), "the tests start it with a soft limit of 1024"


def test_the_process_stays_small(standing: Any) -> None:
    """57 MB is 0.85 of Envoy's 67; a sidecar here, warm and with a debug build of the engine, has 35."""
    for _ in range(100):
        ask(standing.app, GRANTED)
    for sidecar in (standing.serving, standing.calling):
        lines = Path(f"/proc/{sidecar.process.pid}/status").read_text().splitlines()
        (resident,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        assert resident < 57_000


def test_a_port_in_use_and_a_shared_state_folder_end_with_1_and_a_sentence(standing: Any) -> None:
    token = standing.token("feast")
    second = standing.run(join_token_file=token, listen="127.0.0.1:0")
    assert "used by another sidecar" in second.logged("not started")["error"]
    assert second.process.wait(10) == 1
    state = standing.folder / "third"
    third = standing.run(join_token_file=token, listen=standing.bound["listen"], state=state)
    told = third.logged("not started")["error"]
    assert told.startswith(f"server.listen: cannot listen on {standing.bound['listen']}: Address")
    assert "end it, or choose another address" in told
    assert third.process.wait(10) == 1
    taken, state = standing.bound["plain"], standing.folder / "fourth"
    options = {"join_token_file": token, "listen": "127.0.0.1:0", "state": state}
    fourth = standing.run(**options, plain=taken)
    told = fourth.logged("not started")["error"]
    assert told.startswith(f"server.plain: cannot listen on {taken}: Address")
    assert fourth.process.wait(10) == 1
    assert standing.serving.process.poll() is None


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


def test_validate_prints_what_would_be_used(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
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


def test_validate_finds_what_no_manifest_has(standing: Any, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    told = "workload: {}\nmanifests: {}\nca: unix:ca.sock\noutbound: {{{}: 127.0.0.1:0}}\n"
    good = ("prod.payments/pricing-api", standing.manifests, "driver-stats")
    for number, wrong in enumerate(("prod.payments/pricing-apo", None, "driver-stat")):
        file.write_text(told.format(*good))
        assert featward("sidecar", "validate", "--config", file).returncode == 0
        if wrong is not None:
            file.write_text(told.format(*good[:number], wrong, *good[number + 1 :]))
            done = featward("sidecar", "validate", "--config", file)
            assert (done.returncode, done.stderr.count("error: ")) == (1, 1)
            assert repr(wrong) in done.stderr
    assert "outbound.driver-stat: feature set" in done.stderr
    assert "did you mean driver-stats?" in done.stderr


def test_status_shows_a_running_sidecar_and_names_the_socket_of_one_that_is_not(
    standing: Any, tmp_path: Path
) -> None:
    ask(standing.bound["plain"], GRANTED)
    socket = standing.serving.state / "admin.sock"
    shown = featward("sidecar", "status", "--admin", socket)
    assert shown.returncode == 0, shown.stderr
    for part in (FEAST, "attested by join-token", "pricing/driver-stats", "observe", "127.0.0.1"):
        assert part in shown.stdout
    status = json.loads(featward("sidecar", "status", "--admin", socket, "--output", "json").stdout)
    assert status["agent"]["ca"]["connected"] is True
    missing = featward("sidecar", "status", "--admin", tmp_path / "none.sock")
    assert missing.returncode == 1
    assert "no sidecar answers at" in missing.stderr
