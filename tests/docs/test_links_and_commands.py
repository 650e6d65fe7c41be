"""Every link inside the project leads somewhere, and every command that is named exists with its flags."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from typer.main import get_command

from featward.cli.root import build
from featward_sidecar.reference import renewed

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "bench" / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
# What people read besides the pages and may copy a command from.
TEXTS = [
    *PAGES,
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("common/featward/manifests/starter/*.yaml")),
    *sorted(ROOT.glob("examples/**/*.yaml")),
    *sorted(ROOT.glob("demo/featward_demo/manifests/**/*.yaml")),
    ROOT / "engine" / "proxy" / "src" / "refusal.rs",
    *(path for part in ("common", "ca", "sidecar") for path in sorted((ROOT / part).rglob("*.py"))),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
# In backquotes, or a line of its own in a block; the words up to what is no word of a command.
COMMAND = re.compile(r"`(featward [^`\n]+)`|^\s*(featward [a-z][^\n]*)$", re.MULTILINE)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, heading = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link} leads nowhere"
        assert not heading or heading in headings(file), f"{link} names no heading"


def headings(page: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in found}


def commands(text: str) -> Iterator[list[str]]:
    for in_quotes, alone in COMMAND.findall(text.replace("\\\n", " ")):
        command = re.split(r"[|>;&]| #|\s{3,}", in_quotes or alone)[0]
        try:
            yield shlex.split(command)[1:]
        except ValueError:  # prose with an apostrophe
            yield command.split()[1:]


@pytest.mark.parametrize("text", TEXTS, ids=name)
def test_every_command_that_is_named_exists_with_its_flags(text: Path) -> None:
    for words in commands(text.read_text("utf-8")):
        found: click.Command = get_command(build())
        path = "featward"
        while isinstance(found, click.Group) and words and re.fullmatch(r"[a-z-]+", words[0]):
            inner = found.get_command(click.Context(found), words[0])
            assert inner is not None, f"`{path} {words[0]}` is no command"
            found, path, words = inner, f"{path} {words[0]}", words[1:]
        flags = {option for parameter in found.params for option in parameter.opts} | {"--help"}
        for word in words:
            flag = word.partition("=")[0].rstrip(".,…")
            if re.fullmatch(r"--?[a-z][a-z-]*", flag):
                assert flag in flags, f"`{path}` has no {flag}"


def test_the_page_of_the_sidecar_has_the_keys_of_the_code() -> None:
    page = (ROOT / "docs" / "sidecar.md").read_text("utf-8")
    assert page == renewed(page), "run make docs"
