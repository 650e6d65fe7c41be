"""Every command of `featward ca` has `--output json`: one document on standard output, for programs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from clocked_ca import Ca, clocked_ca
from featward_ca.cli import app
from featward_ca.settings import embedded_file

# What has no answer to print: it runs until it is stopped, and its log has `--log-format json`.
WITHOUT = {"serve"}
UNIT, PRICING = "prod.payments", "prod.payments/pricing-api"
CLUSTERS = "acme.example, clusters: [{name: eu1, issuer: https://eu1.example}]}"
STEPS = {"authority", "rotation", "blockers", "breaks", "changed"}
RECOVERED = {"said", "tokens"}
CEREMONY: dict[str, dict[str, Any]] = {
    "root": {
        "trustDomain": "prod.acme.example",
        "lifetime": "3650d",
        "keyEncryptionKey": "root.kek",
        "key": "root.key",
        "certificate": "root.pem",
    },
    "import": {"adminSocket": "data/admin.sock", "root": "root.pem"},
    "request": {"adminSocket": "data/admin.sock", "requests": "requests"},
}
# What is asked of a running CA, in this order, and the fields that the answer has among others.
ASKED: list[tuple[str, set[str]]] = [
    ("authority rotate platform --wait", STEPS),
    (f"token create --workload {PRICING}", {"token", "spiffe_id", "expires_at", "warnings"}),
    ("fetch-svid --ca LISTEN --token-file FOLDER/token --out FOLDER/identity", {"spiffe_id"}),
    ("status", {"authorities", "runway_seconds", "warnings"}),
    ("clients", {"clients", "total"}),
    ("why-expiry SERIAL", {"caps", "cap"}),
    ("check-issued", {"certificates", "findings"}),
    ("halt --reason test", {"halted", "changed"}),
    ("resume", {"halted", "changed"}),
    ("ban add --identity spiffe://prod.acme.example/bu/x/svc/y --reason t", {"ban", "changed"}),
    ("ban list", {"bans"}),
    ("ban remove BAN", {"ban", "changed"}),
    ("namespace move eu1/pricing --to prod.payments --dry-run", {"before", "changed"}),
    (f"authority prepare {UNIT}", STEPS),
    (f"authority activate {UNIT} --force", STEPS),
    (f"authority taint {UNIT} --generation 1", STEPS),
    (f"authority revoke {UNIT} --generation 1 --dry-run", STEPS),
    (f"authority rotate {UNIT}", STEPS),
    (f"authority pause {UNIT}", STEPS),
    (f"authority resume {UNIT}", STEPS),
    (f"authority cancel {UNIT}", STEPS),
    ("authority list", {"authorities", "rotations"}),
    (f"compromise {UNIT} --dry-run", {"steps", "breaks"}),
    ("ceremony run FOLDER/root.yaml", {"written", "taken"}),
    ("ceremony run FOLDER/import.yaml", {"written", "taken"}),
    ("ceremony run FOLDER/request.yaml", {"written", "taken"}),
    ("backup --to FOLDER/one.backup", {"file", "bytes", "sequence", "sha256"}),
]
# What is for a stopped one.
STOPPED: list[tuple[str, set[str]]] = [
    ("recover authority prod.payments KEK", RECOVERED),
    ("recover serving KEK", RECOVERED),
    ("recover root --force KEK --tokens FOLDER/tokens", RECOVERED),
    ("recover tokens --tokens FOLDER/tokens", RECOVERED),
    ("recover kek KEK --new-kek-file FOLDER/other", RECOVERED),
    ("restore FOLDER/one.backup --replace KEK", {"sequence", "aside", "lost"}),
    ("recover store --environment prod --manifests FOLDER/manifests KEK", RECOVERED),
]


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """All commands below one, by their words."""
    if inner := getattr(command, "commands", {}):
        for name, one in inner.items():
            yield from leaves(one, (*path, name))
    else:
        yield " ".join(path), command


def asked(ca: Ca, line: str, words: dict[str, str]) -> dict[str, Any]:
    """The answer of a command; it succeeds and prints nothing else."""
    where = [] if "ceremony" in line or "fetch-svid" in line else ["--data", f"{ca.folder}/data"]
    words = {"FOLDER": str(ca.folder), "KEK": f"--kek-file {ca.folder}/kek"} | words
    for word, value in words.items():
        line = line.replace(word, value)
    done = CliRunner().invoke(app, [*line.split(), *where, "--output", "json"])
    assert done.exit_code == 0, f"{line}: {done.output} {done.exception}"
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.timeout(240)
def test_every_command_answers_in_json(tmp_path: Path) -> None:
    ca = clocked_ca(tmp_path)
    manifests = tmp_path / "manifests" / "all.yaml"
    manifests.write_text(manifests.read_text().replace("acme.example}", CLUSTERS, 1))
    for kind, rest in CEREMONY.items():
        (tmp_path / f"{kind}.yaml").write_text(yaml.safe_dump({"kind": kind} | rest))
    with ca.addresses() as where:
        words = {"LISTEN": where["listen"]}
        for line, fields in ASKED:
            answer = asked(ca, line, words)
            assert fields <= answer.keys(), line
            if line.startswith("token"):
                (tmp_path / "token").write_text(answer["token"])
            elif line.startswith("fetch"):
                (serial,) = ca.serials()
                words["SERIAL"] = serial
            elif line.startswith("ban add"):
                words["BAN"] = answer["ban"]["id"]
            elif line.startswith("ceremony run FOLDER/import"):
                assert answer["taken"][0]["owner"] == "root"
    for line, fields in STOPPED:
        if line.startswith("recover store"):
            embedded_file(tmp_path / "data").unlink()
        answer = asked(ca, line, {})
        assert fields <= answer.keys(), line
        if line.startswith("recover root"):
            assert answer["tokens"] == [f"{tmp_path}/tokens/prod.payments.pricing-api.token"]


def test_no_command_is_missing_here() -> None:
    everything = dict(leaves(get_command(app)))
    tried = [line for line, _ in (*ASKED, *STOPPED)]
    missing = {
        name
        for name, command in everything.items()
        if not any(line.startswith(f"{name} ") or line == name for line in tried)
        or not any("--output" in parameter.opts for parameter in command.params)
    }
    assert missing == WITHOUT
