"""`featward ca backup` and `featward ca restore`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console, fail
from featward.cli.output import Output, OutputOption, print_json
from featward_ca.cli.connection import admin
from featward_ca.cli.options import AdminOption, DataOption, KekOption, StoreOption, WhereOption
from featward_ca.plurals import counted

if TYPE_CHECKING:
    from featward_ca.restore import Restored

_LONG = 600.0


def backup(
    to: Annotated[Path, typer.Option(help="The file to write; it must not be there yet.")],
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    store: StoreOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Copy the CA's state to a file, whether the CA is running or not. The key-encryption key is
    not in it.
    """
    if store is not None:
        fail(postgresqls_own(store, to))
    made = _offline(data, to) if data is not None else None
    made = made or _asked(data, admin_socket, to)
    if output is Output.JSON:
        import json

        typer.echo(json.dumps({"file": str(to), **made}))
    else:
        console.print(
            f"{to}: {made['bytes']} bytes, trust sequence {made['sequence']}, SHA-256"
            f" {made['sha256']}\nkeep it with a copy of the key-encryption key, apart from each"
            " other",
            highlight=False,
            soft_wrap=True,
        )


def restore(
    data: DataOption,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="What featward ca backup has written. Without it: --store names a database that"
            " pg_restore has filled."
        ),
    ] = None,
    kek_file: KekOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move the store that is there aside.")
    ] = False,
    store: StoreOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Put a backup in the place of the CA's state. Stop the CA, and all replicas, first."""
    from featward_ca.clock import SystemClock
    from featward_ca.restore import adopt
    from featward_ca.restore import restore as run

    if file is not None and store is None:
        done = run(file, data, _kek(kek_file, data), SystemClock(), replace=replace)
    elif file is None and store is not None:
        done = adopt(store, data, _kek(kek_file, data), SystemClock())
    else:
        raise typer.BadParameter(
            "name either a file of featward ca backup, or with --store the database that pg_restore"
            " has filled"
        )
    if output is Output.JSON:
        print_json(vars(done) | {"aside": done.aside and str(done.aside)})
        return
    console.print("\n".join(_said(done, store)), highlight=False, soft_wrap=True)


def _kek(kek_file: Path | None, data: Path) -> bytes:
    from featward_ca.keys import key_encryption_key

    return key_encryption_key(kek_file, data, first_start=False)[0]


def _said(done: "Restored", store: str | None) -> Iterator[str]:
    yield f"restored; the trust sequence goes on from {done.sequence}"
    if done.aside:
        yield f"the store before is now {done.aside}; delete it when all is well"
    if done.lost or store:
        why = f"could not be read ({done.lost})" if done.lost else "was not looked at"
        yield (
            f"the store before {why}, so what was banned or revoked since the backup is not known"
            " here: do that again"
        )
    if done.join_token_clients:
        yield (
            f"{counted(done.join_token_clients, 'client')} came by join token; those that renewed since the"
            " backup need a new one each: featward ca recover tokens"
        )


def _offline(data: Path, to: Path) -> dict[str, int | str] | None:
    """Without the CA, if none is running."""
    from featward_ca.core import lock_data
    from featward_ca.errors import ConfigurationError
    from featward_ca.settings import embedded_file
    from featward_ca.store.copy import copy

    if not embedded_file(data).exists():
        return None
    try:
        lock = lock_data(data)
    except ConfigurationError:
        return None
    try:
        made = copy(embedded_file(data), to)
    finally:
        os.close(lock)
    return {"bytes": made.bytes, "sequence": made.sequence, "sha256": made.sha256}


def _asked(data: Path | None, admin_socket: Path | None, to: Path) -> dict[str, int | str]:
    from featward.authority.v1 import authority_pb2

    with admin(data, admin_socket) as stub:
        answer = stub.Backup(authority_pb2.BackupRequest(path=str(to.absolute())), timeout=_LONG)
    return {"bytes": answer.bytes, "sequence": answer.sequence, "sha256": answer.sha256}


def postgresqls_own(store: str, to: Path) -> str:
    """What to run instead. For libpq, which knows no drivers; without the password, which it reads
    from elsewhere.
    """
    import re
    import shlex

    address = re.sub(r"^postgresql\+\w+:", "postgresql:", store)
    address = re.sub(r"(//[^:/@]*):[^@]*@", r"\1@", address)
    file, database = shlex.quote(str(to)), shlex.quote(address)
    return (
        "the state is in PostgreSQL; back it up with its own program: pg_dump --format=custom --file"
        f" {file} {database}\nto restore it, stop all replicas, fill an empty database: pg_restore"
        f" --no-owner --exit-on-error --single-transaction --dbname DATABASE {file}, and then run"
        " featward ca restore --store DATABASE --data FOLDER --kek-file FILE before the first CA"
        " starts, because sidecars refuse trust that is older than what they have seen"
    )
