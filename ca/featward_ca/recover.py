"""`featward ca recover`: what to do when a certificate has expired, a key is lost or the store is gone.

All of it works without a running CA and on expired inputs. It gives up what can't be used any more
and makes the one thing that the next start can't make by itself, the root; the next start makes the
rest. What is given up stays announced until its end, so that what still works goes on working.
Nothing that can still be used is given up unasked.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from enum import Enum

from featward_ca.errors import ConfigurationError, KeyEncryptionError, NoAuthorityError
from featward_ca.halt import Halt
from featward_ca.issuance import Issuance, Signer
from featward_ca.keys import EncryptedKeyStore, reencrypted
from featward_ca.metrics import Metrics
from featward_ca.recorded import RecordedIssuance
from featward_ca.rotation import actions
from featward_ca.rotation.actions import By
from featward_ca.rotation.carry_out import CarryOut
from featward_ca.rotation.known import PLATFORM, ROOT
from featward_ca.rotation.timing import Terms
from featward_ca.settings import HOUR, Lifetimes
from featward_ca.stopped import Stopped
from featward_ca.store import authority_rows
from featward_ca.store.authority_rows import AuthorityRow, State
from featward_ca.store.store import Connection


class Kept(Enum):
    """Who can use the key of a root."""

    HERE = "the key-encryption key opens its key, so nothing is lost"
    OFFLINE = (
        "its key is on another machine, where it goes on signing what waits (featward ca ceremony)"
    )
    SHUT = (
        "the key-encryption key that was given does not open its key, so give the right one; if that"
        " one is lost: featward ca recover kek --lost"
    )
    DAMAGED = "its key is damaged, for the key-encryption key opens others"


async def new_root(at: Stopped, keys: EncryptedKeyStore, *, force: bool) -> list[str]:
    """A root in the place of one that is over. Raises ConfigurationError for one that is in force,
    whoever keeps its key, unless forced.
    """
    if not force and (row := await _in_force(at)):
        day = time.strftime("%Y-%m-%d", time.gmtime(row.not_after))
        raise ConfigurationError(
            f"the root is in force until {day}, and {(await _kept(at, row, keys)).value}; --force replaces the"
            " root all the same"
        )
    await _give_up(at, None)
    made = await _make_root(at, keys)
    await at.note("recover", "a new root; all authorities before it were given up")
    return [
        f"a new root was made: {hashlib.sha256(made.der).hexdigest()} (SHA-256)",
        "start the CA; it makes new authorities under it",
        "who knows the old root alone does not know the CA any more: workloads that came by join"
        " token need a new token each, and pinned roots and bundles elsewhere have to be replaced",
    ]


async def _make_root(at: Stopped, keys: EncryptedKeyStore) -> AuthorityRow:
    halt = Halt(at.store, at.clock)
    issuance = RecordedIssuance(Issuance(keys), at.store, at.clock, Metrics(), halt)
    carry_out = CarryOut(keys, issuance, at.store, at.clock, _no_root, Metrics())
    terms, by = Terms(at.trust_domain, Lifetimes(HOUR, {}), {}), By("command")
    await carry_out.do(actions.Request(ROOT), terms, by)
    waiting = await at.store.read(lambda c: authority_rows.of_state(c, State.REQUESTED))
    (name,) = [row.id for row in waiting if row.owner == ROOT]
    for action in (actions.Sign(name), actions.Activate(name)):
        await carry_out.do(action, terms, by)
    return next(row for row in await _announced(at) if row.id == name)


def _no_root() -> tuple[AuthorityRow, Signer]:
    raise NoAuthorityError("a root is signed by itself")


async def new_authority(at: Stopped, keys: EncryptedKeyStore, owner: str) -> list[str]:
    """Give up an owner's authorities, so that the next start makes a new one. Raises
    ConfigurationError, with nothing given up.
    """
    if owner == ROOT:
        raise ConfigurationError("the root is replaced by featward ca recover root")
    if (root := await _in_force(at)) is None:
        raise ConfigurationError(
            "the root that would sign a new authority is over: featward ca recover root"
        )
    kept = await _kept(at, root, keys)
    if kept is Kept.SHUT:
        raise ConfigurationError(f"the root would sign a new authority, and {kept.value}")
    if kept is Kept.DAMAGED:
        raise ConfigurationError(
            f"the root would sign a new authority, and {kept.value}: featward ca recover root --force"
        )
    if kept is Kept.OFFLINE and owner == PLATFORM:
        raise ConfigurationError(
            "a new authority for the CA's own certificate would wait for the offline root's"
            " signature, and without one the CA does not start, so that nothing could be imported;"
            " a root of the CA's own gets it going: featward ca recover root --force"
        )
    if not await _give_up(at, owner):
        raise ConfigurationError(f"there is no authority of {owner}; the manifests name the owners")
    await at.note("recover", f"the authorities of {owner} were given up")
    if kept is Kept.OFFLINE:
        return [
            f"start the CA; the next authority of {owner} waits for the offline root's signature:"
            " featward ca ceremony. Until then its workloads keep what they have, and get nothing new"
        ]
    return [
        f"start the CA; it makes a new authority for {owner}, and every workload gets a new"
        " certificate at its next renewal"
    ]


async def serving(at: Stopped, keys: EncryptedKeyStore) -> list[str]:
    """The same for the authority that the CA's own certificate is from."""
    return await new_authority(at, keys, PLATFORM)


