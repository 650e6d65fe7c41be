"""An offline root, from its first key to authorities that it has signed; and what a ceremony refuses."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca_kit import KEK, TRUST_DOMAIN, OpenCore, a_directory, acknowledge, issue
from featward_ca import ceremony
from featward_ca.ceremony import CeremonyError, RootStep, SignStep
from featward_ca.clock import SystemClock
from featward_ca.core import Core
from featward_ca.errors import MalformedRequestError
from featward_ca.keys import EncryptedKeyStore
from featward_ca.profile import SubjectName
from featward_ca.rotation import orders
from featward_ca.rotation.carry_out import By
from featward_ca.rotation.imports import pending, take_in
from featward_ca.rotation.orders import Order
from featward_ca.rotation.states import State, Step
from featward_ca.situation import Situation
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


def step(folder: Path, values: dict[str, Any]) -> ceremony.Step:
    file = folder / "step.yaml"
    file.write_text(yaml.safe_dump(values))
    return ceremony.read(file)


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
    (imported,) = await take_in(now, [], root.public_bytes(Encoding.DER))
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
    rows = await take_in(now, await signed(now, tmp_path), b"")
    assert {row.issuer for row in rows} == {imported.id}
    await acknowledge(now, client)
    await now.tend()
    fresh = await issue(now, "prod.risk/scoring")
    assert now.authorities.active("prod.risk").row.issuer == imported.id
    assert fresh.row.authority == now.authorities.active("prod.risk").row.id
    assert now.authorities.active("prod.risk").row.not_after > now.clock.now() + 80 * 86400


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
        await take_in(now, [], strange)
    with pytest.raises(MalformedRequestError, match="nobody waits for"):
        await take_in(now, [root.public_bytes(Encoding.DER)], b"")
    with pytest.raises(MalformedRequestError, match="readable X"):
        await take_in(now, [b"\x30\x00"], b"")
    assert len(now.trust.current.roots) == 1
    await take_in(now, [], root.public_bytes(Encoding.DER))
    await orders.rotate(now, "root", ORDER)
    good = await signed(now, tmp_path)
    broken = bytearray(good[0])
    broken[-1] ^= 1
    with pytest.raises(MalformedRequestError, match="does not verify"):
        await take_in(now, [bytes(broken)], b"")
    assert len(await take_in(now, good, b"")) == len(good)
    with pytest.raises(MalformedRequestError, match="nobody waits for"):
        await take_in(now, good, b"")


def test_nothing_is_written_over(root: x509.Certificate, tmp_path: Path) -> None:
    again = step(tmp_path, ROOT)
    assert isinstance(again, RootStep)
    with pytest.raises(CeremonyError, match="exists already"):
        ceremony.make_root(again, tmp_path)
    assert ceremony.certificate_of(tmp_path / "root.pem") == root
    assert (tmp_path / "root.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "party"}, "kind"),
        (ROOT | {"kee": "x"}, "kee"),
        ({key: value for key, value in ROOT.items() if key != "lifetime"}, "lifetime"),
        (ROOT | {"lifetime": 5}, "lifetime"),
    ],
)
def test_a_file_that_says_anything_else_is_refused(
    tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(CeremonyError, match=said):
        step(tmp_path, values)


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
