"""What the doctor says of TLS endpoints: good ones, those that a verifier refuses, and hostile ones."""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certificates import DOMAIN, PRICING, SCORING, Authority, Environment
from doctor_kit import Talk, doctor, https, identity, leaf, root_file, written
from featward_engine import Listener

Serve = Callable[[Talk], str]


@pytest.fixture
def environment() -> Environment:
    return Environment()


def test_a_good_endpoint_is_shown_with_chain_identity_expiry_and_clock(
    serve: Serve, folder: Path, environment: Environment
) -> None:
    address = serve(https(identity(folder, environment.payments)))
    seen = doctor(address, "--bundle", root_file(folder, environment.root), "--expect", PRICING)
    report = seen.report
    assert (seen.code, report["healthy"], seen.codes) == (0, True, set())
    (server,) = report["identities"]
    assert (server["spiffe_id"], server["accepted"]) == (PRICING, True)
    leaf, issuer = server["chain"]
    assert leaf["uris"] == [PRICING]
    assert 3500 < leaf["not_after"] - report["time"] < 3600
    assert (leaf["key"], issuer["is_authority"]) == ("secp256r1", True)
    (clock,) = report["clocks"]
    assert clock["of"] == "the target"
    assert abs(clock["offset_seconds"]) < 2
    text = doctor(address, "--bundle", root_file(folder, environment.root), output="table").text
    assert f"server: {PRICING}  accepted" in text
    assert f"1 root of {DOMAIN}" in text
    assert "not asked for" in text
    assert text.endswith("nothing here would be refused\n")


def test_without_anybody_to_trust_form_and_times_are_judged_and_it_says_so(
    serve: Serve, folder: Path, environment: Environment
) -> None:
    seen = doctor(serve(https(identity(folder, environment.payments))))
    assert (seen.code, seen.codes) == (0, {"not-judged"})
    assert seen.report["identities"][0]["accepted"] is None
    old = serve(https(identity(folder, environment.payments, life=(-7200, -3600))))
    assert doctor(old).codes == {"expired"}


@pytest.mark.parametrize(
    ("life", "codes"),
    [
        ((-7200, -3600), {"expired"}),
        ((3600, 7200), {"not-yet-valid"}),
        ((-3600, 600), {"renewal-overdue"}),
    ],
)
def test_a_chain_out_of_its_time_is_refused_and_an_overdue_one_is_told(
    serve: Serve,
    folder: Path,
    environment: Environment,
    life: tuple[float, float],
    codes: set[str],
) -> None:
    address = serve(https(identity(folder, environment.payments, life=life)))
    seen = doctor(address, "--bundle", root_file(folder, environment.root))
    assert (seen.codes, seen.code) == (codes, int("renewal-overdue" not in codes))


def test_what_else_is_wrong_with_an_expired_chain_is_told_too(
    serve: Serve, folder: Path, environment: Environment
) -> None:
    address = serve(https(identity(folder, environment.payments, life=(-7200, -3600))))
    other = root_file(folder, Authority.root())
    assert doctor(address, "--bundle", other).codes == {"expired", "unknown-authority"}


def test_an_endpoint_of_another_trust_domain_root_or_identity_is_refused(
    serve: Serve, folder: Path, environment: Environment
) -> None:
    address = serve(https(identity(folder, environment.payments)))
    root = root_file(folder, environment.root)
    seen = doctor(address, "--bundle", root, "--trust-domain", "test.acme.example")
    assert (seen.code, seen.codes) == (1, {"wrong-trust-domain"})
    seen = doctor(address, "--bundle", root_file(folder, Authority.root("test.acme.example")))
    assert (seen.code, seen.codes) == (1, {"wrong-trust-domain"})
    seen = doctor(address, "--bundle", root_file(folder, Authority.root()))
    assert (seen.code, seen.codes) == (1, {"unknown-authority"})
    seen = doctor(address, "--bundle", root, "--expect", SCORING)
    assert (seen.code, seen.codes) == (1, {"wrong-identity"})
    assert seen.report["identities"][0]["accepted"] is False
    # The root among others, as while it is being replaced.
    both = root_file(folder, Authority.root(), environment.root)
    assert doctor(address, "--bundle", both).code == 0


