"""docs/kubectl.md names what there is: every command and flag, every state and reason of the code."""

import re
from pathlib import Path
from typing import get_args

import pytest
from typer.main import get_command

from featward.kubectl.command import app
from featward.kubectl.exposure import State
from featward_operator.vocabulary import QUESTIONS, Type

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "kubectl.md").read_text("utf-8")
TEXTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
TEXTS += sorted((ROOT / "common" / "featward" / "kubectl").glob("*.py"))
NAMED = re.compile(r"(?:`| {4})kubectl featward ([^`\n|]+)")


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_named_exists_with_its_flags(text: Path) -> None:
    commands = getattr(get_command(app), "commands", {})
    for words in (found.split() for found in NAMED.findall(text.read_text("utf-8"))):
        if not re.fullmatch(r"[a-z]+", words[0]):
            continue
        assert words[0] in commands, f"`kubectl featward {words[0]}` is no command"
        parameters = commands[words[0]].params
        flags = {option for one in parameters for option in one.opts}
        for word in words[1:]:
            if re.fullmatch(r"--?[a-zA-Z][a-z-]*", word):
                assert word in flags, f"`kubectl featward {words[0]}` has no {word}"


def test_every_command_and_state_is_on_the_page() -> None:
    for name in getattr(get_command(app), "commands", {}):
        assert f"## {name}\n" in PAGE
    for state in get_args(State):
        assert f"| `{state}` |" in PAGE


def test_every_reason_of_unprotected_is_on_the_page() -> None:
    code = (ROOT / "common" / "featward" / "kubectl" / "protection.py").read_text("utf-8")
    reasons = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', code)) - {"kube-system"}
    assert len(reasons) == 5
    assert {one for one in reasons if f"| `{one}` |" in PAGE} == reasons


def test_every_reason_of_a_rotation_is_on_its_page() -> None:
    page = (ROOT / "docs" / "operations" / "rotate.md").read_text("utf-8")
    told = QUESTIONS[Type.ROTATING]
    for reason in (*told.true, *told.false, *told.unknown):
        assert f"`{reason}`" in page
