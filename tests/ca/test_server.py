"""The whole CA over real sockets: the engine's Listener before it, and a Dialer at the workload."""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ca_kit import TRUST_DOMAIN
from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward.identity.join_token import JoinToken
from featward.identity.v1 import identity_pb2, identity_pb2_grpc
from featward_ca.clock import SystemClock
from featward_ca.errors import ConfigurationError
from featward_ca.fetch import FetchError, fetch_svid
from featward_ca.server import Addresses, running
from featward_ca.settings import ServeSettings, embedded_file
from featward_ca.store import svids
from featward_ca.store.read_only import read_only
from featward_engine import Credentials, Dialer

MANIFESTS = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: pricing-api}
spec: {businessUnit: prod.payments, name: pricing-api}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: feast}
spec: {businessUnit: prod.payments, name: feast, attest: {unix: {user: "%d"}}}
"""
FRAUD = """
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.fraud}
"""
CA_ID = f"spiffe://{TRUST_DOMAIN}/featward/ca"
Stub: Any = identity_pb2_grpc.IdentityServiceStub
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub
OPTIONS = [("grpc.default_authority", "localhost")]


@dataclass(frozen=True)
class Running:
    """A running CA, its settings and its admin's stub."""

    settings: ServeSettings
    addresses: Addresses
    admin: authority_pb2_grpc.AuthorityServiceStub

    async def token(self) -> JoinToken:
        request = authority_pb2.CreateJoinTokenRequest(workload="prod.payments/pricing-api")
        answer = await self.admin.CreateJoinToken(request)
        return JoinToken.parse(answer.token)


@pytest.fixture
def settings(tmp_path: Path) -> ServeSettings:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(MANIFESTS % os.getuid())
    return ServeSettings(
        environment="prod",
        data=tmp_path / "data",
        manifests=manifests,
        kek_file=tmp_path / "kek",
        listen="127.0.0.1:0",
        workload_socket=tmp_path / "w.sock",
        admin_socket=tmp_path / "admin.sock",
        health="127.0.0.1:0",
    )


def folder_of(settings: ServeSettings) -> Path:
    """Where its manifests are."""
    assert settings.manifests is not None
    return settings.manifests


@pytest.fixture
def started() -> int:
    return int(time.time())


@pytest.fixture
async def ca(settings: ServeSettings) -> AsyncIterator[Running]:
    async with (
        running(settings, SystemClock()) as addresses,
        grpc.aio.insecure_channel(f"unix:{addresses.admin_socket}") as channel,
    ):
        yield Running(settings, addresses, AdminStub(channel))


@contextlib.asynccontextmanager
async def dialled(
    address: str, credentials: Credentials, folder: Path, **config: Any
) -> AsyncIterator[identity_pb2_grpc.IdentityServiceStub]:
    """A stub whose connection the engine makes."""
    whole = {"address": address, "socket": str(folder / "out.sock"), "expect": CA_ID} | config
    dialer = Dialer(credentials, json.dumps(whole).encode())
    try:
        async with grpc.aio.insecure_channel(f"unix:{dialer.start()}", OPTIONS) as channel:
            yield Stub(channel)
    finally:
        await asyncio.to_thread(dialer.stop)


def use(credentials: Credentials, pending: Any, svid: identity_pb2.Svid) -> str:
    return str(credentials.set_identity(pending, list(svid.chain)))


def trust(credentials: Credentials, said: identity_pb2.Trust) -> None:
    scopes = [(scope.spki_sha256, scope.path_prefix) for scope in said.scopes]
    credentials.set_trust(list(said.roots), scopes, said.sequence)


async def enrol(ca: Running, folder: Path) -> Credentials:
    """Attest with a join token over a first contact that knows the root's digest alone."""
    token = await ca.token()
    credentials = Credentials(TRUST_DOMAIN)
    pending = credentials.new_identity()
    first = {"root_sha256": token.root_sha256.hex(), "client_certificate": False}
    async with dialled(ca.addresses.listen, credentials, folder, **first) as stub:
        evidence = identity_pb2.Evidence(join_token=token.evidence)
        request = identity_pb2.AttestRequest(evidence=evidence, csr=pending.csr)
        answer = await stub.Attest(request)
    trust(credentials, answer.trust)
    use(credentials, pending, answer.svid)
    return credentials