def test_a_leaf_of_two_uris_or_that_is_an_authority_is_refused(
    serve: Serve, folder: Path, environment: Environment
) -> None:
    root = root_file(folder, environment.root)
    key = ec.generate_private_key(ec.SECP256R1())
    for made in (
        leaf(environment.payments, key, [PRICING, SCORING]),
        leaf(environment.payments, key, [PRICING], is_authority=True),
        leaf(environment.payments, key, ["https://pricing.example"]),
    ):
        address = serve(https(written(folder, key, made, environment.payments.certificate)))
        for options in ([], ["--bundle", root]):
            seen = doctor(address, *options)
            assert (seen.code, seen.codes) == (1, {"bad-svid"}), seen.text


def test_an_endpoint_that_wants_a_certificate_says_whether_it_takes_ours(
    serve: Serve, folder: Path, environment: Environment
) -> None:
    root = root_file(folder, environment.root)
    address = serve(https(identity(folder, environment.payments), clients=root))
    seen = doctor(address, "--bundle", root)
    assert (seen.code, seen.codes) == (0, {"wants-certificate"})
    chain, key = identity(folder, environment.risk, SCORING)
    seen = doctor(address, "--bundle", root, "--cert", chain, "--key", key)
    assert (seen.code, seen.codes) == (0, set())
    assert seen.report["facts"]["client certificate"] == "asked for, shown; we were let in"
    assert [each["of"] for each in seen.report["identities"]] == ["server", "our own"]
    chain, key = identity(folder, Environment().risk, SCORING)
    seen = doctor(address, "--bundle", root, "--cert", chain, "--key", key)
    assert (seen.code, seen.codes) == (1, {"client-refused", "unknown-authority"})


def test_an_endpoint_of_ours_lets_us_in_or_refuses_us_over_http_2(
    folder: Path, environment: Environment
) -> None:
    credentials = environment.process(environment.payments, PRICING)
    told = {
        "listen": "127.0.0.1:0",
        "forward": str(folder / "nobody"),
        "client_certificate": "required",
    }
    listener = Listener(credentials, json.dumps(told).encode())
    address = listener.start()
    try:
        root = root_file(folder, environment.root)
        chain, key = identity(folder, environment.risk, SCORING)
        seen = doctor(address, "--bundle", root, "--cert", chain, "--key", key)
        assert (seen.code, seen.codes <= {"no-http"}) == (0, True), seen.text
        assert "h2" in seen.report["facts"]["TLS"]
        assert "let in" in seen.report["facts"]["client certificate"]
        chain, key = identity(folder, environment.risk, PRICING)  # out of the authority's scope
        seen = doctor(address, "--bundle", root, "--cert", chain, "--key", key)
        assert (seen.code, "client-refused" in seen.codes) == (1, True), seen.text
    finally:
        listener.stop(0)


def test_a_clock_apart_is_a_warning_and_explains_a_refusal_for_time(
    serve: Serve, folder: Path, environment: Environment
) -> None:
    root = root_file(folder, environment.root)
    address = serve(https(identity(folder, environment.payments), ahead=120))
    seen = doctor(address, "--bundle", root)
    assert (seen.code, seen.codes) == (0, {"clock-skew"})
    assert -122 < seen.report["clocks"][0]["offset_seconds"] < -118
    young = identity(folder, environment.payments, life=(100, 3600))
    seen = doctor(serve(https(young, ahead=120)), "--bundle", root)
    assert (seen.code, seen.codes) == (1, {"not-yet-valid", "clock-skew"})
    assert "by the target's clock it would be in its time: ours is 1" in seen.text


def test_tls_1_2_is_looked_at_and_warned_of(
    serve: Serve, folder: Path, environment: Environment
) -> None:
    root = root_file(folder, environment.root)
    files = identity(folder, environment.payments)
    seen = doctor(serve(https(files, newest=False)), "--bundle", root)
    assert (seen.code, seen.codes) == (0, {"old-tls"})
    # There the handshake itself fails; the chain is shown all the same.
    seen = doctor(serve(https(files, newest=False, clients=root)), "--bundle", root)
    assert seen.code == 1
    assert seen.report["identities"][0]["spiffe_id"] == PRICING


