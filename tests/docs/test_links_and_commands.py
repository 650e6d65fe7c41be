"""Every link inside the project leads somewhere, and every command that is named exists with its flags."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from documented import blocks
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
    *(
        path
        for part in ("common", "ca", "sidecar", "operator")
        for path in sorted((ROOT / part).rglob("*.py"))
    ),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
IN_QUOTES = re.compile(r"`(featward [^`\n]+)`")
ALONE = re.compile(r"^\s*(featward [^\n]+)$", re.MULTILINE)
INDENTED = re.compile(r"^ {4}(featward [^\n]+)$", re.MULTILINE)


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


def commands(file: Path) -> Iterator[list[str]]:
    """The words after `featward`: in backquotes anywhere, on lines of their own in the blocks of a page."""
    text = file.read_text("utf-8").replace("\\\n", " ")
    found = IN_QUOTES.findall(text)
    if file.suffix == ".md":
        found += INDENTED.findall(text)
        for block in blocks(file):
            if block.language == "sh":
                found += ALONE.findall(block.text.replace("\\\n", " "))
    for command in found:
        alone = re.split(r"[|>;&]| #", command)[0]
        yield alone.replace("'", " ").split()[1:]


@pytest.mark.parametrize("text", TEXTS, ids=name)
def test_every_command_that_is_named_exists_with_its_flags(text: Path) -> None:
    for words in commands(text):
        found, path = get_command(build()), "featward"
        while (inner := getattr(found, "commands", {})) and words:
            if not re.fullmatch(r"[a-z][a-z-]*", words[0]):
                break  # `featward …` and the like
            assert words[0] in inner, f"`{path} {words[0]}` is no command"
            found, path, words = inner[words[0]], f"{path} {words[0]}", words[1:]
        flags = {option for parameter in found.params for option in parameter.opts} | {"--help"}
        for word in words:
            flag = word.partition("=")[0].rstrip(".,…")
            if re.fullmatch(r"--?[a-z][a-z-]*", flag):
                assert flag in flags, f"`{path}` has no {flag}"


def test_the_page_of_the_sidecar_has_the_keys_of_the_code() -> None:
    page = (ROOT / "docs" / "sidecar.md").read_text("utf-8")
    assert page == renewed(page), "run make docs"
