"""An offline root, from its first key to authorities that it has signed; and what a ceremony refuses."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import text
from typer.testing import CliRunner

from ca_kit import KEK, TRUST_DOMAIN, FakeClock, OpenCore, a_directory, acknowledge, issue
from featward_ca import ceremony, ceremony_steps
from featward_ca.ceremony_steps import CeremonyError, RootStep, SignStep
from featward_ca.check_issued import check
from featward_ca.cli import app
from featward_ca.clock import SystemClock
from featward_ca.core import Core
from featward_ca.errors import CaError, MalformedRequestError, StoreError
from featward_ca.keys import EncryptedKeyStore
from featward_ca.profile import SubjectName
from featward_ca.requests import authority_id, check_key
from featward_ca.rotation import orders
from featward_ca.rotation.actions import By
from featward_ca.rotation.imports import pending, take_in
from featward_ca.rotation.orders import Order
from featward_ca.rotation.states import State, Step
from featward_ca.situation import Situation
from featward_ca.store import audit, authority_rows
from featward_ca.store.audit import Outcome
from featward_ca.store.engines import open_store

UNIT = "prod.payments"
ORDER = Order(By("admin", "test"))
ROOT: dict[str, Any] = {
    "kind": "root",
    "trustDomain": TRUST_DOMAIN,
    "lifetime": "3650d",
    "keyEncryptionKey": "root.kek",
    "key": "root.key",
    "certificate": "root.pem",
}
SIGN: dict[str, Any] = {
    "kind": "sign",
    "keyEncryptionKey": "root.kek",
    "key": "root.key",
    "certificate": "root.pem",
    "lifetime": "90d",
    "requests": "requests",
    "certificates": "certificates",
}


def step(folder: Path, values: dict[str, Any]) -> ceremony_steps.Step:
    file = folder / "step.yaml"
    file.write_text(yaml.safe_dump(values))
    return ceremony_steps.read(file)


@pytest.fixture
def root(tmp_path: Path) -> x509.Certificate:
    """A root that was made on another machine; its files lie in the test's folder."""
    made = step(tmp_path, ROOT)
    assert isinstance(made, RootStep)
    ceremony.make_root(made, tmp_path)
    return ceremony.certificate_of(tmp_path / "root.pem")


@pytest.fixture
async def now(store_url: str) -> Any:
    """A CA on today's clock, which the other machine has too."""
    situation = Situation.of(a_directory(), unsafe_short_lives=False)
    core = await Core.open(open_store(store_url), EncryptedKeyStore(KEK), situation, SystemClock())
    yield core
    await core.close()


async def signed(core: Core, folder: Path) -> list[bytes]:
    """What the other machine makes of all that waits."""
    for row, csr in await pending(core):
        pem = x509.load_der_x509_csr(csr).public_bytes(Encoding.PEM)
        ceremony.write(folder / "requests" / f"{row.owner}-{row.id}.csr", pem, 0o644)
    wanted = step(folder, SIGN)
    assert isinstance(wanted, SignStep)
    made = ceremony.sign(wanted, folder)
    return [ceremony.certificate_of(file).public_bytes(Encoding.DER) for file in made]


async def test_an_environment_moves_under_an_offline_root(
    now: Core, root: x509.Certificate, tmp_path: Path
) -> None:
    (imported,) = await take_in(now, [], root.public_bytes(Encoding.DER), ORDER.by)
    assert (imported.state, imported.key) == (State.PREPARED, None)
    assert len(now.trust.current.roots) == 2
    begun = await orders.rotate(now, "root", ORDER)
    assert begun.rotation
    assert begun.rotation.step is Step.TAINT
    waiting = (await now.schedule.known()).rotations
    assert {(one.owner, one.step) for one in waiting if one.parent} == {
        (owner, Step.PREPARE) for owner in ("platform", UNIT, "prod.risk")
    }
    # Nothing stops meanwhile.
    client = await issue(now, "prod.payments/pricing-api")
    rows = await take_in(now, await signed(now, tmp_path), b"", ORDER.by)
    assert {row.issuer for row in rows} == {imported.id}
    await acknowledge(now, client)
    await now.tend()
    fresh = await issue(now, "prod.risk/scoring")
    assert now.authorities.active("prod.risk").row.issuer == imported.id
    assert fresh.row.authority == now.authorities.active("prod.risk").row.id
    assert now.authorities.active("prod.risk").row.not_after > now.clock.now() + 80 * 86400