async def test_a_workload_enrols_watches_and_renews_over_mutual_tls(
    ca: Running, tmp_path: Path
) -> None:
    credentials = await enrol(ca, tmp_path)
    known = {"root_sha256": None, "client_certificate": True}
    async with dialled(ca.addresses.listen, credentials, tmp_path, **known) as stub:
        stream = stub.WatchIdentity()
        assert (await stream.read()).trust.trust_domain == TRUST_DOMAIN
        pending = credentials.new_identity()
        await stream.write(identity_pb2.WatchIdentityRequest(csrs=[pending.csr]))
        answer = await stream.read()
        assert use(credentials, pending, answer.svids[0]).endswith("/svc/pricing-api")
        (folder_of(ca.settings) / "fraud.yaml").write_text(FRAUD)
        pushed = (await asyncio.wait_for(stream.read(), 20)).trust
        assert "/bu/fraud/" in {scope.path_prefix for scope in pushed.scopes}
        stream.cancel()


async def test_who_is_shed_hears_through_the_listener_when_to_come_back(
    ca: Running, tmp_path: Path
) -> None:
    credentials = await enrol(ca, tmp_path)
    known = {"root_sha256": None, "client_certificate": True}
    async with dialled(ca.addresses.listen, credentials, tmp_path, **known) as stub:
        opened = [stub.WatchIdentity() for _ in range(80)]
        codes = [await stream.code() for stream in opened if await _is_refused(stream)]
        assert set(codes) == {grpc.StatusCode.UNAVAILABLE}
        refused = [stream for stream in opened if stream.done()]
        waits = [dict(await stream.trailing_metadata()) for stream in refused]
        assert all(int(wait["featward-retry-after-ms"]) >= 1 for wait in waits)
        for stream in opened:
            stream.cancel()


async def test_a_banned_client_loses_its_stream_and_gets_no_other(
    ca: Running, tmp_path: Path
) -> None:
    credentials = await enrol(ca, tmp_path)
    known = {"root_sha256": None, "client_certificate": True}
    async with dialled(ca.addresses.listen, credentials, tmp_path, **known) as stub:
        stream = stub.WatchIdentity()
        await stream.read()
        identity = f"spiffe://{TRUST_DOMAIN}/bu/payments/svc/pricing-api"
        await ca.admin.AddBan(authority_pb2.AddBanRequest(spiffe_id=identity, reason="test"))
        assert await asyncio.wait_for(stream.code(), 2) is grpc.StatusCode.UNAVAILABLE
        assert await stub.WatchIdentity().code() is grpc.StatusCode.UNAVAILABLE


async def _is_refused(stream: Any) -> bool:
    try:
        return await stream.read() is grpc.aio.EOF
    except grpc.aio.AioRpcError:
        return True


async def test_a_workload_on_the_socket_is_known_by_its_user(ca: Running, tmp_path: Path) -> None:
    address = ca.addresses.workload_socket
    assert address is not None
    credentials = Credentials(TRUST_DOMAIN)
    async with dialled(address, credentials, tmp_path, client_certificate=False) as stub:
        pending = credentials.new_identity()
        evidence = identity_pb2.Evidence(unix=identity_pb2.UnixEvidence())
        request = identity_pb2.AttestRequest(evidence=evidence, csr=pending.csr)
        answer = await stub.Attest(request)
    assert answer.svid.spiffe_id.endswith("/svc/feast")