async def change_kek(at: Stopped, old: bytes, new: Callable[[], bytes]) -> list[str]:
    """Encrypt all keys under another key-encryption key, which is asked for (and made) only when the
    old one opens them all. Raises KeyEncryptionError or ConfigurationError.
    """
    for _, key in await at.store.read(authority_rows.with_key):
        EncryptedKeyStore(old).load(key)
    if (other := new()) == old:
        raise ConfigurationError(
            "the new key-encryption key is the present one; name a file that is not there, and it is"
            " made"
        )

    def work(connection: Connection) -> int:
        rows = authority_rows.with_key(connection)
        for name, key in rows:
            authority_rows.keep_key(connection, name, reencrypted(key, old, other))
        return len(rows)

    count = await at.store.exclusive(work)
    await at.note("recover", "all keys were encrypted under another key-encryption key")
    are = "1 key is" if count == 1 else f"{count} keys are"
    return [f"{are} encrypted under the new key-encryption key; start the CA with it"]


async def lost_kek(
    at: Stopped, at_hand: Mapping[str, bytes], new: Callable[[], bytes], *, force: bool
) -> list[str]:
    """Begin with new keys, because nothing opens the old ones. Raises ConfigurationError where a
    key-encryption key that is at hand does, and for a root whose key is elsewhere, unless forced.
    """
    for source, kek in at_hand.items():
        if await _opens(at, EncryptedKeyStore(kek)):
            raise ConfigurationError(
                f"{source} opens the keys in the store, so it is not lost; to change it, leave out"
                " --lost, and give it with --kek-file"
            )
    row = await _in_force(at)
    if row is not None and row.key is None and not force:
        raise ConfigurationError(
            f"the root is in force, and {Kept.OFFLINE.value}; but the key of the CA's own certificate"
            " is lost, and the CA can't wait for another: --force gives the offline root up for one"
            " of the CA's own"
        )
    return await new_root(at, EncryptedKeyStore(new()), force=True)


async def _opens(at: Stopped, keys: EncryptedKeyStore) -> bool:
    """Whether its key-encryption key opens any of the stored ones."""
    for _, key in await at.store.read(authority_rows.with_key):
        try:
            keys.load(key)
        except KeyEncryptionError:
            continue
        return True
    return False


async def _in_force(at: Stopped) -> AuthorityRow | None:
    """The root that is in force."""
    now = at.clock.now()
    for row in await _announced(at):
        if row.owner == ROOT and row.state is State.ACTIVE and row.not_after > now:
            return row
    return None


async def _kept(at: Stopped, root: AuthorityRow, keys: EncryptedKeyStore) -> Kept:
    if root.key is None:
        return Kept.OFFLINE
    try:
        keys.load(root.key)
    except KeyEncryptionError:
        return Kept.DAMAGED if await _opens(at, keys) else Kept.SHUT
    return Kept.HERE


async def _give_up(at: Stopped, owner: str | None) -> int:
    now = at.clock.now()
    return await at.store.exclusive(lambda c: authority_rows.give_up(c, owner, now))


async def _announced(at: Stopped) -> list[AuthorityRow]:
    return await at.store.read(authority_rows.announced)
