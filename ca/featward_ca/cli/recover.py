"""`featward ca recover …`: for a CA that does not start, or that nobody accepts any more."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console, errors
from featward.cli.output import Output, OutputOption, print_json
from featward_ca.cli.options import DataOption, KekOption, StoreOption

if TYPE_CHECKING:
    from featward_ca.keys import EncryptedKeyStore
    from featward_ca.stopped import Stopped

app = typer.Typer(
    no_args_is_help=True,
    help="Get a CA going again that does not start, or that nobody accepts. Stop it first.",
)
TokensOption = Annotated[
    Path | None,
    typer.Option(
        "--tokens", help="A folder for a new join token for each workload that came by one."
    ),
]


@app.command("root")
def root(
    data: DataOption,
    kek_file: KekOption = None,
    store: StoreOption = None,
    tokens: TokensOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if the root is in force: everybody has to enrol.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a new root, in the place of one that has expired or whose key is lost."""
    from featward_ca.recover import new_root

    keys = _keys(kek_file, data)
    _perform(data, store, tokens, output, lambda at: new_root(at, keys, force=force))


@app.command("authority")
def authority(
    owner: Annotated[str, typer.Argument(help="Whose: prod.payments, or platform.")],
    data: DataOption,
    kek_file: KekOption = None,
    store: StoreOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give up the authorities of an owner; the next start makes a new one."""
    from featward_ca.recover import new_authority

    keys = _keys(kek_file, data)
    _perform(data, store, None, output, lambda at: new_authority(at, keys, owner))


@app.command("serving")
def serving(
    data: DataOption,
    kek_file: KekOption = None,
    store: StoreOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """The same for the authority that the CA's own certificate is from."""
    from featward_ca.recover import serving as run

    keys = _keys(kek_file, data)
    _perform(data, store, None, output, lambda at: run(at, keys))


@app.command("kek")
def kek(
    data: DataOption,
    new_kek_file: Annotated[
        Path, typer.Option(help="The new key-encryption key; made if it is not there.")
    ],
    kek_file: Annotated[
        Path | None,
        typer.Option(
            "--kek-file", help="The old one. Without it FEATWARD_CA_KEK holds the old one."
        ),
    ] = None,
    store: StoreOption = None,
    tokens: TokensOption = None,
    lost: Annotated[
        bool,
        typer.Option("--lost", help="The old one is lost, and all keys with it: make a new root."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --lost: give up an offline root too.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Change the key-encryption key or, if it is lost, begin with a new root."""
    from featward_ca.keys import KEK_VARIABLE, key_encryption_key
    from featward_ca.recover import change_kek, lost_kek

    at_hand = _at_hand(kek_file, new_kek_file, data)
    old = at_hand.get(str(kek_file) if kek_file else KEK_VARIABLE)
    if not lost and old is None:
        raise typer.BadParameter(
            "there is no old key-encryption key: name its file, or set FEATWARD_CA_KEK; if it is lost"
            " for good, and all keys with it: --lost",
            param_hint="--kek-file",
        )

    def new() -> bytes:
        return key_encryption_key(new_kek_file, data, first_start=True)[0]

    async def run(at: "Stopped") -> list[str]:
        if lost or old is None:
            return await lost_kek(at, at_hand, new, force=force)
        return await change_kek(at, old, new)

    _perform(data, store, tokens, output, run)


def _at_hand(kek_file: Path | None, new: Path, data: Path) -> dict[str, bytes]:
    """The key-encryption keys that are there, by where they are."""
    import os

    from featward_ca.keys import KEK_VARIABLE, key_encryption_key

    found = {}
    if kek_file is not None:
        found[str(kek_file)] = key_encryption_key(kek_file, data, first_start=False)[0]
    if os.environ.get(KEK_VARIABLE, "").strip():
        found[KEK_VARIABLE] = key_encryption_key(None, data, first_start=False)[0]
    if new.exists():
        found.setdefault(str(new), key_encryption_key(new, data, first_start=False)[0])
    return found


@app.command("tokens")
def tokens(
    data: DataOption,
    folder: Annotated[Path, typer.Option("--tokens", help="The folder to write them to.")],
    store: StoreOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write a join token for each workload that came by one, as after a restore."""

    async def nothing(_: "Stopped") -> list[str]:
        return []

    _perform(data, store, folder, output, nothing)


@app.command("store")
def new_store(
    data: DataOption,
    environment: Annotated[str, typer.Option(help="The name of an Environment in the manifests.")],
    manifests: Annotated[Path, typer.Option(help="The folder of manifests.")],
    kek_file: KekOption = None,
    store: StoreOption = None,
    tokens: TokensOption = None,
    unsafe_short_lives: Annotated[
        bool,
        typer.Option("--unsafe-short-lives", help="Allow lifetimes of seconds. For tests only."),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Even if a sound store is there: move it aside.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Begin anew with a new root, because the state is lost and there is no backup."""
    from featward_ca.clock import SystemClock
    from featward_ca.keys import key_encryption_key
    from featward_ca.manifests import read_directory
    from featward_ca.recover_store import new_store as run
    from featward_ca.situation import Situation

    directory = read_directory(manifests, environment)
    situation = Situation.of(directory, unsafe_short_lives=unsafe_short_lives)

    def kek() -> bytes:
        return key_encryption_key(kek_file, data, first_start=True)[0]

    with _saying(tokens, output) as said:
        clock = SystemClock()
        asyncio.run(run(data, store, kek, situation, clock, tokens, said, replace=replace))


def _perform(
    data: Path,
    store: str | None,
    tokens: Path | None,
    output: Output,
    work: "Callable[[Stopped], Awaitable[list[str]]]",
) -> None:
    from featward_ca.clock import SystemClock
    from featward_ca.recover_tokens import check_folder, write_tokens
    from featward_ca.stopped import stopped

    async def run(said: list[str]) -> None:
        async with stopped(data, store, SystemClock()) as at:
            if at.interrupted:
                errors.print(
                    "signatures and changes that the CA had begun when it was stopped, and that are"
                    f" closed as interrupted: {at.interrupted}"
                )
            if tokens:
                check_folder(tokens)
            said += await work(at)
            if tokens:
                said += await write_tokens(at, tokens)

    with _saying(tokens, output) as said:
        asyncio.run(run(said))


def _keys(kek_file: Path | None, data: Path) -> "EncryptedKeyStore":
    from featward_ca.keys import EncryptedKeyStore, key_encryption_key

    return EncryptedKeyStore(key_encryption_key(kek_file, data, first_start=False)[0])


def _files(folder: Path | None) -> set[Path]:
    """What is there; of what is made, nothing is written over."""
    return set(folder.iterdir()) if folder and folder.is_dir() else set()


@contextlib.contextmanager
def _saying(tokens: Path | None, output: Output) -> Iterator[list[str]]:
    """A list for what is done, which is printed also where something after it fails: nobody should
    do again what was done. For programs with the files of the new join tokens.
    """
    said: list[str] = []
    before = _files(tokens)
    try:
        yield said
    finally:
        if said and output is Output.JSON:
            print_json({"said": said, "tokens": sorted(map(str, _files(tokens) - before))})
        elif said:
            console.print("\n".join(said), highlight=False, soft_wrap=True)