async def test_a_caller_can_not_say_who_it_is_by_headers(ca: Running, tmp_path: Path) -> None:
    token = await ca.token()
    lies = (("featward-peer-uid", str(os.getuid())), ("featward-peer-spiffe-id", CA_ID))
    first = {"root_sha256": token.root_sha256.hex(), "client_certificate": False}
    credentials = Credentials(TRUST_DOMAIN)
    async with dialled(ca.addresses.listen, credentials, tmp_path, **first) as stub:
        evidence = identity_pb2.Evidence(unix=identity_pb2.UnixEvidence())
        request = identity_pb2.AttestRequest(evidence=evidence, csr=credentials.new_identity().csr)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Attest(request, metadata=lies)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_identity_is_fetched_into_files(ca: Running, tmp_path: Path) -> None:
    token, out = await ca.token(), tmp_path / "out"
    files = await asyncio.to_thread(fetch_svid, ca.addresses.listen, token, out)
    assert files.spiffe_id == f"spiffe://{TRUST_DOMAIN}/bu/payments/svc/pricing-api"
    _check_files(out, token)
    other = tmp_path / "another" / "out"
    with pytest.raises(FetchError, match="evidence was not accepted") as refused:
        await asyncio.to_thread(fetch_svid, ca.addresses.listen, token, other)
    assert "good for one use" in str(refused.value)
    assert "make another one: featward ca token create --workload" in str(refused.value)
    assert not other.parent.exists()
    # What was there before stays.
    with pytest.raises(FetchError):
        await asyncio.to_thread(fetch_svid, ca.addresses.listen, token, out)
    _check_files(out, token)


async def test_a_token_is_not_spent_where_its_identity_can_not_be_kept(
    ca: Running, tmp_path: Path
) -> None:
    token, file = await ca.token(), tmp_path / "file"
    file.write_text("somebody's")
    for wrong in (file, file / "below"):
        with pytest.raises(FetchError, match="the token was not used"):
            await asyncio.to_thread(fetch_svid, ca.addresses.listen, token, wrong)
    assert file.read_text() == "somebody's"
    await asyncio.to_thread(fetch_svid, ca.addresses.listen, token, tmp_path / "out")
    _check_files(tmp_path / "out", token)


def _check_files(out: Path, token: JoinToken) -> None:
    assert (out / "key.pem").stat().st_mode & 0o777 == 0o600
    leaf, authority = x509.load_pem_x509_certificates((out / "svid.pem").read_bytes())
    (root,) = x509.load_pem_x509_certificates((out / "bundle.pem").read_bytes())
    leaf.verify_directly_issued_by(authority)
    authority.verify_directly_issued_by(root)
    key = serialization.load_pem_private_key((out / "key.pem").read_bytes(), None)
    assert key.public_key() == leaf.public_key()
    der = root.public_bytes(serialization.Encoding.DER)
    assert hashlib.sha256(der).digest() == token.root_sha256


async def test_a_ca_with_another_root_gets_no_token(ca: Running, tmp_path: Path) -> None:
    token = replace(await ca.token(), root_sha256=b"\0" * 32)
    with pytest.raises(FetchError):
        await asyncio.to_thread(fetch_svid, ca.addresses.listen, token, tmp_path / "out")
    shown = await ca.admin.Show(authority_pb2.ShowRequest())
    assert (shown.live_identities, shown.live_clients) == (1, 0)  # the CA's own


