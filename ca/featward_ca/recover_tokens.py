"""New join tokens for workloads that came by one and can't come back by themselves, a file each."""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

from featward.identity.join_token import SECRET_BYTES, JoinToken
from featward_ca.clock import Clock
from featward_ca.errors import ConfigurationError
from featward_ca.rotation.known import ROOT
from featward_ca.settings import DAY, reattest_grace
from featward_ca.stopped import Stopped
from featward_ca.store import authority_rows, svids, tokens
from featward_ca.store.authority_rows import State
from featward_ca.store.store import Connection, Store

# Recovery takes longer than a first start, and the tokens are handed to many.
TOKEN_LIFETIME = DAY


def check_folder(folder: Path) -> None:
    """Raise ConfigurationError for one that no token can be written to: what is recovered can't be
    taken back, so this is asked first. Nothing is left behind.
    """
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise _not_written(folder, error) from error


async def write_tokens(at: Stopped, folder: Path) -> list[str]:
    """A join token for each client that came by one and was there lately; a file each."""
    announced = await at.store.read(authority_rows.announced)
    root = next(
        (row for row in announced if row.owner == ROOT and row.state is State.ACTIVE),
        None,
    )
    if root is None:
        raise ConfigurationError("there is no root to make tokens for: featward ca recover root")
    ended = await at.store.read(svids.last_end)
    # The manifests are not read here: what lives longest says which grace they had.
    grace = reattest_grace(await at.store.read(svids.longest_life))
    since = min(at.clock.now(), ended or 0) - grace
    clients = await at.store.read(lambda c: svids.by_join_token(c, since))
    return await make_tokens(
        at.store, at.clock, at.trust_domain, root.der, [one.workload for one in clients], folder
    )


async def make_tokens(
    store: Store,
    clock: Clock,
    trust_domain: str,
    root: bytes,
    workloads: Sequence[str],
    folder: Path,
) -> list[str]:
    """A token for each of these workloads, for which this root (DER) proves the CA. Raises
    ConfigurationError.
    """
    now = clock.now()
    made = [
        (
            name,
            JoinToken(
                trust_domain, hashlib.sha256(root).digest(), secrets.token_bytes(SECRET_BYTES)
            ),
        )
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
        raise _not_written(folder, error) from error
    return files


def _not_written(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"tokens can't be written to {folder}: {error.strerror}; name a folder, here or with featward"
        " ca recover tokens"
    )


def _free(folder: Path, name: str) -> Path:
    number, file = 1, folder / f"{name}.token"
    while file.exists():
        number, file = number + 1, folder / f"{name}.{number + 1}.token"
    return file
