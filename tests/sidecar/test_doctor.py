"""The doctor looks at a running CA and at running sidecars, from outside."""

import getpass
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from doctor_kit import doctor

CA = "spiffe://prod.acme.example/featward/ca"
PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
FEAST = "spiffe://prod.acme.example/bu/payments/svc/feast"
PRICING = "spiffe://prod.acme.example/bu/payments/svc/pricing-api"
FEATWARD = Path(sys.executable).with_name("featward")


@pytest.fixture
def data(scene: Any) -> Path:
    """A CA, a sidecar before a server and its socket; the CA's data folder."""
    scene.write(unix=getpass.getuser())
    scene.start_ca()
    scene.sidecar = scene.run(
        ca=f"unix:{scene.ca.socket}",
        listen="127.0.0.1:0",
        workload_socket=scene.folder / "workload.sock",
    )
    scene.address = scene.sidecar.ready()["serve"]["listen"]
    folder: Path = scene.folder / "ca" / "data"
    return folder


def featward(*words: object) -> str:
    command = [str(FEATWARD), *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_ca_and_a_sidecar_are_judged_by_what_the_ca_announces(scene: Any, data: Path) -> None:
    seen = doctor(scene.ca.address, "--ca", data, "--expect", CA)
    report = seen.report
    assert (seen.code, seen.codes <= {"no-http", "wants-certificate"}) == (0, True), seen.text
    (server,) = report["identities"]
    assert (server["spiffe_id"], server["accepted"], len(server["chain"])) == (CA, True, 3)
    assert "with its scope table and its bans" in report["judged_by"]
    assert {each["of"] for each in report["clocks"]} >= {"the CA"}
    assert all(abs(each["offset_seconds"]) < 2 for each in report["clocks"])
    seen = doctor(scene.address, "--ca", data, "--expect", FEAST)
    assert (seen.code, seen.codes) == (0, {"wants-certificate"}), seen.text


def test_a_sidecar_is_probed_to_the_end_with_the_identity_of_its_socket(
    scene: Any, data: Path
) -> None:
    socket = scene.folder / "workload.sock"
    assert doctor(socket, "--ca", data).codes == set()
    seen = doctor(scene.address, "--workload-api", socket)
    assert (seen.code, seen.codes) == (0, set()), seen.text
    report = seen.report
    assert report["facts"]["client certificate"] == "asked for, shown; we were let in"
    assert [each["spiffe_id"] for each in report["identities"]] == [FEAST, FEAST]
    (clock,) = report["clocks"]
    assert clock["of"] == "the target"
    # By the table our own SVID is a platform identity no more than the sidecar's is.
    seen = doctor(scene.address, "--ca", data, "--workload-api", socket, "--expect", CA)
    assert (seen.code, seen.codes) == (1, {"wrong-identity"})


def test_a_banned_certificate_is_said_to_be_banned(scene: Any, data: Path) -> None:
    out = scene.folder / "identity"
    fetched = "ca", "fetch-svid", "--ca", scene.ca.address, "--out", out
    featward(*fetched, "--token-file", scene.token("pricing-api"))
    ours = "--ca", data, "--cert", out / "svid.pem", "--key", out / "key.pem"
    seen = doctor(scene.address, *ours, "--expect", "prod.payments/feast")
    assert (seen.code, seen.codes) == (0, set()), seen.text
    added = featward(
        *("ca", "ban", "add", "--identity", "prod.payments/pricing-api"),
        *("--reason", "test", "--data", data, "--output", "json"),
    )
    assert json.loads(added)["ban"]["value"] == PRICING
    scene.sidecar.logged("trust updated", count=2)
    seen = doctor(scene.address, *ours)
    assert (seen.code, seen.codes) == (1, {"client-refused", "banned"}), seen.text
    server, own = seen.report["identities"]
    assert (server["accepted"], own["accepted"]) == (True, False)
    (refused,) = seen.report["findings"]
    assert "banned: `featward ca ban list`" in refused["remedy"]
    # Whoever judges without the CA can't know.
    seen = doctor(scene.address, "--bundle", out / "bundle.pem", *ours[2:])
    assert seen.codes == {"client-refused"}


def test_the_commands_of_the_page_find_nothing_wrong_here(scene: Any, data: Path) -> None:
    ours = {
        "127.0.0.1:15443": scene.address,
        "127.0.0.1:8443": scene.ca.address,
        "./state/feast/workload.sock": scene.folder / "workload.sock",
        "ca": data,
    }
    commands = re.findall(r"^ {4}featward doctor (.+)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) >= 4
    for words in commands:
        seen = doctor(*(ours.get(word, word) for word in words.split()))
        assert seen.code == 0, (words, seen.text, seen.errors)