async def test_health_signs_a_canary_and_metrics_count_it(started: int, ca: Running) -> None:
    async with aiohttp.ClientSession(f"http://{ca.addresses.health}") as http:
        async with http.get("/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        async with http.get("/metrics") as answer:
            text = await answer.text()
        async with http.get("/other") as answer:
            assert answer.status == 404
    assert 'featward_ca_signatures_total{purpose="canary",result="signed"} 1.0' in text
    (sequence,) = re.findall(r"^featward_bundle_sequence (\S+)$", text, re.MULTILINE)
    assert started <= float(sequence) - 4 <= time.time()
    assert 'featward_certificate_expiry_timestamp_seconds{owner="prod.payments"' in text


async def test_an_open_stream_does_not_hold_up_the_stop(
    settings: ServeSettings, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as client, contextlib.AsyncExitStack() as server:
        addresses = await server.enter_async_context(running(settings, SystemClock()))
        async with grpc.aio.insecure_channel(f"unix:{addresses.admin_socket}") as channel:
            credentials = await enrol(Running(settings, addresses, AdminStub(channel)), tmp_path)
        known = {"root_sha256": None, "client_certificate": True}
        dial = dialled(addresses.listen, credentials, tmp_path, **known)
        stream = (await client.enter_async_context(dial)).WatchIdentity()
        await stream.read()
        async with asyncio.timeout(4):
            await server.aclose()


async def test_a_workload_lives_through_a_change_of_its_authority(
    settings: ServeSettings, tmp_path: Path
) -> None:
    manifest = folder_of(settings) / "all.yaml"
    short = manifest.read_text().replace(
        "prod.payments}\n---", "prod.payments}\nspec: {authority: {lifetime: 12s}}\n---", 1
    )
    manifest.write_text(short.replace("prod.acme.example}", "prod.acme.example, svidTTL: 2s}"))
    authorities: list[bytes] = []
    async with running(replace(settings, unsafe_short_lives=True), SystemClock()) as addresses:
        async with grpc.aio.insecure_channel(f"unix:{addresses.admin_socket}") as channel:
            credentials = await enrol(Running(settings, addresses, AdminStub(channel)), tmp_path)
        known = {"root_sha256": None, "client_certificate": True}
        async with dialled(addresses.listen, credentials, tmp_path, **known) as stub:
            while len(set(authorities)) < 2:
                authorities.append(await _renew_once(stub, credentials))
    assert len(authorities) >= 5


async def _renew_once(stub: Any, credentials: Credentials) -> bytes:
    """Renew on a stream of its own, use the SVID at once, wait until it is due; its authority."""
    pending = credentials.new_identity()
    stream = stub.WatchIdentity()
    trust(credentials, (await stream.read()).trust)
    await stream.write(identity_pb2.WatchIdentityRequest(csrs=[pending.csr]))
    while not (answer := await stream.read()).svids:
        trust(credentials, answer.trust)
    stream.cancel()
    use(credentials, pending, answer.svids[0])
    await SystemClock().sleep_until(answer.svids[0].renew_at)
    return bytes(answer.svids[0].chain[1])


async def test_a_bad_edit_of_the_manifests_changes_nothing(ca: Running) -> None:
    shown = await ca.admin.Show(authority_pb2.ShowRequest())
    before = (folder_of(ca.settings) / "all.yaml").read_text()
    (folder_of(ca.settings) / "all.yaml").write_text("kind: Environment\n")
    async with aiohttp.ClientSession(f"http://{ca.addresses.health}") as http:
        while True:
            async with http.get("/metrics") as answer:
                if "featward_ca_manifest_errors_total 1.0" in await answer.text():
                    break
            await asyncio.sleep(0.05)
    after = await ca.admin.Show(authority_pb2.ShowRequest())
    assert after.sequence == shown.sequence
    (warning,) = after.warnings
    assert (warning.code, "all.yaml" in warning.text) == ("edits-refused", True)
    await ca.token()
    (folder_of(ca.settings) / "all.yaml").write_text(before)
    while True:
        after = await ca.admin.Show(authority_pb2.ShowRequest())
        if not after.warnings:
            break
        await asyncio.sleep(0.05)


async def test_manifests_without_the_environment_stop_the_start(settings: ServeSettings) -> None:
    with pytest.raises(ConfigurationError, match="has no Environment named 'dev'"):
        async with running(replace(settings, environment="dev"), SystemClock()):
            pass


def featward_ca(*arguments: str) -> list[str]:
    program = "import sys; from featward.cli import main; sys.argv[0] = 'featward'; main()"
    return [sys.executable, "-c", program, "ca", *arguments]


@contextlib.contextmanager
def serving(settings: ServeSettings, *options: str) -> Iterator[list[str]]:
    """A CA in a process of its own, started by its command; gives what it said until it was ready."""
    command = featward_ca("serve", "--environment", "prod", "--data", str(settings.data))
    command += ["--manifests", str(settings.manifests), "--kek-file", str(settings.kek_file)]
    command += ["--listen", "127.0.0.1:0", "--health", "", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said: list[str] = []
        try:
            while "the CA is ready" not in (line := process.stderr.readline()):
                assert line, "the CA ended before it was ready"
                said.append(line)
            yield said
        finally:
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
        assert process.wait(10) == 0


@pytest.fixture
def served(settings: ServeSettings) -> Iterator[ServeSettings]:
    """A CA in a process of its own, started by its command."""
    with serving(settings):
        yield settings


def test_its_log_is_json_in_a_pipe_and_lines_to_read_where_asked_for(
    settings: ServeSettings,
) -> None:
    with serving(settings) as said:
        lines = [json.loads(line) for line in said if line.startswith("{")]
        made = {line["owner"] for line in lines if line["message"] == "authority made"}
        assert made >= {"root", "platform", "prod.payments"}
    with serving(settings, "--log-format", "console") as said:
        assert any(" info    own identity renewed" in line for line in said)


def test_the_commands_work_from_the_token_to_the_status(served: ServeSettings) -> None:
    data = ("--data", str(served.data))
    workload = ("--workload", "prod.payments/pricing-api")
    made = _run("token", "create", *workload, "--ttl", "10m", *data)
    assert JoinToken.parse(made.stdout).trust_domain == TRUST_DOMAIN
    assert "once within 10m" in made.stderr
    shown = json.loads(_run("status", *data, "--output", "json").stdout)
    assert {row["owner"] for row in shown["authorities"]} >= {"root", "platform", "prod.payments"}
    assert shown["authorities"][0]["generation"] == 1
    assert len(bytes.fromhex(shown["root_sha256"])) == 32
    assert (shown["store"], shown["live_clients"], shown["halted"]) == ("sqlite", 0, None)
    assert "prod.payments" in _run("status", *data).stdout
    refused = _run("token", "create", "--workload", "prod.payments/nobody", *data, status=1)
    assert refused.stderr.startswith("error: the manifests have no Workload 'prod.payments/nobody'")
    assert not refused.stdout


def test_clients_are_listed_by_what_people_know(served: ServeSettings) -> None:
    """Neither an id nor a sequence has to be fished out of another command's answer."""
    data = ("--data", str(served.data))
    for words in (("--behind", "now"), ("--authority", "prod.payments"), ("--authority", "root")):
        assert "0 of 0 clients" in _run("clients", *words, *data).stdout
    missing = _run("clients", "--authority", "prod.payment", *data, status=1)
    assert missing.stderr.startswith("error: there is no authority 'prod.payment', and no owner of")
    long = ("token", "create", "--workload", "prod.payments/pricing-api", "--ttl", "400d")
    refused = _run(*long, *data, status=1)
    assert refused.stderr.startswith("error: a join token lives for 1s to 7d, not for 400d (")


def test_issuing_is_halted_explained_and_checked_by_commands(
    served: ServeSettings, tmp_path: Path
) -> None:
    data = ("--data", str(served.data))
    assert "halted" in _run("halt", "--reason", "a drill", *data).stderr
    assert "halted before by admin: a drill" in _run("halt", *data).stderr
    assert "(a drill)" in _run("status", *data).stdout
    shown = json.loads(_run("status", *data, "--output", "json").stdout)
    assert (shown["halted"]["by"], shown["halted"]["reason"]) == ("admin", "a drill")
    assert "resumed" in _run("resume", *data).stderr
    assert "it was not halted" in _run("resume", *data).stderr
    with read_only(embedded_file(served.data)) as connection:
        (own,) = svids.every(connection)
    said = _run("why-expiry", own.serial, *data).stdout
    assert "svid-ttl" in said
    assert "svidTTL of the Environment was 3600 s" in said
    answer = json.loads(_run("why-expiry", own.serial, *data, "--output", "json").stdout)
    assert (answer["cap"], len(answer["caps"])) == ("svid-ttl", 3)
    missing = _run("why-expiry", "ff", *data, status=1)
    assert missing.stderr.startswith("error: no SVID with the serial number ff is stored")
    assert " 0 findings" in _run("check-issued", *data).stderr
    found = tmp_path / "found.pem"
    found.write_text("hello")
    checked = _run("check-issued", *data, "--certificate", str(found), status=1)
    assert checked.stdout.startswith(f"unreadable  {found}")
    as_json = _run("check-issued", *data, "--output", "json").stdout
    assert json.loads(as_json)["findings"] == []


@pytest.mark.timeout(180)
def test_a_backup_is_made_of_a_running_and_of_a_stopped_ca_and_restored(
    settings: ServeSettings, tmp_path: Path
) -> None:
    data, kek = ("--data", str(settings.data)), ("--kek-file", str(settings.kek_file))
    files = [str(tmp_path / name) for name in ("running.backup", "stopped.backup")]
    with serving(settings):
        made = json.loads(_run("backup", "--to", files[0], *data, "--output", "json").stdout)
        content = Path(files[0]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == made["sha256"]
        assert "overwrites nothing" in _run("backup", "--to", files[0], *data, status=1).stderr
        refused = _run("restore", files[0], *data, *kek, "--replace", status=1)
        assert "stop it first" in refused.stderr
        roots = _roots(settings)
    assert "key-encryption key" in _run("backup", "--to", files[1], *data).stdout
    for file in files:
        assert "--replace" in _run("restore", file, *data, *kek, status=1).stderr
        assert "goes on from" in _run("restore", file, *data, *kek, "--replace").stdout
        with serving(settings):
            assert _roots(settings) == roots


def _roots(settings: ServeSettings) -> list[str]:
    shown = json.loads(_run("status", "--data", str(settings.data), "--output", "json").stdout)
    return [row["id"] for row in shown["authorities"] if row["owner"] == "root"]


def test_a_ca_is_recovered_by_commands_and_its_workloads_enrol_again(
    settings: ServeSettings, tmp_path: Path
) -> None:
    data, tokens = ("--data", str(settings.data)), tmp_path / "tokens"
    with serving(settings):
        pass
    kek = ("--kek-file", str(settings.kek_file))
    assert "--force" in _run("recover", "root", *data, *kek, status=1).stderr
    assert settings.kek_file is not None
    settings.kek_file.unlink()
    lost = _run("recover", "kek", "--lost", "--new-kek-file", str(settings.kek_file), *data)
    assert "a new root was made" in lost.stdout
    with serving(settings):
        assert len(_roots(settings)) == 2
    assert "makes a new authority" in _run("recover", "serving", *data, *kek).stdout
    (settings.data / "ca.sqlite3").unlink()
    manifests = ("--environment", "prod", "--manifests", str(settings.manifests))
    assert "recover store" in _run("recover", "root", *data, *kek, status=1).stderr
    _run("recover", "store", *data, *kek, *manifests, "--tokens", str(tokens))
    with serving(settings) as said:
        (listen,) = [line.split()[-1] for line in said if line.startswith("listen: ")]
        (token,) = map(str, tokens.iterdir())
        _run("fetch-svid", "--ca", listen, "--token-file", token, "--out", str(tmp_path / "out"))


def test_a_backup_of_postgresql_is_postgresqls_own(tmp_path: Path) -> None:
    store = ("--store", "postgresql+psycopg://ca:secret@db.acme.example/featward_prod")
    said = _run("backup", "--to", str(tmp_path / "ca.dump"), *store, status=1).stderr
    assert "pg_dump --format=custom" in said
    assert "postgresql://ca@db.acme.example/featward_prod" in " ".join(said.split())
    assert "secret" not in said
    assert "pg_restore" in said
    assert "featward ca restore --store DATABASE" in " ".join(said.split())
    for both in ((), (str(tmp_path / "ca.backup"), *store)):
        refused = _run("restore", *both, "--data", str(tmp_path), status=2).stderr
        assert "name either a file" in refused


def test_a_command_without_a_ca_says_what_to_do(tmp_path: Path) -> None:
    done = _run("status", "--data", str(tmp_path), status=1)
    assert "start it with featward ca serve" in done.stderr
    assert _run("status", status=2).stderr


def _run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "FEATWARD" not in name}
    command = featward_ca(*arguments)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done
