"""Tables of the command line, where the terminal is narrower than they are, or none."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.text import Text

from featward.cli import console as cli
from featward.cli.columns import columns, wrapped

IDENTITY = "spiffe://prod.acme.example/bu/payments/ns/pricing-and-risk/sa/pricing-api"
ROWS = [(IDENTITY, "7", "allow"), ("short", "12345", "")]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[[Text, bool], str]:
    """What the command line's own console makes of a table, on a terminal of 40 cells or in a pipe."""

    def show(table: Text, terminal: bool) -> str:
        monkeypatch.setattr(cli.console, "_force_terminal", terminal)
        monkeypatch.setattr(cli.console, "_color_system", None)
        monkeypatch.setattr(cli.console, "_width", 40)
        with cli.console.capture() as captured:
            cli.console.print(table)
        return captured.get()

    return show


@pytest.mark.parametrize("terminal", [True, False])
def test_a_row_is_one_line_however_wide(shown: Callable[[Text, bool], str], terminal: bool) -> None:
    heading, first, second = shown(columns(ROWS, ("who", "n", "what")), terminal).splitlines()
    assert first == f"{IDENTITY}  7      allow"
    assert second == f"short{' ' * (len(IDENTITY) - 5)}  12345"
    assert heading.split() == ["who", "n", "what"]


def test_numbers_stand_at_the_right_and_markup_is_not_read(
    shown: Callable[[Text, bool], str],
) -> None:
    table = columns([("[red]x", "7"), ("y", Text("12", style="red"))], right=(1,), indent=1)
    assert shown(table, False) == " [red]x   7\n y       12\n"


def test_prose_is_broken_between_words_on_a_terminal_only() -> None:
    prose = f"the caller {IDENTITY} asked for what nobody has granted to it"
    terminal = Console(file=io.StringIO(), force_terminal=True, width=40)
    lines = wrapped(prose, terminal, 10).splitlines()
    assert lines[1] == " " * 10 + IDENTITY
    assert [line.strip() for line in lines[::2]] == ["the caller", "asked for what nobody has"]
    assert wrapped(prose, Console(file=io.StringIO(), width=40), 10) == prose
