"""`featward ca recover`: what to do when a certificate has expired, a key is lost or the store is gone.

All of it works without a running CA and on expired inputs. It gives up what can't be used any more
and makes the one thing that the next start can't make by itself, the root; the next start makes the
rest. What is given up stays announced until its end, so that what still works goes on working.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from featward.identity.join_token import SECRET_BYTES, JoinToken
from featward_ca.clock import Clock
from featward_ca.core import Core, lock_data
from featward_ca.errors import ConfigurationError, KeyEncryptionError, NoAuthorityError
from featward_ca.halt import Halt
from featward_ca.issuance import Issuance, Signer
from featward_ca.keys import EncryptedKeyStore, reencrypted
from featward_ca.metrics import Metrics
from featward_ca.recorded import RecordedIssuance
from featward_ca.restore import move_aside
from featward_ca.rotation import actions
from featward_ca.rotation.carry_out import By, CarryOut
from featward_ca.rotation.known import PLATFORM, ROOT
from featward_ca.rotation.plan import Terms
from featward_ca.settings import (
    DAY,
    HOUR,
    Lifetimes,
    embedded_file,
    embedded_store,
    reattest_grace,
)
from featward_ca.situation import Situation
from featward_ca.stopped import Stopped
from featward_ca.store import authority_rows, svids, tokens
from featward_ca.store.authority_rows import AuthorityRow, State
from featward_ca.store.engines import open_store
from featward_ca.store.store import Connection, Store

# Recovery takes longer than a first start, and the tokens are handed to many.
TOKEN_LIFETIME = DAY


async def new_root(at: Stopped, keys: EncryptedKeyStore, *, force: bool) -> list[str]:
    """A root in the place of one that is over or whose key is lost. Raises ConfigurationError for
    one that is in force, unless forced.
    """
    if not force and (reason := await _in_force(at, keys)):
        raise ConfigurationError(reason)
    await _give_up(at, None)
    made = await _make_root(at, keys)
    await at.note("recover", "a new root; all authorities before it were given up")
    return [
        f"a new root was made: {_digest(made.der).hex()} (SHA-256)",
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
    ConfigurationError.
    """
    if owner == ROOT:
        raise ConfigurationError("the root is replaced by featward ca recover root")
    if not await _in_force(at, keys):
        raise ConfigurationError(
            "the root that would sign a new authority is over or its key is lost: featward ca"
            " recover root"
        )
    if not await _give_up(at, owner):
        raise ConfigurationError(f"there is no authority of {owner}; the manifests name the owners")
    await at.note("recover", f"the authorities of {owner} were given up")
    return [
        f"start the CA; it makes a new authority for {owner}, and every workload gets a new"
        " certificate at its next renewal"
    ]


async def serving(at: Stopped, keys: EncryptedKeyStore) -> list[str]:
    """The same for the authority that the CA's own certificate is from."""
    return await new_authority(at, keys, PLATFORM)


async def change_kek(at: Stopped, old: bytes, new: bytes) -> list[str]:
    """Encrypt all keys under another key-encryption key. Raises KeyEncryptionError."""

    def work(connection: Connection) -> int:
        rows = authority_rows.with_key(connection)
        for name, key in rows:
            authority_rows.keep_key(connection, name, reencrypted(key, old, new))
        return len(rows)

    count = await at.store.exclusive(work)
    await at.note("recover", "all keys were encrypted under another key-encryption key")
    return [f"{count} keys are encrypted under the new key-encryption key; start the CA with it"]


async def lost_kek(at: Stopped, new: bytes) -> list[str]:
    """Begin with new keys, because nothing opens the old ones."""
    return await new_root(at, EncryptedKeyStore(new), force=True)