async def test_check_issued_finds_nothing_after_a_ceremony(
    now: Core, root: x509.Certificate, tmp_path: Path
) -> None:
    await take_in(now, [], root.public_bytes(Encoding.DER), ORDER.by)
    await orders.rotate(now, "root", ORDER)
    made = await signed(now, tmp_path)
    strange = tmp_path / "strange.der"
    strange.write_bytes(made.pop())
    assert made
    taken = await take_in(now, made, b"", ORDER.by)
    checked = await now.store.read(lambda c: check(c, now=now.clock.now()))
    assert checked.findings == []
    # What the offline root has signed and nobody has imported is no certificate of this CA's.
    checked = await now.store.read(lambda c: check(c, [strange], now.clock.now()))
    assert [one.code for one in checked.findings] == ["not-on-record"]
    rows = [row for row in await now.store.read(audit.entries) if row.outcome is Outcome.IMPORTED]
    assert [row.subject for row in rows] == [
        f"authority {name}" for name in (authority_id_of(root), *(row.id for row in taken))
    ]
    assert {(row.caller, row.request) for row in rows} == {("admin", "test")}


def authority_id_of(certificate: x509.Certificate) -> str:
    return authority_id(check_key(certificate.public_key()))


async def test_a_certificate_in_the_place_of_an_imported_one_is_found(
    now: Core, root: x509.Certificate, tmp_path: Path
) -> None:
    await take_in(now, [], root.public_bytes(Encoding.DER), ORDER.by)
    changed = text("UPDATE audit SET tbs_sha256 = 'ab' WHERE outcome = 'imported'")
    with pytest.raises(StoreError):
        await now.store.run(lambda c: c.execute(changed).rowcount)
    forged = text("UPDATE authority SET certificate = :der WHERE id = :id")
    other = await now.store.read(lambda c: authority_rows.of_state(c, State.ACTIVE))
    (mine,) = [row for row in other if row.owner == "root"]
    values = {"der": mine.der, "id": authority_id_of(root)}
    await now.store.run(lambda c: c.execute(forged, values).rowcount)
    checked = await now.store.read(lambda c: check(c, now=now.clock.now()))
    assert "other-key" in {one.code for one in checked.findings}


async def test_a_root_that_has_ended_is_not_imported(
    open_core: OpenCore, clock: FakeClock, tmp_path: Path
) -> None:
    made = step(tmp_path, ROOT | {"lifetime": "30d"})
    assert isinstance(made, RootStep)
    ceremony.make_root(made, tmp_path)
    certificate = ceremony.certificate_of(tmp_path / "root.pem")
    core = await open_core()
    clock.advance(certificate.not_valid_after_utc.timestamp() - clock.now())
    with pytest.raises(MalformedRequestError, match=r"root.* ended 20.*make another"):
        await take_in(core, [], certificate.public_bytes(Encoding.DER), ORDER.by)
    assert len(core.trust.current.roots) == 1


async def test_only_what_waits_and_is_as_ours_would_be_is_taken(
    now: Core, root: x509.Certificate, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    made = step(other, ROOT | {"trustDomain": "dev.acme.example"})
    assert isinstance(made, RootStep)
    ceremony.make_root(made, other)
    strange = ceremony.certificate_of(other / "root.pem").public_bytes(Encoding.DER)
    with pytest.raises(MalformedRequestError, match=r"dev\.acme\.example.*, not for"):
        await take_in(now, [], strange, ORDER.by)
    with pytest.raises(MalformedRequestError, match="nobody waits for"):
        await take_in(now, [root.public_bytes(Encoding.DER)], b"", ORDER.by)
    with pytest.raises(MalformedRequestError, match="readable X"):
        await take_in(now, [b"\x30\x00"], b"", ORDER.by)
    assert len(now.trust.current.roots) == 1
    await take_in(now, [], root.public_bytes(Encoding.DER), ORDER.by)
    await orders.rotate(now, "root", ORDER)
    good = await signed(now, tmp_path)
    broken = bytearray(good[0])
    broken[-1] ^= 1
    with pytest.raises(MalformedRequestError, match="does not verify"):
        await take_in(now, [bytes(broken)], b"", ORDER.by)
    assert len(await take_in(now, good, b"", ORDER.by)) == len(good)
    with pytest.raises(MalformedRequestError, match="nobody waits for"):
        await take_in(now, good, b"", ORDER.by)


def test_nothing_is_written_over(root: x509.Certificate, tmp_path: Path) -> None:
    again = step(tmp_path, ROOT)
    assert isinstance(again, RootStep)
    with pytest.raises(CeremonyError, match="exists already"):
        ceremony.make_root(again, tmp_path)
    assert ceremony.certificate_of(tmp_path / "root.pem") == root
    assert (tmp_path / "root.key").stat().st_mode & 0o777 == 0o600


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in ROOT.items() if name != key}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "party"}, "step.yaml: the kind 'party' is no step; write kind: root, request"),
        ({"key": "root.key"}, "step.yaml: there is no kind"),
        (ROOT | {"lifetme": "1d"}, "step.yaml:6: key lifetme is not known.*mean lifetime"),
        (without("lifetime") | {"lifetme": "1d"}, "key lifetme is not known.*mean lifetime"),
        (without("lifetime"), "required key lifetime is missing"),
        (ROOT | {"lifetime": 5}, "lifetime is 5, expected text"),
        (ROOT | {"lifetime": "ten years"}, 'lifetime is "ten years"; write a duration'),
        (ROOT | {"lifetime": "1h"}, 'lifetime is "1h": expected 30d at the least'),
        (SIGN | {"lifetime": "1h"}, 'lifetime is "1h": expected 1d at the least'),
        (ROOT | {"trustDomain": "Prod_Acme"}, 'trustDomain is "Prod_Acme"; write a trust domain'),
        (ROOT | {"key": {}}, "key is a mapping, expected text"),
        ({"kind": "import", "adminSocket": "a"}, "an import names root.*certificates"),
    ],
)
def test_a_file_that_says_anything_else_is_refused(
    tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(CeremonyError, match=said) as refused:
        step(tmp_path, values)
    assert "Input" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "kind: root\nlifetime: 3650d\nlifetime: 1d\n",
            "step.yaml:3: key 'lifetime' is given twice",
        ),
        ("- kind: root\n", "expected one step"),
        ("", "expected one step"),
        ("kind: root\n---\nkind: root\n", "expected one step"),
        ("kind: [\n", "step.yaml:.: this is not YAML"),
        ("kind: &a root\n", "anchors"),
    ],
)
def test_a_step_that_two_readers_may_read_differently_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "step.yaml"
    file.write_text(text)
    with pytest.raises(CeremonyError, match=said):
        ceremony_steps.read(file)


