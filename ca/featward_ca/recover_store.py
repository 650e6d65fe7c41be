"""`featward ca recover store`: begin anew in the place of a store that is lost, never of a sound one
unasked.
"""

import os
from collections.abc import Callable
from pathlib import Path

from featward_ca.clock import Clock
from featward_ca.core import Core, lock_data
from featward_ca.errors import ConfigurationError, StoreError
from featward_ca.keys import EncryptedKeyStore
from featward_ca.recover_tokens import check_folder, make_tokens
from featward_ca.restore import move_aside
from featward_ca.settings import embedded_file, embedded_store
from featward_ca.situation import Situation
from featward_ca.store import authority_rows, copy
from featward_ca.store.engines import open_store


async def new_store(
    data: Path,
    address: str | None,
    kek: Callable[[], bytes],
    situation: Situation,
    clock: Clock,
    folder: Path | None,
    said: list[str],
    *,
    replace: bool,
) -> None:
    """Begin anew, because the store is lost and there is no backup; `said` grows with what is done.
    Raises ConfigurationError or StoreError.
    """
    lock = lock_data(data)
    try:
        file = embedded_file(data)
        if address is None and not replace:
            _check_lost(file)
        if folder:
            check_folder(folder)
        if address is None and file.exists():
            # First, for what is there must not go for a key that can't be used.
            kek()
            said.append(f"what was there is now {move_aside(file)}")
        store = open_store(address or embedded_store(data))
        if await store.read(authority_rows.any_made):
            store.close()
            raise ConfigurationError("that database holds a store; give an empty one")
        core = await Core.open(store, EncryptedKeyStore(kek()), situation, clock)
        try:
            said.append("a new root and new authorities were made; start the CA")
            directory = situation.directory
            if folder:
                names = [one.name for one in directory.workloads.values() if one.unix_user is None]
                der = core.authorities.root.row.der
                said += await make_tokens(store, clock, directory.trust_domain, der, names, folder)
        finally:
            await core.close()
    finally:
        os.close(lock)


def _check_lost(file: Path) -> None:
    """Raise ConfigurationError for a store that is there and sound."""
    if not file.exists():
        return
    try:
        copy.check(file)
    except StoreError:
        return
    raise ConfigurationError(
        f"the store {file} is sound, and everybody who knows its root would have to enrol anew; the"
        " other commands of featward ca recover keep it, and --replace moves it aside all the same"
    )