async def write_tokens(at: Stopped, folder: Path) -> list[str]:
    """A join token for each client that came by one and was there lately; a file each."""
    root = next(
        (row for row in await _announced(at) if row.owner == ROOT and row.state is State.ACTIVE),
        None,
    )
    if root is None:
        raise ConfigurationError("there is no root to make tokens for: featward ca recover root")
    ended = await at.store.read(svids.last_end)
    # The manifests are not read here: what lives longest says which grace they had.
    grace = reattest_grace(await at.store.read(svids.longest_life))
    since = min(at.clock.now(), ended or 0) - grace
    clients = await at.store.read(lambda c: svids.by_join_token(c, since))
    return await _tokens(
        at.store, at.clock, at.trust_domain, root.der, [one.workload for one in clients], folder
    )


async def new_store(
    data: Path,
    address: str | None,
    kek: bytes,
    situation: Situation,
    clock: Clock,
    folder: Path | None,
) -> list[str]:
    """Begin anew, because the store is lost and there is no backup. Raises ConfigurationError or
    StoreError.
    """
    lock = lock_data(data)
    try:
        said = []
        if address is None and embedded_file(data).exists():
            said.append(f"what was there is now {move_aside(embedded_file(data))}")
        store = open_store(address or embedded_store(data))
        if await store.read(authority_rows.any_made):
            store.close()
            raise ConfigurationError("that database holds a store; give an empty one")
        core = await Core.open(store, EncryptedKeyStore(kek), situation, clock)
        try:
            said.append("a new root and new authorities were made; start the CA")
            directory = situation.directory
            if folder:
                names = [one.name for one in directory.workloads.values() if one.unix_user is None]
                der = core.authorities.root.row.der
                said += await _tokens(store, clock, directory.trust_domain, der, names, folder)
        finally:
            await core.close()
        return said
    finally:
        os.close(lock)


async def _in_force(at: Stopped, keys: EncryptedKeyStore) -> str | None:
    """Why the root needs no replacement, or None if it does."""
    for row in await _announced(at):
        if row.owner == ROOT and row.state is State.ACTIVE and row.not_after > at.clock.now():
            try:
                keys.load(row.key or b"")
            except KeyEncryptionError:
                return None
            day = time.strftime("%Y-%m-%d", time.gmtime(row.not_after))
            return (
                f"the root is in force until {day}, and the key-encryption key opens it; --force"
                " replaces it all the same"
            )
    return None


async def _give_up(at: Stopped, owner: str | None) -> int:
    now = at.clock.now()
    return await at.store.exclusive(lambda c: authority_rows.give_up(c, owner, now))


async def _announced(at: Stopped) -> list[AuthorityRow]:
    return await at.store.read(authority_rows.announced)


async def _tokens(
    store: Store,
    clock: Clock,
    trust_domain: str,
    root: bytes,
    workloads: Sequence[str],
    folder: Path,
) -> list[str]:
    now = clock.now()
    made = [
        (name, JoinToken(trust_domain, _digest(root), secrets.token_bytes(SECRET_BYTES)))
        for name in workloads
    ]

    def work(connection: Connection) -> None:
        for name, token in made:
            tokens.add(connection, token.secret, name, token.root_sha256, now, now + TOKEN_LIFETIME)

    await store.run(work)
    files = _write_tokens(folder, made)
    return [f"{len(files)} join tokens, good for a day, each for one workload once: {folder}"]


def _write_tokens(folder: Path, made: Sequence[tuple[str, JoinToken]]) -> list[Path]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = []
        for name, token in made:
            file = _free(folder, name.replace("/", "."))
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write(f"{token}\n")
            files.append(file)
    except OSError as error:
        raise ConfigurationError(
            f"tokens can't be written to {folder}: {error.strerror}"
        ) from error
    return files


def _free(folder: Path, name: str) -> Path:
    number, file = 1, folder / f"{name}.token"
    while file.exists():
        number, file = number + 1, folder / f"{name}.{number + 1}.token"
    return file


def _digest(der: bytes) -> bytes:
    return hashlib.sha256(der).digest()