def test_a_file_that_is_not_there_is_told_in_words(root: x509.Certificate, tmp_path: Path) -> None:
    with pytest.raises(CeremonyError, match=r"no\.yaml can't be read: No such file") as refused:
        ceremony_steps.read(tmp_path / "no.yaml")
    said = [str(refused.value)]
    for name in ("root.pem", "root.key"):
        (tmp_path / name).rename(tmp_path / "away")
        wanted = step(tmp_path, SIGN)
        assert isinstance(wanted, SignStep)
        with pytest.raises(CeremonyError, match=f"{name} can't be read: No such file") as refused:
            ceremony.sign(wanted, tmp_path)
        said.append(str(refused.value))
        (tmp_path / "away").rename(tmp_path / name)
    assert not any("Errno" in one for one in said)
    assert "name the YAML file of a step" in said[0]
    assert all("relative to the step's own file" in one for one in said[1:])


def test_a_socket_without_a_ca_is_the_steps_to_correct(tmp_path: Path) -> None:
    file = tmp_path / "step.yaml"
    file.write_text("kind: request\nadminSocket: none.sock\nrequests: out\n")
    said = CliRunner().invoke(app, ["ceremony", "run", str(file)])
    assert (said.exit_code, "correct adminSocket in the step" in said.output) == (1, True)
    assert "--data" not in said.output


def test_a_request_with_a_key_of_another_kind_is_refused_by_its_file(
    root: x509.Certificate, tmp_path: Path
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    pem = request.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    ceremony.write(tmp_path / "requests" / "odd.csr", pem, 0o644)
    wanted = step(tmp_path, SIGN)
    assert isinstance(wanted, SignStep)
    with pytest.raises(CeremonyError, match=r"requests/odd\.csr: "):
        ceremony.sign(wanted, tmp_path)


def test_the_key_of_a_ceremony_may_lie_beside_its_root_but_in_no_new_folder(
    root: x509.Certificate, tmp_path: Path
) -> None:
    assert (tmp_path / "root.kek").stat().st_mode & 0o777 == 0o600
    wanted = step(tmp_path, ROOT | {"keyEncryptionKey": "stcik/root.kek", "key": "two.key"})
    assert isinstance(wanted, RootStep)
    with pytest.raises(CaError, match="there is no folder"):
        ceremony.make_root(wanted.model_copy(update={"certificate": "two.pem"}), tmp_path)
    assert not (tmp_path / "stcik").exists()


async def test_a_request_for_a_root_is_not_signed(
    open_core: OpenCore, root: x509.Certificate, tmp_path: Path
) -> None:
    core = await open_core()
    _, kept = core.keys.create()
    csr = core.keys.request(kept, SubjectName("root", TRUST_DOMAIN))
    pem = x509.load_der_x509_csr(csr).public_bytes(Encoding.PEM)
    ceremony.write(tmp_path / "requests" / "root.csr", pem, 0o644)
    wanted = step(tmp_path, SIGN)
    assert isinstance(wanted, SignStep)
    with pytest.raises(CeremonyError, match="names its owner"):
        ceremony.sign(wanted, tmp_path)
    assert not (tmp_path / "certificates").exists()
