"""The one way in which commands show tables: what is copied from them (identities, feature names, paths) is
never folded or cut.

Every row is one line, as wide as it must be and without blanks at its end. Where it is wider than the terminal,
the terminal carries it on at its edge, and copying it gives the whole; in a pipe it stays one line. Tables of
rich fit themselves into the width instead, which is 80 where there is no terminal.
"""

import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

__all__ = ["Cell", "columns", "wrapped"]

# Plain strings are shown as they are: no markup is read in them.
Cell = str | Text


def columns(
    rows: Iterable[Sequence[Cell]],
    headings: Sequence[str] = (),
    *,
    right: Iterable[int] = (),
    indent: int = 0,
) -> Text:
    """The rows below their headings, if there are any; `right` are the numbers of columns of numbers."""
    head = [[Text(heading, style="dim") for heading in headings]] if headings else []
    table = head + [[_text(cell) for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*table, strict=True)]
    aligned = set(right)
    lines = [_line(row, widths, aligned, indent) for row in table]
    return Text("\n", no_wrap=True, overflow="ignore").join(lines)


def wrapped(text: str, console: Console, taken: int) -> str:
    """Prose in lines for a terminal of which `taken` cells are used, broken between words only."""
    if not console.is_terminal:
        return text
    width = max(_NARROWEST, console.width - taken)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * taken).join(lines)


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def _line(row: Sequence[Text], widths: Sequence[int], right: set[int], indent: int) -> Text:
    line = Text(" " * indent)
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        blanks = Text(" " * (width - cell.cell_len))
        line += (blanks + cell if number in right else cell + blanks) + Text(_GAP)
    line.rstrip()
    return line


_GAP = "  "
# Less than a few words in a line are no prose any more.
_NARROWEST = 20
