"""The pages for whoever runs the CA: every command in them is run, in their order, on real programs."""

import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import postgres_kit
from ca_fixtures import postgresql
from documented import Reader, blocks
from featward_demo.ports import ports

__all__ = ["postgresql"]

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"
SECONDS = 300
# After the third step of install.md: one workload with a sidecar, which stays connected.
CLIENT = """
```sh
umask 077
featward ca token create --workload prod.payments/pricing-api --data ca > pricing-api.token
```

```yaml file=pricing-api.yaml
workload: prod.payments/pricing-api
manifests: ./manifests
ca: 127.0.0.1:8443
joinTokenFile: ./pricing-api.token
workloadSocket: ./pricing-api.sock
health: none
```

```sh terminal
featward sidecar run --config pricing-api.yaml
```

```text
…identity issued…
```

```sh eventually
featward ca clients --data ca
```

```text
...
1 of 1 clients
```
"""
Follow = Callable[[str], Reader]
# Those whose commands have two words.
GROUPS = {"authority", "ban", "ceremony", "namespace", "recover", "token"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder; pytest's own may be too deep for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="featward-docs-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TERM": "dumb",
        "COLUMNS": "200",
    }


@pytest.fixture
def follow(folder: Path, environment: dict[str, str]) -> Iterator[Follow]:
    """Somebody who reads a page in that folder, and closes its terminals at the end."""
    readers = []
    free = ports(None)

    def read(page: str) -> Reader:
        readers.append(Reader(OPERATIONS / page, folder, free, environment))
        return readers[-1]

    yield read
    for reader in reversed(readers):
        reader.stop()


@pytest.fixture
def standing(folder: Path, follow: Follow) -> Reader:
    """A CA as install.md makes it, in `ca/`, with one connected client."""
    reader = follow(_page(folder, page_text("install.md").partition("## 4.")[0], CLIENT))
    reader.follow()
    return reader


def page_text(name: str) -> str:
    return (OPERATIONS / name).read_text("utf-8")


def _page(folder: Path, *texts: str) -> str:
    """A page made of others."""
    page = folder / "page.md"
    page.write_text("\n".join(texts))
    return str(page)


@pytest.mark.timeout(SECONDS)
def test_the_ca_is_installed_backed_up_and_restored_as_the_pages_say_on_postgresql_too(
    folder: Path, environment: dict[str, str], follow: Follow, postgresql: postgres_kit.Server
) -> None:
    environment |= {"PGHOST": str(postgresql.folder), "PGUSER": "postgres"}
    page = _page(folder, page_text("install.md"), page_text("restore.md"))
    try:
        assert follow(page).follow() >= 20
    finally:
        for name in ("featward_prod", "featward_restored"):
            postgresql.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.mark.timeout(SECONDS)
@pytest.mark.usefixtures("standing")
def test_authorities_and_the_root_are_rotated_as_the_page_says(follow: Follow) -> None:
    assert follow("rotate.md").follow() >= 16


@pytest.mark.timeout(SECONDS)
@pytest.mark.usefixtures("standing")
def test_the_root_is_kept_offline_as_the_page_says(follow: Follow) -> None:
    assert follow("ceremony.md").follow() >= 9


@pytest.mark.timeout(SECONDS)
def test_a_compromise_is_answered_as_the_page_says(standing: Reader, follow: Follow) -> None:
    reader = follow("compromise.md")
    reader.put_port("8443", standing.port("8443"))
    assert reader.follow() >= 11


def _named(text: str) -> set[str]:
    """The commands of the CA in a text, and each of their options: `ca status`, `ca status --output`."""
    found = set()
    for line in re.findall(r"featward ca [^\n`|&;()]+", text):
        words = line.split()[1:]
        path = words[: 3 if words[1] in GROUPS else 2]
        found |= {" ".join(path)}
        found |= {" ".join([*path, word]) for word in words if word.startswith("--")}
    return found


def test_what_the_pages_name_in_passing_is_run_too() -> None:
    """By a block of one of them; the table of recover.md has a test of its own."""
    pages = sorted(OPERATIONS.glob("*.md"))
    run = {
        part
        for page in pages
        for b in blocks(page)
        if b.language == "sh"
        for part in _named(b.text)
    }
    table = [line for line in page_text("recover.md").splitlines() if line.startswith("|")]
    run |= {part for line in table for part in _named(line)}
    said = {
        part
        for page in pages
        for quoted in re.findall(r"`(featward ca [^`\n]+)`", page.read_text("utf-8"))
        for part in _named(quoted)
    }
    assert len(said) > 20
    assert not said - run


def _with_expired_root(folder: Path) -> None:
    store = sqlite3.connect(folder / "ca" / "ca.sqlite3")
    with store:
        store.execute("UPDATE authority SET not_after = 1700000000 WHERE owner = 'root'")
    store.close()


def _without_root_key(folder: Path) -> None:
    store = sqlite3.connect(folder / "ca" / "ca.sqlite3")
    with store:
        store.execute("UPDATE authority SET key = spki_sha256 WHERE owner = 'root'")
    store.close()


def _without_store(folder: Path) -> None:
    (folder / "ca" / "ca.sqlite3").unlink()


# What has happened to whom a line of recover.md helps.
LOST = {
    "root --data": _with_expired_root,
    "root --force": _without_root_key,
    "store --environment": _without_store,
}


@pytest.mark.timeout(SECONDS)
def test_each_command_of_recovery_gets_the_ca_going_again(
    standing: Reader, folder: Path, follow: Follow
) -> None:
    standing.stop()
    table = [line for line in page_text("recover.md").splitlines() if line.startswith("|")]
    commands = [
        found for line in table for found in re.findall(r"`(featward ca recover [^`]+)`", line)
    ]
    assert len(commands) == 8
    kept = ("ca", "ca.kek", "manifests")
    (folder / "kept").mkdir()
    for name in kept:
        shutil.move(folder / name, folder / "kept" / name)
    for command in commands:
        for name in kept:
            shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(folder / "kept", folder, dirs_exist_ok=True)
        for old in folder.glob("new.kek"):
            old.unlink()
        LOST.get(" ".join(command.split()[3:5]), lambda _: None)(folder)
        kek = "new.kek" if "new.kek" in command else "ca.kek"
        serve = (
            f"featward ca serve --environment prod --manifests manifests --data ca --kek-file {kek}"
            " --listen 127.0.0.1:8443 --health 127.0.0.1:8080"
        )
        text = f"```sh\n{command}\n```\n\n```sh terminal\n{serve}\n```\n\n```text\n...\nthe CA is ready\n```\n"
        reader = follow(_page(folder, text))
        assert reader.follow() == 2, command
        reader.stop()
