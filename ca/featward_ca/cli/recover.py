"""`featward ca recover …`: for a CA that does not start, or that nobody accepts any more."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console
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
        Path | None, typer.Option(help="The old one. Without it: it is lost, and all keys with it.")
    ] = None,
    store: StoreOption = None,
    tokens: TokensOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Change the key-encryption key, or begin with a new root if it is lost."""
    from featward_ca.keys import key_encryption_key
    from featward_ca.recover import change_kek, lost_kek

    old = key_encryption_key(kek_file, data, first_start=False)[0] if kek_file else None
    new, _ = key_encryption_key(new_kek_file, data, first_start=True)

    async def run(at: "Stopped") -> list[str]:
        return await (change_kek(at, old, new) if old else lost_kek(at, new))

    _perform(data, store, tokens, output, run)


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
    output: OutputOption = Output.TABLE,
) -> None:
    """Begin anew with a new root, because the state is lost and there is no backup."""
    from featward_ca.clock import SystemClock
    from featward_ca.keys import key_encryption_key
    from featward_ca.manifests import read_directory
    from featward_ca.recover import new_store as run
    from featward_ca.situation import Situation

    directory = read_directory(manifests, environment)
    situation = Situation.of(directory, unsafe_short_lives=unsafe_short_lives)
    kek, _ = key_encryption_key(kek_file, data, first_start=True)
    before = _files(tokens)
    said = asyncio.run(run(data, store, kek, situation, SystemClock(), tokens))
    _say(said, _files(tokens) - before, output)


def _perform(
    data: Path,
    store: str | None,
    tokens: Path | None,
    output: Output,
    work: "Callable[[Stopped], Awaitable[list[str]]]",
) -> None:
    from featward_ca.clock import SystemClock
    from featward_ca.recover import write_tokens
    from featward_ca.stopped import stopped

    async def run() -> list[str]:
        async with stopped(data, store, SystemClock()) as at:
            said = await work(at)
            return said + (await write_tokens(at, tokens) if tokens else [])

    before = _files(tokens)
    said = asyncio.run(run())
    _say(said, _files(tokens) - before, output)


def _keys(kek_file: Path | None, data: Path) -> "EncryptedKeyStore":
    from featward_ca.keys import EncryptedKeyStore, key_encryption_key

    return EncryptedKeyStore(key_encryption_key(kek_file, data, first_start=False)[0])


def _files(folder: Path | None) -> set[Path]:
    """What is there; of what is made, nothing is written over."""
    return set(folder.iterdir()) if folder and folder.is_dir() else set()


def _say(lines: list[str], tokens: set[Path], output: Output) -> None:
    """For programs also the files of the new join tokens."""
    if output is Output.JSON:
        print_json({"said": lines, "tokens": sorted(map(str, tokens))})
    else:
        console.print("\n".join(lines), highlight=False, soft_wrap=True)