def test_what_speaks_no_tls_or_nothing_or_is_not_there_is_told_in_time(serve: Serve) -> None:
    def plain(end: socket.socket) -> None:
        end.recv(4096)
        end.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def stalled(end: socket.socket) -> None:
        while end.recv(4096):
            pass

    def trickling(end: socket.socket) -> None:
        # A handshake record that claims 16 KB, a byte at a time.
        for byte in b"\x16\x03\x03\x40\x00\x02" + b"\0" * 1000:
            end.sendall(bytes([byte]))
            time.sleep(0.05)

    def shut(end: socket.socket) -> None:
        end.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
    for address, code in (
        (serve(plain), "no-tls"),
        (serve(stalled), "no-answer"),
        (serve(trickling), "no-answer"),
        (serve(shut), "handshake-failed"),
        (nobody, "unreachable"),
        ("no..name:443", "unreachable"),
    ):
        began = time.monotonic()
        seen = doctor(address)
        assert (seen.code, seen.codes) == (1, {code})
        assert time.monotonic() - began < 10


def many(folder: Path, environment: Environment, count: int) -> tuple[Path, Path]:
    """A chain with the same intermediate over and over."""
    key = ec.generate_private_key(ec.SECP256R1())
    above = [environment.payments.certificate] * count
    return written(folder, key, leaf(environment.payments, key, [PRICING]), *above)


def test_a_hostile_server_costs_neither_time_nor_memory_and_prints_nothing_of_its_own(
    serve: Serve, folder: Path, environment: Environment
) -> None:
    long = serve(https(many(folder, environment, 300)))
    seen = doctor(long)
    assert (seen.code, seen.codes) == (1, {"chain-too-long"})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity(folder, environment.payments))

    def endless(end: socket.socket) -> None:
        with context.wrap_socket(end, server_side=True) as tls:
            tls.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                tls.sendall(b"x-more: " + b"y" * 8000 + b"\r\n")

    def rude(end: socket.socket) -> None:
        with context.wrap_socket(end, server_side=True) as tls:
            tls.sendall(b"\x1b[2J" * 100)
            tls.recv(1)

    root = root_file(folder, environment.root)
    for talk in (endless, rude):
        began = time.monotonic()
        seen = doctor(serve(talk), "--bundle", root, output="table")
        assert (seen.code, "\x1b" in seen.text + seen.errors) == (0, False)
        assert "no-http" in seen.text
        assert time.monotonic() - began < 10


def test_control_characters_of_a_certificate_are_not_printed(
    serve: Serve, folder: Path, environment: Environment
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = leaf(environment.payments, key, ["spiffe://prod.acme.example/\x1b[31mred"])
    address = serve(https(written(folder, key, made)))
    for output in ("table", "json"):
        seen = doctor(address, output=output)
        assert seen.code == 1
        assert "\x1b" not in seen.text
        assert "?[31mred" in seen.text


def test_what_it_is_told_wrongly_is_said_with_the_expected_form(
    folder: Path, environment: Environment
) -> None:
    junk = folder / "junk.pem"
    junk.write_text("no certificate")
    chain, _ = identity(folder, environment.payments)
    _, other = identity(folder, environment.payments)
    sentences: Iterator[tuple[list[object], str]] = iter(
        [
            (["18443"], "is no target; write host:port"),
            (["localhost:0"], "is no target; write host:port"),
            (["127.0.0.1:1", "--bundle", junk], "holds no certificates in PEM"),
            (["127.0.0.1:1", "--bundle", folder / "none.pem"], "can't be read: No such file"),
            (["127.0.0.1:1", "--cert", junk], "a certificate needs its key"),
            (["127.0.0.1:1", "--cert", chain, "--key", other], "is not that of the first"),
            (["127.0.0.1:1", "--cert", chain, "--key", junk], "holds no unencrypted private key"),
            (["127.0.0.1:1", "--expect", "pricing"], "spiffe://"),
            (["127.0.0.1:1", "--ca", folder], "no CA is listening on"),
            (["127.0.0.1:1", "--workload-api", folder / "none"], "there is no socket"),
        ]
    )
    for options, sentence in sentences:
        seen = doctor(*options)
        said = " ".join(seen.errors.replace("│", " ").split())
        assert (seen.code, sentence in said) == (2, True), (options, said)
